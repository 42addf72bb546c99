/**
 * Python's interpreter, as PyScript loads it in its worker (in the page where there is none), watched: start.js in the
 * page is told of every file that is asked for, has arrived or cannot be had.
 *
 * The address says more: `page`, where to tell it; `pyodide`, the interpreter itself; `modules`, which are loaded
 * meanwhile, and are wanted later.
 */

import { giveNoDatabase } from "./no_database.js";

const AGAIN = 300; // milliseconds until a request that was cut off is made again

giveNoDatabase();
const given = new URL(import.meta.url).searchParams;
const channel = new BroadcastChannel(given.get("page") ?? "");

/** @param {"asked" | "arrived" | "failed"} kind  @param {string} url  @param {string} [why] */
function tell(kind, url, why = "") {
  channel.postMessage({ kind, path: new URL(url, import.meta.url).pathname, why });
}

tell("arrived", import.meta.url);

/** A module, and word of how it goes with it. @param {string} url  @returns {Promise<any>} */
async function load(url) {
  tell("asked", url);
  try {
    const module = await import(url);
    tell("arrived", url);
    return module;
  } catch (/** @type {any} */ error) {
    tell("failed", url, error.message);
    throw error;
  }
}

// A body arrives after its headers, which is all that the promise of `fetch` says; the browser's list tells of both.
const complete = PerformanceObserver.supportedEntryTypes?.includes("resource");
if (complete) {
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) {
      const { name, initiatorType, responseStatus } = /** @type {PerformanceResourceTiming} */ (entry);
      if (initiatorType === "fetch" && responseStatus !== 0) tell("arrived", name); // 0: it was cut off
    }
  }).observe({ type: "resource" });
}

const fetchOnce = globalThis.fetch;

/** @type {typeof fetch} */
async function fetchAgain(input, init) {
  try {
    return await fetchOnce(input, init);
  } catch (/** @type {any} */ error) {
    if (error.name !== "TypeError") throw error; // stopped on purpose
    await new Promise((resolve) => { setTimeout(resolve, AGAIN); });
    return fetchOnce(input, init);
  }
}

/** @type {typeof fetch} */
globalThis.fetch = async (input, init) => {
  const url = input instanceof Request ? input.url : String(input);
  if (!/^(https?:|\/|\.)/.test(url)) return fetchOnce(input, init);
  tell("asked", url);
  try {
    const response = await fetchAgain(input, init);
    if (!response.ok) tell("failed", url, `${response.status} ${response.statusText}`.trim());
    else if (!complete) tell("arrived", url);
    return response;
  } catch (/** @type {any} */ error) {
    tell("failed", url, error.message);
    throw error;
  }
};

for (const url of (given.get("modules") ?? "").split(" ")) load(url).catch(() => {}); // told; Python will meet it too
const interpreter = new URL(given.get("pyodide") ?? "", import.meta.url).href;
const folder = new URL(".", interpreter).href;
load(`${folder}pyodide.asm.mjs`).catch(() => {}); // likewise
const pyodide = await load(interpreter);

export const { version } = pyodide;

/** As Pyodide's. @param {object} options */
export function loadPyodide(options) {
  return pyodide.loadPyodide({ ...options, indexURL: folder });
}
