/**
 * Model files by HTTP ranges, or whole where they are small. Every failure is a BridgeError NoRange, HttpStatus or
 * Network.
 */

import { BridgeError } from "./bridge.js";

const ATTEMPTS = 4;
const KEPT = 3; // whole files in memory: what is read now may lie in two, and the next is read ahead
/** @type {Map<string, Promise<Range>>} */
const wholes = new Map(); // by their addresses, those that were asked for last at the end

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

/**
 * Read a range of a small file, which is fetched whole, once for all ranges that are read one after the other: for
 * parts of a model on hosts that do not answer Range requests.
 * @param {string} url  @param {number} offset  @param {number} nbytes  @returns {Promise<Range>}
 */
export function fetchPart(url, offset, nbytes) {
  const whole = wholes.get(url) ?? patiently(() => fetchWhole(url));
  wholes.delete(url);
  wholes.set(url, whole);
  whole.catch(() => wholes.delete(url));
  for (const [oldest] of wholes) {
    if (wholes.size <= KEPT) break;
    wholes.delete(oldest);
  }
  const reading = whole.then(({ bytes, size, tag }) => ({ bytes: bytes.subarray(offset, offset + nbytes), size, tag }));
  reading.catch(() => {}); // as above
  return reading;
}

/** @param {string} url  @param {number} offset  @param {number} nbytes  @returns {Promise<Range>} */
function readRange(url, offset, nbytes) {
  const headers = { Range: `bytes=${offset}-${offset + nbytes - 1}` };
  return patiently(() => fetchOnce(url, headers, offset, nbytes));
}

/** @template T  @param {() => Promise<T>} attempt  @returns {Promise<T>} */
async function patiently(attempt) {
  for (let count = 1; ; count += 1) {
    try {
      return await attempt();
    } catch (/** @type {any} */ error) {
      if (error instanceof BridgeError) throw error;
      if (count === ATTEMPTS) throw new BridgeError("Network", error.message);
      await new Promise((resolve) => setTimeout(resolve, 250 * 2 ** count));
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
    await refuse(response);
    throw new BridgeError("NoRange", "the server does not answer Range requests");
  }
  const bytes = new Uint8Array(await response.arrayBuffer());
  if (bytes.length !== Math.min(nbytes, Number(size) - offset)) throw new Error("the connection was cut");
  return { bytes, size: Number(size), tag: tagOf(response) };
}

/** One attempt, as above. @param {string} url  @returns {Promise<Range>} */
async function fetchWhole(url) {
  const response = await fetch(url);
  if (!response.ok) await refuse(response);
  const bytes = new Uint8Array(await response.arrayBuffer());
  return { bytes, size: bytes.length, tag: tagOf(response) };
}

/** Throw what an answer means that is of no use; one that is good but for something else passes.
 * @param {Response} response */
async function refuse(response) {
  await response.body?.cancel();
  const answer = `the server answered ${response.status} ${response.statusText}`.trim();
  if (response.status === 429 || response.status >= 500) throw new Error(answer);
  if (!response.ok) throw new BridgeError("HttpStatus", answer);
}

/** @param {Response} response */
const tagOf = (response) => response.headers.get("ETag") ?? response.headers.get("Last-Modified") ?? "";
