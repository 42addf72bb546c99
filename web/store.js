/**
 * The cache of converted models in IndexedDB.
 *
 * A model's image is kept as records of RECORD bytes, each with the checksums of its chunks, so that a part of a record
 * can be checked alone; a manifest speaks for them (entry.js says what they look like). Whatever is found in another
 * shape is dropped, and told as damage once.
 *
 * Pages may write at once, even the same model: every writer has records of its own, and the one that commits last
 * replaces the entry. It holds a lock of its name while it lives, so that others can tell its records, for which no
 * manifest speaks yet, from those that a dead one left.
 *
 * Every failure is a BridgeError: StoreUnavailable where the browser refuses, StoreFull, or StoreDamaged.
 */

import * as ahead from "./ahead.js";
import { BridgeError, withBytes } from "./bridge.js";
import { CHUNK, Chunk, HASH, hex } from "./chunk.js";
import { Database, read, settled, told } from "./database.js";
import { entryOf, isEntry, isOfAnotherLayout, recordsOf, remove, removeLeft, storedRecord } from "./entry.js";
import { hold, holders } from "./locks.js";
import { newName, RECORD, Writer } from "./writer.js";

/** @typedef {import("./entry.js").Manifest} Manifest  @typedef {import("./entry.js").Entry} Entry */

const AHEAD = 2; // records that are read while one is worked on

/**
 * @param {Uint8Array} library the compiled kernels/loading/
 * @returns {Promise<Store>}
 */
export async function open(library, name = "sotto") {
  try {
    const module = await withBytes(library, (wasm) => WebAssembly.compile(wasm.slice()));
    return new Store(await Database.open(name), module);
  } catch (error) {
    throw told(error);
  }
}

export class Store {
  /** @param {Database} database  @param {WebAssembly.Module} library */
  constructor(database, library) {
    this.database = database;
    this.library = library;
    this.remade = database.remade; // and not told yet
  }

  /** The manifest of an entry of this layout version, without its card; any other of the key is dropped. `fill` sees
   * whether it is whole.
   * @param {string} key  @param {number} layoutVersion
   * @returns {Promise<string | undefined>} StoreDamaged tells of a dropped one that was not of another layout */
  async find(key, layoutVersion) {
    if (this.remade) {
      this.remade = false;
      throw damaged("the database had another shape");
    }
    const { there, old, entry, count } = await this.database.within("readonly", async ({ manifests, records }) => {
      const there = (await settled(manifests.getKey(key))) !== undefined;
      const value = await read(manifests, key);
      const entry = isEntry(value, key) ? value : undefined;
      const count = entry ? await settled(records.count(recordsOf(entry.writer))) : 0;
      return { there, old: isOfAnotherLayout(value, layoutVersion), entry, count };
    });
    if (!there) return undefined;
    const mendable = entry && count > 0 && count <= entry.records.length;
    if (!old && mendable) return JSON.stringify({ ...entry, writer: undefined, card: undefined });
    await this.drop(key);
    if (old) return undefined;
    throw damaged(entry ? "all records are missing, or there are too many" : "the manifest has another shape");
  }

  /** The card of an entry; one whose card cannot be had is dropped.
   * @param {string} key  @returns {Promise<Uint8Array>} */
  async card(key) {
    const entry = await this.database.within("readonly", ({ manifests }) => entryOf(manifests, key));
    const card = entry?.card ?? "";
    const bytes = await (card instanceof Blob ? card : new Blob([card])).arrayBuffer().catch(() => undefined);
    if (bytes) return new Uint8Array(bytes);
    await this.drop(key);
    throw damaged("the card cannot be read");
  }

  /** Start an entry. One that the key has stays until this one is committed.
   * @param {string} json the manifest, its records still empty  @param {Parameters<typeof withBytes>[0]} card
   * @returns {Promise<Writer>} */
  async begin(json, card) {
    try {
      const manifest = { ...JSON.parse(json), card: withBytes(card, (bytes) => new Blob([bytes])) };
      await this.sweep();
      const chunk = await Chunk.with(this.library);
      const name = newName(manifest.key);
      return new Writer(this.database, manifest, chunk, name, (await hold(name)) ?? (() => {}));
    } catch (error) {
      throw told(error);
    }
  }

