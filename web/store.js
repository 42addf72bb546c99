/**
 * The cache of converted models in IndexedDB, and the reading of model files by HTTP ranges.
 *
 * Database `sotto`: `manifests` holds one manifest for each model key, `records` its image cut into pieces of
 * RECORD bytes (64 MiB in older entries) under [writer, index], each as {blob, hashes}. `hashes` are the checksums
 * (kernels/loading/checksum.c) of the blob's chunks of CHUNK bytes, end to end; the manifest holds the SHA-256 of
 * `hashes`. So a part of a record can be checked alone. `notes` holds short texts.
 *
 * Pages may write at once, even the same model: every writer has records of its own, and the one that commits last
 * replaces the entry. It holds a lock of its name while it lives, so that others can tell its records, for which no
 * manifest speaks yet, from those that a dead one left.
 *
 * Every failure is a BridgeError with one of the names StoreUnavailable, StoreFull, StoreDamaged, NoRange,
 * HttpStatus, Network.
 *
 * @typedef {{key: string, layout_version: number, nbytes: number, records: Saved[]}} Manifest with whatever else
 *   the caller put in; crosses as JSON
 * @typedef {Manifest & {writer?: string}} Entry what `manifests` holds, with its writer's name; before writers had
 *   names, records were kept under the key
 * @typedef {{nbytes: number, sha256: string}} Saved
 */

import { BridgeError, withBytes } from "./bridge.js";

const RECORD = 32 << 20; // of new entries
const AHEAD = 2; // records that are read while one is worked on
const CHUNK = 4 << 20;
const HASH = 16; // bytes
const PAGE = 65536; // WebAssembly's; below, addresses in the library's memory:
const STATICS = 1024;
const RESULT = 3072;
const START = PAGE;
// What reading a damaged entry fails with; the last two when the browser lost the file behind a blob.
const UNREADABLE = ["StoreDamaged", "StoreUnavailable", "NotFoundError", "NotReadableError"];
const ATTEMPTS = 4;

/**
 * @param {Uint8Array} library the compiled kernels/loading/
 * @returns {Promise<Store>}
 */
export async function open(library, name = "sotto") {
  try {
    const module = await withBytes(library, (wasm) => WebAssembly.compile(wasm.slice()));
    const request = indexedDB.open(name, 2);
    request.onupgradeneeded = () => {
      for (const kind of ["manifests", "records", "notes"]) {
        if (!request.result.objectStoreNames.contains(kind)) request.result.createObjectStore(kind);
      }
    };
    return new Store(await settled(request), module);
  } catch (error) {
    throw error instanceof BridgeError ? error : unavailable(error); // blocked site data throw at once
  }
}

export class Store {
  /** @param {IDBDatabase} database  @param {WebAssembly.Module} library */
  constructor(database, library) {
    this.database = database;
    this.library = library;
    database.onversionchange = () => database.close();
  }

  /** The manifest of a whole entry of this layout version; any other entry of the key is dropped.
   * @returns {Promise<string | undefined>} */
  async find(key, layoutVersion) {
    const transaction = this.transaction("readonly");
    const entry = await settled(transaction.objectStore("manifests").get(key));
    if (!entry) return undefined;
    const count = await settled(transaction.objectStore("records").count(recordsOf(writerOf(entry))));
    const whole = entry.layout_version === layoutVersion && entry.records.length === count;
    if (!whole) await this.drop(key);
    return whole ? JSON.stringify({ ...entry, writer: undefined }) : undefined;
  }

  /** Start an entry. One that the key has stays until this one is committed.
   * @param {string} json the manifest, its records still empty
   * @returns {Promise<Writer>} */
  async begin(json) {
    const manifest = JSON.parse(json);
    await this.sweep();
    const chunk = await Chunk.with(this.library);
    const name = `${crypto.randomUUID()} ${manifest.key}`;
    return new Writer(this, manifest, chunk, name, await hold(name));
  }

