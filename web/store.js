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

import { BridgeError, withBytes } from "./bridge.js";
import { CHUNK, Chunk, HASH, hex } from "./chunk.js";
import { Database, read, settled, told } from "./database.js";
import { entryOf, isEntry, isOfAnotherLayout, isStoredBlob, recordsOf, remove, removeLeft } from "./entry.js";
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

  /** The manifest of a whole entry of this layout version; any other entry of the key is dropped.
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
      const count = entry && (await settled(records.count(recordsOf(entry.writer))));
      return { there, old: isOfAnotherLayout(value, layoutVersion), entry, count };
    });
    if (!there) return undefined;
    if (!old && entry && entry.records.length === count) return JSON.stringify({ ...entry, writer: undefined });
    await this.drop(key);
    if (old) return undefined;
    throw damaged(entry ? "records are missing or too many" : "the manifest has another shape");
  }

  /** Start an entry. One that the key has stays until this one is committed.
   * @param {string} json the manifest, its records still empty
   * @returns {Promise<Writer>} */
  async begin(json) {
    try {
      const manifest = JSON.parse(json);
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
   * Copy parts of the image into GPU buffers. Each chunk is checked before any of it is copied.
   * @param {string} json the manifest
   * @param {string} placements JSON of [image offset, nbytes, buffer, buffer offset][], all multiples of 4
   * @param {{write: function, finish: function}} gpu
   * @param {(done: number) => void} progress
   */
  async fill(json, placements, gpu, progress) {
    const manifest = JSON.parse(json);
    /** @type {[number, number, number, number][]} */
    let waiting = JSON.parse(placements);
    waiting.sort((a, b) => a[0] - b[0]);
    let uploaded = Promise.resolve();
    for await (const { at, data } of this.chunks(manifest)) {
      const end = at + data.length;
      for (const [offset, nbytes, buffer, target] of waiting) {
        if (offset >= end) break;
        const from = Math.max(offset, at);
        gpu.write(buffer, target + from - offset, data.subarray(from - at, Math.min(offset + nbytes, end) - at));
      }
      waiting = waiting.filter(([offset, nbytes]) => offset + nbytes > end);
      if (end % RECORD === 0) { // bounds what the browser holds for uploads under way
        await uploaded;
        uploaded = gpu.finish();
        uploaded.catch(() => {}); // told when it is waited for
      }
      progress(end);
    }
    await gpu.finish();
  }

  /** Forget an entry, and what dead writers left: maybe a part of the same.
   * @param {string} key  @param {(entry: Entry) => boolean} [meant] whether it is that one, if not any will do */
  async drop(key, meant) {
    await this.database.within("readwrite", (stores) => remove(stores, key, meant));
    await this.sweep();
  }

  /** What there is: of every whole entry all that is short.
   * @returns {Promise<string>} JSON of a list of manifests without `card` and `records` */
  async entries() {
    const found = await this.database.within("readonly", async ({ manifests, records }) => {
      const entries = [];
      for (const key of await settled(manifests.getAllKeys())) {
        const entry = await entryOf(manifests, key);
        if (!entry || (await settled(records.count(recordsOf(entry.writer)))) !== entry.records.length) continue;
        entries.push({ ...entry, card: undefined, records: undefined, writer: undefined });
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

  /** The chunks of the image in order, checked; an entry that cannot be read is dropped.
   * @param {Manifest} manifest  @yields {{at: number, data: Uint8Array}} */
  async *chunks(manifest) {
    try {
      const chunk = await Chunk.with(this.library);
      /** @type {ReturnType<Store["record"]>[]} */
      const reading = [];
      let begun = 0;
      const begin = () => {
        if (begun === manifest.records.length) return;
        const record = this.record(manifest, begun);
        record.catch(() => {}); // told when its turn comes
        reading.push(record);
        begun += 1;
      };
      for (let i = 0; i < AHEAD; i += 1) begin();
      let at = 0;
      for (let next = reading.shift(), index = 0; next; next = reading.shift(), index += 1) {
        const { bytes, hashes } = await next;
        begin();
        const altered = damaged(`record ${index} is altered`);
        if (chunk.sum(hashes) !== manifest.records[index].checksum) throw altered;
        for (let from = 0, hash = 0; from < bytes.length; from += CHUNK, hash += HASH) {
          const data = bytes.subarray(from, from + CHUNK);
          if (chunk.sum(data) !== hex(hashes.subarray(hash, hash + HASH))) throw altered;
          yield { at, data };
          at += data.length;
        }
      }
    } catch (error) {
      const version = manifest.layout_version; // another's may have come in its place
      await this.drop(manifest.key, (entry) => entry.layout_version === version).catch(() => {});
      throw damaged(told(error).message);
    }
  }

  /** A record's bytes, and the checksums of its chunks, which are still to be checked. Whoever wrote them: the entry
   * may have been replaced by an equal one since it was found.
   * @param {Manifest} manifest  @param {number} index */
  async record(manifest, index) {
    const record = await this.database.within("readonly", async ({ manifests, records }) => {
      const entry = await entryOf(manifests, manifest.key);
      return entry && read(records, [entry.writer, index]);
    });
    if (!isStoredBlob(record, manifest.records[index].nbytes)) throw damaged(`record ${index} is missing`);
    // Whole: slices of a stored blob cannot be read in Chromium's private windows.
    return { bytes: new Uint8Array(await record.blob.arrayBuffer()), hashes: record.hashes };
  }
}

/** @param {string} message */
const damaged = (message) => new BridgeError("StoreDamaged", message);