  /** Drop the records that dead writers left. Of those seen first, a living writer still holds its lock, and one that
   * let go of it has written its manifest. */
  async sweep() {
    const ids = await this.database.within("readonly", ({ records }) => settled(records.getAllKeys()));
    const living = await holders();
    await this.database.within("readwrite", (stores) => removeLeft(stores, ids, living));
  }

  /**
   * Copy parts of the image into GPU buffers. Each chunk is checked before any of it is copied; of a damaged record
   * nothing is, or only what comes before the damage.
   * @param {string} json the manifest
   * @param {string} placements JSON of [image offset, nbytes, buffer, buffer offset][], all multiples of 4
   * @param {{write: function, finish: function}} gpu
   * @param {(done: number) => void} progress
   * @returns {Promise<number[]>} the damaged records
   */
  async fill(json, placements, gpu, progress) {
    const manifest = JSON.parse(json);
    /** @type {[number, number, number, number][]} */
    let waiting = JSON.parse(placements);
    waiting.sort((a, b) => a[0] - b[0]);
    let uploaded = Promise.resolve();
    /** @type {number[]} */
    const damages = [];
    for await (const { at, data } of this.chunks(manifest, damages, ahead.record)) {
      const end = at + data.length;
      waiting = waiting.filter(([offset, nbytes]) => offset + nbytes > at); // without those of damaged records
      for (const [offset, nbytes, buffer, target] of waiting) {
        if (offset >= end) break;
        const from = Math.max(offset, at);
        gpu.write(buffer, target + from - offset, data.subarray(from - at, Math.min(offset + nbytes, end) - at));
      }
      if (end % RECORD === 0) { // bounds what the browser holds for uploads under way
        await uploaded;
        uploaded = gpu.finish();
        uploaded.catch(() => {}); // told when it is waited for
        progress(end);
      }
    }
    await gpu.finish();
    progress(manifest.nbytes);
    return damages;
  }

  /**
   * Put a record anew that `fill` found damaged. StoreDamaged where these are not the bytes that it had, or the entry is
   * another by now.
   * @param {string} json the manifest  @param {number} index  @param {Parameters<typeof withBytes>[0]} data
   */
  async mend(json, index, data) {
    const manifest = JSON.parse(json);
    const chunk = await this.chunk();
    const { blob, hashes } = withBytes(data, (bytes) => chunk.stored(bytes));
    if (chunk.sum(hashes) !== manifest.records[index].checksum) throw damaged(`record ${index} came out otherwise`);
    await this.database.within("readwrite", async ({ manifests, records }) => {
      const entry = await entryOf(manifests, manifest.key);
      if (JSON.stringify(entry?.records) !== JSON.stringify(manifest.records)) throw damaged("another entry came");
      const writer = entry?.writer ?? "";
      for (const id of await settled(records.getAllKeys(recordsOf(writer)))) {
        if (!isRecordOf(manifest, id)) records.delete(id);
      }
      records.put({ blob, hashes }, [writer, index]);
    }, "strict");
  }

  /** What checksums are made with. */
  chunk() {
    return Chunk.with(this.library).catch((error) => {
      throw damaged(told(error).message); // cannot be checked, which is as bad
    });
  }

  /** All bytes of an entry, for one that is small. @param {string} key  @returns {Promise<Uint8Array | undefined>} */
  async read(key) {
    const entry = await this.database.within("readonly", ({ manifests }) => entryOf(manifests, key));
    if (!entry) return undefined;
    const whole = new Uint8Array(entry.nbytes);
    /** @type {number[]} */
    const damages = [];
    for await (const { at, data } of this.chunks(entry, damages)) whole.set(data, at);
    if (damages.length === 0) return whole;
    await this.drop(key);
    throw damaged(`record ${damages[0]} is altered`);
  }

