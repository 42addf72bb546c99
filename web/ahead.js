/**
 * What the last visit needed, read while Python is started: this thread has its hands full with that, and another reads
 * (ahead_worker.js). Nothing depends on it: what it does not give is read where it is wanted.
 */

/** @typedef {import("./snapshot.js").Snapshot} Snapshot  @typedef {import("./snapshot.js").Of} Of */

const WORKER = new URL("ahead_worker.js", import.meta.url);

/** @type {Worker | undefined} */
let worker;
/** @type {Map<string | number, (value: any) => void>} whom to tell, by what was asked for */
const waiting = new Map();
const header = answered("header"); // of the snapshot: that there is none may be known before its name is
const body = answered("body");

/** Begin to read. @param {(kind: "asked" | "arrived", url: string) => void} tell how it goes with the script for it */
export function begin(tell) {
  tell("asked", WORKER.href);
  answered("begun").then(() => tell("arrived", WORKER.href));
  try {
    worker = new Worker(WORKER, { type: "module" });
  } catch {
    return end();
  }
  worker.onmessage = ({ data: { name, value } }) => (name === "end" ? end() : waiting.get(name)?.(value));
  worker.onerror = (event) => {
    event.preventDefault();
    console.warn("Nothing is read ahead.", event.message);
    end();
  };
}

/** The snapshot that may be used, if there is one; its body is rejected where it is not whole. @param {Of} of what its
 * name is made of  @returns {Promise<Snapshot | undefined>} */
export async function snapshot(of) {
  worker?.postMessage({ of });
  const found = await header;
  return found && { header: found, body: whole() };
}

async function whole() {
  const bytes = await body;
  if (!bytes) throw new Error("It is damaged.");
  return bytes;
}

/** A record of a model, if it is among what was read. @param {string} key of the model  @param {number} index
 * @returns {ReturnType<typeof import("./entry.js").storedRecord>} */
export async function record(key, index) {
  if (!worker) return undefined;
  const found = answered(index);
  worker.postMessage({ key, index });
  return found;
}

/** What answers a question; undefined when nothing is read any more. @param {string | number} name  @returns {Promise<any>} */
function answered(name) {
  return new Promise((resolve) => waiting.set(name, resolve));
}

/** Nothing more is read, and whoever waits gets nothing. */
function end() {
  worker?.terminate();
  worker = undefined;
  for (const tell of waiting.values()) tell(undefined);
  waiting.clear();
}
