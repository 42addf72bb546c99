/**
 * Model files by HTTP ranges. Every failure is a BridgeError NoRange, HttpStatus or Network.
 */

import { BridgeError } from "./bridge.js";

const ATTEMPTS = 4;

/** @typedef {{bytes: Uint8Array, size: number, tag: string}} Range `size` of the whole file and its version `tag` */

/**
 * Read a range of a file over HTTP; a dropped connection or a busy server is tried again.
 * @param {string} url  @param {number} offset  @param {number} nbytes  @returns {Promise<Range>}
 */
export function fetchRange(url, offset, nbytes) {
  const reading = readRange(url, offset, nbytes);
  reading.catch(() => {}); // a range that was read ahead may not be asked for any more
  return reading;
}

/** @param {string} url  @param {number} offset  @param {number} nbytes  @returns {Promise<Range>} */
async function readRange(url, offset, nbytes) {
  const headers = { Range: `bytes=${offset}-${offset + nbytes - 1}` };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await fetchOnce(url, headers, offset, nbytes);
    } catch (/** @type {any} */ error) {
      if (error instanceof BridgeError) throw error;
      if (attempt === ATTEMPTS) throw new BridgeError("Network", error.message);
      await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** attempt));
    }
  }
}

/** One attempt. A BridgeError is final, any other error may pass.
 * @param {string} url  @param {Record<string, string>} headers  @param {number} offset  @param {number} nbytes
 * @returns {Promise<Range>} */
async function fetchOnce(url, headers, offset, nbytes) {
  const response = await fetch(url, { headers, cache: "no-store" });
  const [, first, size] = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get("Content-Range") ?? "") ?? [];
  if (response.status !== 206 || Number(first) !== offset) {
    await response.body?.cancel();
    const answer = `the server answered ${response.status} ${response.statusText}`.trim();
    if (response.status === 429 || response.status >= 500) throw new Error(answer);
    if (response.ok) throw new BridgeError("NoRange", "the server does not answer Range requests");
    throw new BridgeError("HttpStatus", answer);
  }
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes.length !== Math.min(nbytes, Number(size) - offset)) throw new Error("the connection was cut");
  const tag = response.headers.get("ETag") ?? response.headers.get("Last-Modified") ?? "";
  return { bytes, size: Number(size), tag };
}
