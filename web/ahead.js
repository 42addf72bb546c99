/**
 * What the last visit needed, read while Python is started: who starts it has its hands full, and another thread reads
 * (ahead_worker.js). The page begins that, before there is anybody to start Python, and gives the line on which answers
 * come. Nothing depends on it: what it does not give is read where it is wanted.
 */

/** @typedef {import("./snapshot.js").Snapshot} Snapshot */

/** @type {MessagePort | undefined} */
let line;
/** @type {Map<string | number, (value: any) => void>} whom to tell, by what was asked for */
const waiting = new Map();
const header = answered("header"); // of the snapshot: comes unasked
/** @type {Promise<any> | undefined} */
let body = answered("body"); // as large as Python's memory: not held once it is given

/**
 * Begin to read.
 * @param {URLSearchParams} given what the script wants to know
 * @param {(kind: "asked" | "arrived", url: string) => void} tell how it goes with that
 * @returns {MessagePort} for `use`
 */
export function begin(given, tell) {
  const { href } = new URL(`ahead_worker.js?${given}`, import.meta.url);
  const { port1, port2 } = new MessageChannel();
  /** @param {string} why */
  function failed(why) {
    console.warn("Nothing is read ahead.", why);
    port1.postMessage({ name: "end" });
    tell("arrived", href); // nobody waits for it
  }
  tell("asked", href);
  try {
    const worker = new Worker(href, { type: "module" });
    worker.onmessage = () => {
      worker.postMessage(port1, [port1]);
      tell("arrived", href);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      failed(event.message);
    };
  } catch (error) {
    failed(String(error));
  }
  return port2;
}

/** Answers come on this line, from now on and in this thread. @param {MessagePort} port */
export function use(port) {
  line = port;
  line.onmessage = ({ data: { name, value } }) => {
    if (name === "end") return end();
    waiting.get(name)?.(value);
    waiting.delete(name);
  };
}

/** The snapshot that may be used, if there is one; its body is rejected where it is not whole.
 * @returns {Promise<Snapshot | undefined>} */
export async function snapshot() {
  const found = await header;
  const coming = body;
  body = undefined;
  return found && { header: found, body: whole(coming) };
}

/** @param {typeof body} coming */
async function whole(coming) {
  const bytes = await coming;
  if (!bytes) throw new Error("It is damaged.");
  return bytes;
}

/** A record of a model, if it is among what was read. @param {string} key of the model  @param {number} index
 * @returns {ReturnType<typeof import("./entry.js").storedRecord>} */
export async function record(key, index) {
  if (!line) return undefined;
  const found = answered(index);
  line.postMessage({ key, index });
  return found;
}

/** What answers a question; undefined when nothing is read any more. @param {string | number} name  @returns {Promise<any>} */
function answered(name) {
  return new Promise((resolve) => waiting.set(name, resolve));
}

/** Nothing more is read, and whoever waits gets nothing. */
function end() {
  line?.close();
  line = undefined;
  for (const tell of waiting.values()) tell(undefined);
  waiting.clear();
}