  /** Forget an entry, and what dead writers left: maybe a part of the same.
   * @param {string} key  @param {(entry: Entry) => boolean} [meant] whether it is that one, if not any will do */
  async drop(key, meant) {
    await this.database.within("readwrite", (stores) => remove(stores, key, meant));
    await this.sweep();
  }

  /** What there is: of every entry all that is short.
   * @returns {Promise<string>} JSON of a list of manifests without `card` and `records` */
  async entries() {
    const found = await this.database.within("readonly", async ({ manifests }) => {
      const entries = [];
      for (const key of await settled(manifests.getAllKeys())) {
        const entry = await entryOf(manifests, key);
        if (entry) entries.push({ ...entry, card: undefined, records: undefined, writer: undefined });
      }
      return entries;
    });
    return JSON.stringify(found);
  }

  /** The texts whose keys begin so. @param {string} prefix  @returns {Promise<string>} JSON of texts by key */
  async notes(prefix) {
    const range = IDBKeyRange.bound(prefix, `${prefix}\uffff`);
    const found = await this.database.within("readonly", async ({ notes }) => {
      /** @type {Record<string, string>} */
      const texts = {};
      for (const key of await settled(notes.getAllKeys(range))) {
        const note = await read(notes, key);
        if (typeof note === "string") texts[String(key)] = note;
      }
      return texts;
    });
    return JSON.stringify(found);
  }

  /** Forget the text of a key. @param {string} key */
  async dropNote(key) {
    await this.database.within("readwrite", ({ notes }) => settled(notes.delete(key)));
  }

  /** @param {string} key  @returns {Promise<string | undefined>} the text kept under a key */
  async findNote(key) {
    const note = await this.database.within("readonly", ({ notes }) => read(notes, key));
    return typeof note === "string" ? note : undefined;
  }

  /** Keep a short text, replacing any other of the same key. @param {string} key  @param {string} text */
  async keepNote(key, text) {
    await this.database.within("readwrite", ({ notes }) => settled(notes.put(text, key)));
  }

  /** Hold a name as long as this page lives.
   * @param {string} name
   * @returns {Promise<(() => void) | undefined>} lets go of it; undefined where somebody holds it */
  async hold(name) {
    return hold(name, { ifAvailable: true });
  }

  /** The chunks of the image in order, checked, without those of damaged records from the damage on.
   * @param {Manifest} manifest  @param {number[]} damages takes the indexes of those
   * @param {typeof ahead.record} [before] gives records that have been read before
   * @yields {{at: number, data: Uint8Array}} */
  async *chunks(manifest, damages, before = async () => undefined) {
    const chunk = await this.chunk();
    /** @type {ReturnType<typeof storedRecord>[]} */
    const reading = [];
    let begun = 0;
    const begin = () => {
      if (begun < manifest.records.length) reading.push(record(begun));
      begun += 1;
    };
    const record = async (/** @type {number} */ index) =>
      (await before(manifest.key, index)) ?? storedRecord(this.database, manifest.key, index, manifest.records[index].nbytes);
    for (let i = 0; i < AHEAD; i += 1) begin();
    let start = 0;
    for (const [index, { nbytes, checksum }] of manifest.records.entries()) {
      const { bytes, hashes } = (await reading.shift()) ?? { bytes: new Uint8Array(), hashes: new Uint8Array() };
      begin();
      let at = 0;
      if (chunk.sum(hashes) === checksum) {
        for (let hash = 0; at < bytes.length; at += CHUNK, hash += HASH) {
          const data = bytes.subarray(at, at + CHUNK);
          if (chunk.sum(data) !== hex(hashes.subarray(hash, hash + HASH))) break;
          yield { at: start + at, data };
        }
      }
      if (at < nbytes) damages.push(index);
      start += nbytes;
    }
  }
}

/** Whether a key of a writer's is that of a record of its entry. @param {Manifest} manifest  @param {IDBValidKey} id */
const isRecordOf = ({ records }, id) =>
  Array.isArray(id) && id.length === 2 && Number.isInteger(id[1]) && Number(id[1]) >= 0 && Number(id[1]) < records.length;

/** @param {string} message */
const damaged = (message) => new BridgeError("StoreDamaged", message);
