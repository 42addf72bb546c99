/**
 * Reads what a start needs in a thread of its own, while another brings up Python (ahead.js): the snapshot of Python, then
 * the records of the model that was used last, as far as there is room for what nobody has asked for yet.
 *
 * The messages that come are Asked; those that go name what they answer: "begun", "header" and "body" of the snapshot
 * (undefined where there is none that can be used), a record by its number, and "end" when there is no more to be had.
 *
 * @typedef {import("./snapshot.js").Of} Of
 * @typedef {{of: Of} | {key: string, index: number}} Asked  what a snapshot's name is made of, or a record of a model
 */

import { Database, read } from "./database.js";
import { entryOf, storedRecord } from "./entry.js";
import { kept, nameOf, possible } from "./snapshot.js";

const NEXT = "next"; // the key of a note: which model is read (sotto/store.py)
const HELD = 8; // records, of 16 MiB each, that are read before anybody asks for them
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

  /** A record, once; undefined where it is not one of those to come. @param {string} key of the model  @param {number} index */
  async take(key, index) {
    const record = key === this.entry.key ? this.held.get(index) : undefined;
    this.held.delete(index);
    this.goOn();
    return record;
  }

  get left() {
    return this.held.size > 0;
  }
}

/** @param {string | number} name  @param {any} [value]  @param {Transferable[]} [transfer] */
function answer(name, value, transfer = []) {
  postMessage({ name, value }, { transfer });
}

/** @param {Promise<Of>} of */
async function readSnapshot(of) {
  const snapshot = possible ? await kept(of.then(nameOf)).catch(() => undefined) : undefined;
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

function end() {
  answer("end");
  close();
}

/** @type {(of: Of) => void} */
let told = () => {};
const reading = readSnapshot(new Promise((resolve) => { told = resolve; }));
const records = reading.then(begin);
let patience = setTimeout(end, PATIENCE);

onmessage = async (/** @type {MessageEvent<Asked>} */ { data }) => {
  if ("of" in data) return told(data.of);
  clearTimeout(patience);
  patience = setTimeout(end, PATIENCE);
  const found = await records;
  const record = await found?.take(data.key, data.index);
  answer(data.index, record, record ? [record.bytes.buffer] : []);
  if (!record || !found?.left) end();
};
answer("begun");
