/**
 * Python's interpreter, as PyScript loads it in its worker (in the page where there is none), watched: start.js in the
 * page is told of every file that is asked for, has arrived or cannot be had.
 *
 * The address says more: `page`, where to tell it; `pyodide`, the interpreter itself; `app`, the page's own Python;
 * `modules` and `files`, which are loaded meanwhile, and are wanted later.
 *
 * Python starts from a snapshot where there is one; else there will be one when the page has come to rest (snapshot.js).
 */

import "./one_stack.js";
import "./trusted.js";
import "./ready_made.js";
import * as ahead from "./ahead.js";
import { giveNoDatabase } from "./no_database.js";
import { bytesOf, drop, nameOf, possible, restored, works } from "./snapshot.js";
import { record } from "./recording.js";

const PACKAGES = ["numpy"];
const AGAIN = 300; // milliseconds until a request that was cut off is made again
const fetchOnce = globalThis.fetch;

giveNoDatabase();
const given = new URL(import.meta.url).searchParams;
const channel = new BroadcastChannel(given.get("page") ?? "");

/** @param {"asked" | "arrived" | "failed"} kind  @param {string} url  @param {string} [why] */
function tell(kind, url, why = "") {
  channel.postMessage({ kind, path: new URL(url, import.meta.url).pathname, why });
}

tell("arrived", import.meta.url);

// The page gives PyScript's worker the line to what is read ahead.
if (!("document" in globalThis)) {
  addEventListener("message", ({ data }) => {
    if (data?.ahead instanceof MessagePort) ahead.use(data.ahead);
  });
  channel.postMessage({ kind: "listening" });
}
// PyScript gives each message to its worker to Python, too, which has nothing to do with this one.
const HEARD = "import types; xworker = types.SimpleNamespace(onmessage=lambda event: None); del types";

/**
 * Which file cannot be had, of a module and all that it imports, and why; nothing when they all can.
 * @param {string} url  @param {Set<string>} [seen]  @returns {Promise<{url: string, why: string} | null>}
 */
async function refused(url, seen = new Set()) {
  if (seen.has(url)) return null;
  seen.add(url);
  let text;
  try {
    const response = await fetchOnce(url);
    if (!response.ok) return { url, why: `${response.status} ${response.statusText}`.trim() };
    text = await response.text();
  } catch (/** @type {any} */ error) {
    return { url, why: error.message };
  }
  for (const [, path] of text.matchAll(/^import\b.*?"(\.{0,2}\/.+?)";$/gm)) {
    const found = await refused(new URL(path, url).href, seen);
    if (found) return found;
  }
  return null;
}

/** A module, and word of how it goes with it. @param {string} url  @returns {Promise<any>} */
async function load(url) {
  tell("asked", url);
  try {
    const module = await import(url);
    tell("arrived", url);
    return module;
  } catch (/** @type {any} */ error) {
    // The browser names the module that was asked for, also where it is one of its imports that is missing.
    const found = await refused(new URL(url, import.meta.url).href) ?? { url, why: error.message };
    tell("arrived", url);
    tell("failed", found.url, found.why);
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

/** @type {Map<string, Promise<Response>>} answers to requests that were made before anybody asked; each is given once */
const before = new Map();

/** @type {typeof fetch} */
globalThis.fetch = async (input, init) => {
  const url = input instanceof Request ? input.url : String(input);
  if (!/^(https?:|\/|\.)/.test(url)) return fetchOnce(input, init);
  const response = before.get(url);
  if (response && before.delete(url)) return response;
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

const interpreter = new URL(given.get("pyodide") ?? "", import.meta.url).href;
const folder = new URL(".", interpreter).href;
const loading = load(interpreter);
load(`${folder}pyodide.asm.mjs`).catch(() => {}); // told; who wants it will meet it too
compileBefore(`${folder}pyodide.asm.wasm`);
fetchBefore(`${folder}python_stdlib.zip`).catch(() => {}); // likewise
for (const url of (given.get("files") ?? "").split(" ")) fetchBefore(url).catch(() => {}); // likewise
const app = given.get("app") ?? "";
const lock = bytesOf(`${folder}pyodide-lock.json`);
lock.catch(() => {}); // likewise
for (const url of (given.get("modules") ?? "").split(" ")) load(url).catch(() => {}); // likewise

const pyodide = await loading;

export const { version } = pyodide;

/** Make a request before anybody asks: until then there is little else to do. @param {string} url */
function fetchBefore(url) {
  const response = fetch(url);
  before.set(url, response);
  return response;
}

/** Compile a WebAssembly module that is going to be instantiated once. @param {string} url */
function compileBefore(url) {
  const response = fetchBefore(url);
  const compiled = WebAssembly.compileStreaming(response);
  compiled.catch(() => {}); // told where it is wanted
  const { instantiateStreaming } = WebAssembly;
  WebAssembly.instantiateStreaming = async (source, imports) => {
    WebAssembly.instantiateStreaming = instantiateStreaming;
    if ((await source) !== (await response)) return instantiateStreaming(source, imports);
    const module = await compiled;
    return { module, instance: await WebAssembly.instantiate(module, imports) };
  };
}

/** As Pyodide's, with the page's Python in it. @param {object} options */
export async function loadPyodide(options) {
  const python = await started(options);
  python.runPython(HEARD);
  return python;
}

/** @param {object} options of Pyodide's loadPyodide */
async function started(options) {
  const lockFileContents = new TextDecoder().decode(await lock);
  const settings = { ...options, indexURL: folder, lockFileContents, packageBaseUrl: folder };
  tell("asked", app); // by whom it is read ahead, who tells nobody
  const found = await ahead.snapshot();
  tell("arrived", app);
  if (found) {
    try {
      const python = await restored(pyodide, folder, settings, found);
      heard("running", () => works().finally(settled));
      channel.postMessage({ kind: "started", by: "snapshot" });
      return python;
    } catch (error) {
      console.warn("The snapshot of Python cannot be used.", error);
      await drop().catch(() => {});
    }
  }
  const coming = bytesOf(app);
  coming.catch(() => {}); // likewise
  const python = await pyodide.loadPyodide({ ...settings, packages: PACKAGES });
  const archive = await coming;
  python.unpackArchive(archive, "zip");
  heard("resting", async () => {
    if (possible) {
      const name = nameOf({ app: archive, lock: await lock, version });
      await record(python, folder, await name).catch((error) => console.warn("There is no snapshot.", error));
    }
    settled();
  });
  channel.postMessage({ kind: "started", by: "bare" });
  return python;
}

function settled() {
  channel.postMessage({ kind: "settled" });
}

/** Hear of a word of the page, once. @param {string} word  @param {() => void} act */
function heard(word, act) {
  channel.addEventListener("message", ({ data }) => {
    if (data === word) act();
  });
}