  /** Drop the records that dead writers left. Of those seen first, a living writer still holds its lock, and one that
   * let go of it has written its manifest. */
  async sweep() {
    const ids = await settled(this.transaction("readonly").objectStore("records").getAllKeys());
    const writers = new Set(ids.map(([writer]) => writer));
    const locks = await navigator.locks?.query();
    for (const { name } of locks?.held ?? []) writers.delete(name);
    const transaction = this.transaction("readwrite");
    const entries = await settled(transaction.objectStore("manifests").getAll());
    for (const entry of entries) writers.delete(writerOf(entry));
    for (const writer of writers) transaction.objectStore("records").delete(recordsOf(writer));
    await completed(transaction);
  }

  /** The first bytes of the image, checked. @returns {Promise<Uint8Array>} */
  async head(json, nbytes) {
    const bytes = new Uint8Array(nbytes);
    for await (const { at, data } of this.chunks(JSON.parse(json), nbytes)) {
      bytes.set(data.subarray(0, nbytes - at), at);
    }
    return bytes;
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
    let waiting = JSON.parse(placements).sort((a, b) => a[0] - b[0]);
    let uploaded = Promise.resolve();
    for await (const { at, data } of this.chunks(manifest, manifest.nbytes)) {
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
   * @param {(entry: Entry) => boolean} [meant] whether it is that one, if not any will do */
  async drop(key, meant) {
    const transaction = this.transaction("readwrite");
    await remove(transaction, key, meant);
    await completed(transaction);
    await this.sweep();
  }

  /** @returns {Promise<string | undefined>} the text kept under a key */
  async findNote(key) {
    return settled(this.transaction("readonly").objectStore("notes").get(key));
  }

  /** Keep a short text, replacing any other of the same key. */
  async keepNote(key, text) {
    const transaction = this.transaction("readwrite");
    transaction.objectStore("notes").put(text, key);
    await completed(transaction);
  }

  /** Hold a name as long as this page lives. @returns {Promise<(() => void) | undefined>} lets go of it; undefined
   * where somebody holds it. Where the browser refuses locks everybody has it. */
  async hold(name) {
    return hold(name, { ifAvailable: true }).catch(() => () => {});
  }

  /** @returns {Promise<{usage: number, quota: number, persisted: boolean}>} bytes of this site */
  async room() {
    const { usage = 0, quota = 0 } = await navigator.storage.estimate();
    return { usage, quota, persisted: await navigator.storage.persisted() };
  }

  /** The chunks of the image up to `nbytes`, in order, checked; drops a damaged entry.
   * @param {Manifest} manifest  @yields {{at: number, data: Uint8Array}} */
  async *chunks(manifest, nbytes) {
    const chunk = await Chunk.with(this.library);
    /** @type {ReturnType<Store["record"]>[]} */
    const reading = [];
    let begun = 0;
    let end = 0; // of those begun, in the image
    const begin = () => {
      if (begun === manifest.records.length || end >= nbytes) return;
      const record = this.record(manifest, begun);
      record.catch(() => {}); // told when its turn comes
      reading.push(record);
      end += manifest.records[begun].nbytes;
      begun += 1;
    };
    try {
      for (let i = 0; i < AHEAD; i += 1) begin();
      for (let at = 0, index = 0; reading.length; index += 1) {
        const { bytes, hashes } = await reading.shift();
        begin();
        for (let from = 0, hash = 0; from < bytes.length && at < nbytes; from += CHUNK, hash += HASH) {
          const data = bytes.subarray(from, from + CHUNK);
          chunk.bytes.set(data);
          const expected = hashes.subarray(hash, hash + HASH);
          if (hex(chunk.checksum(data.length)) !== hex(expected)) throw damaged(`record ${index} is altered`);
          yield { at, data };
          at += data.length;
        }
      }
    } catch (error) {
      if (!UNREADABLE.includes(error.name)) throw error;
      const version = manifest.layout_version; // another's may have come in its place
      await this.drop(manifest.key, (entry) => entry.layout_version === version).catch(() => {});
      throw damaged(error.message);
    }
  }

  /** A record's bytes, and their hashes: those that the manifest was written with. Whoever wrote them: the entry may
   * have been replaced by an equal one since it was found. */
  async record(manifest, index) {
    const transaction = this.transaction("readonly");
    const entry = await settled(transaction.objectStore("manifests").get(manifest.key));
    const record = entry && (await settled(transaction.objectStore("records").get([writerOf(entry), index])));
    const { nbytes, sha256: expected } = manifest.records[index];
    if (record?.blob?.size !== nbytes) throw damaged(`record ${index} is missing`);
    if (hex(await sha256(record.hashes)) !== expected) throw damaged(`record ${index} is altered`);
    // Whole: slices of a stored blob cannot be read in Chromium's private windows.
    return { bytes: new Uint8Array(await record.blob.arrayBuffer()), hashes: record.hashes };
  }

  /** @param {IDBTransactionMode} mode  @param {IDBTransactionDurability} [durability] */
  transaction(mode, durability = "relaxed") {
    try {
      return this.database.transaction(["manifests", "records", "notes"], mode, { durability });
    } catch (error) {
      throw unavailable(error); // the database was closed under us
    }
  }
}

/** Room for CHUNK bytes in the memory of the compiled library, which checks them where they are. */
class Chunk {
  /** @param {WebAssembly.Module} library */
  static async with(library) {
    const memory = new WebAssembly.Memory({ initial: (START + CHUNK) / PAGE });
    const address = (value) => new WebAssembly.Global({ value: "i32" }, value);
    const env = { memory, __memory_base: address(STATICS), __table_base: address(0) };
    return new Chunk(memory.buffer, (await WebAssembly.instantiate(library, { env })).exports);
  }

  constructor(memory, exports) {
    this.exports = exports;
    this.bytes = new Uint8Array(memory, START, CHUNK);
    this.result = new Uint8Array(memory, RESULT, HASH);
  }

  /** The checksum of the first bytes; those after them may be overwritten. */
  checksum(nbytes) {
    this.exports.checksum(START, nbytes, RESULT);
    return this.result.slice();
  }
}

/** Writes one image in order. At most one finished record waits for the disk while the next one is built. A writer
 * that failed has dropped what it wrote. */
export class Writer {
  /** @param {Store} store  @param {Manifest} manifest  @param {Chunk} chunk  @param {string} name of the writer
   * @param {() => void} release lets go of the lock of that name */
  constructor(store, manifest, chunk, name, release) {
    this.store = store;
    this.manifest = { ...manifest, records: [] };
    this.chunk = chunk;
    this.name = name;
    this.release = release;
    this.used = 0;
    this.reset();
    /** @type {Promise<void>} */
    this.saving = Promise.resolve();
  }

  /** Take bytes (all of them before the first wait, so they may be lent). */
  async append(data) {
    const full = [];
    withBytes(data, (bytes) => {
      for (let at = 0; at < bytes.length; ) {
        const taken = bytes.subarray(at, at + CHUNK - this.used);
        this.chunk.bytes.set(taken, this.used);
        this.used += taken.length;
        at += taken.length;
        if (this.used === CHUNK) this.sealChunk();
        if (this.hashes.length === RECORD / CHUNK) full.push(this.sealRecord());
      }
    });
    await this.orAbort(async () => {
      for (const record of full) await this.save(record);
    });
  }

  /** Write the manifest: from now on the entry is found. */
  async commit() {
    if (this.used) this.sealChunk();
    await this.orAbort(async () => {
      if (this.hashes.length) await this.save(this.sealRecord());
      await this.saving;
      await this.finish();
    });
    this.release();
  }

  async finish() {
    const { key, records, nbytes } = this.manifest;
    const transaction = this.store.transaction("readwrite", "strict");
    const count = await settled(transaction.objectStore("records").count(recordsOf(this.name)));
    const written = records.reduce((sum, record) => sum + record.nbytes, 0);
    if (count !== records.length || written !== nbytes) {
      transaction.abort();
      throw unavailable({ message: `${written} of ${nbytes} bytes in ${count} of ${records.length} records arrived` });
    }
    await remove(transaction, key);
    transaction.objectStore("manifests").put({ ...this.manifest, writer: this.name }, key);
    await completed(transaction);
  }

  /** Drop what was written. */
  async abort() {
    this.reset();
    this.used = 0;
    await this.saving.catch(() => {});
    try {
      const transaction = this.store.transaction("readwrite");
      await remove(transaction, this.manifest.key, (entry) => entry.writer === this.name); // was it committed?
      transaction.objectStore("records").delete(recordsOf(this.name));
      await completed(transaction);
    } finally {
      this.release();
    }
  }

  async orAbort(work) {
    try {
      await work();
    } catch (error) {
      await this.abort().catch(() => {});
      throw error;
    }
  }

  reset() {
    this.parts = [];
    this.hashes = [];
  }

  sealChunk() {
    this.parts.push(new Blob([this.chunk.bytes.subarray(0, this.used)]));
    this.hashes.push(this.chunk.checksum(this.used));
    this.used = 0;
  }

  sealRecord() {
    collectGarbage();
    const record = { blob: new Blob(this.parts), hashes: this.hashes };
    this.reset();
    return record;
  }

  /** Start storing a record when the one before it is on disk. */
  async save({ blob, hashes }) {
    await this.saving;
    this.saving = (async () => {
      const joined = new Uint8Array(await new Blob(hashes).arrayBuffer());
      const index = this.manifest.records.push({ nbytes: blob.size, sha256: hex(await sha256(joined)) }) - 1;
      const transaction = this.store.transaction("readwrite");
      transaction.objectStore("records").put({ blob, hashes: joined }, [this.name, index]);
      await completed(transaction);
    })();
    this.saving.catch(() => {}); // told by the next save or commit
  }
}

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

const writerOf = ({ key, writer = key }) => writer;
const recordsOf = (writer) => IDBKeyRange.bound([writer], [writer, []]); // an array sorts after every number
const sha256 = (bytes) => crypto.subtle.digest("SHA-256", bytes);
const hex = (bytes) => Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
const damaged = (message) => new BridgeError("StoreDamaged", message);
const unavailable = (error) => new BridgeError("StoreUnavailable", error?.message ?? "the browser gave no reason");

/** Delete a key's entry in a transaction, if it is the one that is meant.
 * @param {IDBTransaction} transaction  @param {(entry: Entry) => boolean} [meant] */
async function remove(transaction, key, meant = () => true) {
  const manifests = transaction.objectStore("manifests");
  const entry = await settled(manifests.get(key));
  if (!entry || !meant(entry)) return;
  manifests.delete(key);
  transaction.objectStore("records").delete(recordsOf(writerOf(entry)));
}

/** Hold a lock, which ends with the page or the worker at the latest.
 * @param {LockOptions} [options]  @returns {Promise<(() => void) | undefined>} lets go of it; undefined without it */
function hold(name, options = {}) {
  return new Promise((resolve, reject) => {
    const held = (lock) => (lock ? new Promise((release) => resolve(release)) : resolve(undefined));
    if (!navigator.locks) resolve(() => {});
    else navigator.locks.request(name, options, held).catch(reject);
  });
}

/** The browser keeps the bytes of a dropped blob until the collector finds it, which knows nothing of their number
 * and sees no reason to look: a model would pile up. It does count arrays; these are never touched, so cost nothing. */
function collectGarbage() {
  for (let i = 0; i < 4; i += 1) ballast = new ArrayBuffer(RECORD);
  ballast = null;
}
let ballast = null; // outside, or the compiler could see that the arrays serve no purpose

/** @template T  @param {IDBRequest<T>} request  @returns {Promise<T>} */
function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(unavailable(request.error));
  });
}

/** @param {IDBTransaction} transaction  @returns {Promise<void>} */
function completed(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => {
      const full = transaction.error?.name === "QuotaExceededError";
      reject(full ? new BridgeError("StoreFull", transaction.error.message) : unavailable(transaction.error));
    };
  });
}
