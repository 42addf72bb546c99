/**
 * Reads what a start needs in a thread of its own, while another brings up Python (ahead.js): the snapshot of Python, then
 * the records of the model that was used last, as far as there is room for what nobody has asked for yet.
 *
 * The address says of what a snapshot's name is made: `pyodide`, the interpreter, and `app`, the page's own Python. The one
 * message that comes is a port. On it records are asked for by a model's key and an index, and every answer has a name:
 * "header" and "body" of the snapshot (undefined where there is none that can be used), the index of a record, and "end"
 * when nothing more is to be had.
 */

import { Database, read } from "./database.js";
import { entryOf, storedRecord } from "./entry.js";
import { bytesOf, kept, nameOf, possible } from "./snapshot.js";

const NEXT = "next"; // the key of a note: which model is read (sotto/store.py)
const HELD = 4; // records, of 16 MiB each, that are read before anybody asks for them
const AT_ONCE = 2; // records that are being read
const PATIENCE = 20_000; // milliseconds until nobody is going to ask

/** The records of one model, in their order. */
class Records {
  /** @param {Database} database  @param {import("./entry.js").Entry} entry */
  constructor(database, entry) {
    this.database = database;
    this.entry = entry;
    this.begun = 0;
    this.reading = 0;
    this.owed = 0; // records that were asked for and have not been given yet
    /** @type {Map<number, ReturnType<typeof storedRecord>>} */
    this.held = new Map();
    this.goOn();
  }

  goOn() {
    while (this.begun < this.entry.records.length && this.held.size < HELD && this.reading < AT_ONCE) {
      const index = this.begun;
      const record = storedRecord(this.database, this.entry.key, index, this.entry.records[index].nbytes);
      this.begun += 1;
      this.reading += 1;
      this.held.set(index, record);
      record.then(() => {
        this.reading -= 1;
        this.goOn();
      });
    }
  }

  /** A record, once; undefined where it cannot be had. @param {number} index */
  async take(index) {
    const record = this.held.get(index);
    this.held.delete(index);
    this.goOn();
    this.owed += 1;
    const found = await record;
    this.owed -= 1;
    return found;
  }

  get left() {
    return this.held.size > 0 || this.owed > 0;
  }
}

/** @type {Promise<MessagePort>} */
const line = new Promise((resolve) => {
  onmessage = ({ data }) => resolve(data);
});

/** @param {string | number} name  @param {any} [value]  @param {Transferable[]} [transfer] */
async function answer(name, value, transfer = []) {
  (await line).postMessage({ name, value }, transfer);
}

/** The name of the snapshot that may be used. */
async function naming() {
  const given = new URL(import.meta.url).searchParams;
  const interpreter = given.get("pyodide") ?? "";
  const files = [given.get("app") ?? "", new URL("pyodide-lock.json", interpreter).href].map(bytesOf);
  const [{ version }, app, lock] = await Promise.all([import(interpreter), ...files]);
  return nameOf({ app, lock, version });
}

async function readSnapshot() {
  const snapshot = possible ? await kept(naming()).catch(() => undefined) : undefined;
  answer("header", snapshot?.header);
  const body = await snapshot?.body?.catch(() => undefined);
  answer("body", body, body ? [body] : []);
}

/** The records of the model that was used last. @returns {Promise<Records | undefined>} */
async function begin() {
  try {
    const database = await Database.asItIs("sotto");
    const entry = await database?.within("readonly", async ({ manifests, notes }) =>
      entryOf(manifests, String(await read(notes, NEXT))));
    return database && entry && new Records(database, entry);
  } catch {
    return undefined;
  }
}

async function end() {
  await answer("end");
  close();
}

const records = readSnapshot().then(begin);
let patience = setTimeout(end, PATIENCE);
line.then((port) => {
  port.onmessage = async ({ data: { key, index } }) => {
    clearTimeout(patience);
    patience = setTimeout(end, PATIENCE);
    const found = await records;
    const wanted = found?.entry.key === key ? found : undefined;
    const record = await wanted?.take(index);
    answer(index, record, record ? [record.bytes.buffer] : []);
    if (!wanted?.left) end();
  };
});
postMessage("begun");
