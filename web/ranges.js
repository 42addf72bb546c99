/**
 * Model files by HTTP ranges. Every failure is a BridgeError NoRange, HttpStatus or Network.
 */

import { BridgeError } from "./bridge.js";

const ATTEMPTS = 4;

/**
 * Read a range of a file over HTTP; a dropped connection or a busy server is tried again.
 * @returns {Promise<{bytes: Uint8Array, size: number, tag: string}>} `size` of the whole file and its version `tag`
 */
export function fetchRange(url, offset, nbytes) {
  const reading = readRange(url, offset, nbytes);
  reading.catch(() => {}); // a range that was read ahead may not be asked for any more
  return reading;
}

async function readRange(url, offset, nbytes) {
  const headers = { Range: `bytes=${offset}-${offset + nbytes - 1}` };
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await fetchOnce(url, headers, offset, nbytes);
    } catch (error) {
      if (error instanceof BridgeError) throw error;
      if (attempt === ATTEMPTS) throw new BridgeError("Network", error.message);
      await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** attempt));
    }
  }
}

/** One attempt. A BridgeError is final, any other error may pass. */
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
  if (bytes.length !== Math.min(nbytes, size - offset)) throw new Error("the connection was cut");
  const tag = response.headers.get("ETag") ?? response.headers.get("Last-Modified") ?? "";
  return { bytes, size: Number(size), tag };
}
