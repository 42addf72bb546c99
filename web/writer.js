/** Writes one converted model into the cache. */

import { BridgeError, withBytes } from "./bridge.js";
import { CHUNK, hex, HASH } from "./chunk.js";
import { settled, told } from "./database.js";
import { recordsOf, remove } from "./entry.js";

export const RECORD = 16 << 20; // bytes, but for the last record of an image

/** Writes an image in order. At most one finished record waits for the disk while the next one is built. A writer that
 * failed has dropped what it wrote. */
export class Writer {
  /**
   * @param {import("./database.js").Database} database
   * @param {Omit<import("./entry.js").Entry, "writer">} manifest its records still to come
   * @param {import("./chunk.js").Chunk} chunk  @param {string} name of the writer
   * @param {() => void} release lets go of the lock of that name
   */
  constructor(database, manifest, chunk, name, release) {
    this.database = database;
    this.manifest = { ...manifest, records: /** @type {import("./entry.js").Saved[]} */ ([]) };
    this.chunk = chunk;
    this.name = name;
    this.release = release;
    this.used = 0;
    /** @type {Blob[]} */
    this.parts = [];
    /** @type {Uint8Array[]} */
    this.hashes = [];
    /** @type {Promise<void>} */
    this.saving = Promise.resolve();
  }

  /** Take bytes (all of them before the first wait, so they may be lent).
   * @param {Parameters<typeof withBytes>[0]} data */
  async append(data) {
    await this.orAbort(async () => {
      /** @type {ReturnType<Writer["sealRecord"]>[]} */
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
      for (const record of full) await this.save(record);
    });
  }

  /** Write the manifest: from now on the entry is found. */
  async commit() {
    await this.orAbort(async () => {
      if (this.used) this.sealChunk();
      if (this.hashes.length) await this.save(this.sealRecord());
      await this.saving;
      await this.finish();
    });
    this.release();
  }

  async finish() {
    const { key, records, nbytes } = this.manifest;
    const written = records.reduce((sum, record) => sum + record.nbytes, 0);
    await this.database.within("readwrite", async (stores) => {
      const count = await settled(stores.records.count(recordsOf(this.name)));
      if (count !== records.length || written !== nbytes) {
        const message = `${written} of ${nbytes} bytes in ${count} of ${records.length} records arrived`;
        throw new BridgeError("StoreUnavailable", message);
      }
      await remove(stores, key);
      stores.manifests.put({ ...this.manifest, writer: this.name }, key);
    }, "strict");
  }

  /** Drop what was written. */
  async abort() {
    this.reset();
    this.used = 0;
    await this.saving.catch(() => {});
    try {
      await this.database.within("readwrite", async (stores) => {
        await remove(stores, this.manifest.key, (entry) => entry.writer === this.name); // was it committed?
        stores.records.delete(recordsOf(this.name));
      });
    } finally {
      this.release();
    }
  }

  /** @param {() => Promise<void>} work */
  async orAbort(work) {
    try {
      await work();
    } catch (error) {
      await this.abort().catch(() => {});
      throw told(error);
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

  /** The record of the chunks so far. There is no chunk under way: its place is used for the checksum. */
  sealRecord() {
    collectGarbage();
    const hashes = new Uint8Array(HASH * this.hashes.length);
    this.hashes.forEach((hash, i) => hashes.set(hash, HASH * i));
    const record = { blob: new Blob(this.parts), hashes, checksum: this.chunk.sum(hashes) };
    this.reset();
    return record;
  }

  /** Start storing a record when the one before it is on disk. @param {ReturnType<Writer["sealRecord"]>} record */
  async save({ blob, hashes, checksum }) {
    await this.saving;
    const index = this.manifest.records.push({ nbytes: blob.size, checksum }) - 1;
    this.saving = this.database.within("readwrite", ({ records }) => {
      records.put({ blob, hashes }, [this.name, index]);
    });
    this.saving.catch(() => {}); // told by the next save or commit
  }
}

/** A name that no other writer has: browsers give a UUID to secure pages only. @param {string} key */
export const newName = (key) => `${hex(crypto.getRandomValues(new Uint8Array(16)))} ${key}`;

/** The browser keeps the bytes of a dropped blob until the collector finds it, which knows nothing of their number
 * and sees no reason to look: a model would pile up. It does count arrays; these are never touched, so cost nothing. */
function collectGarbage() {
  for (let i = 0; i < 4; i += 1) ballast = new ArrayBuffer(RECORD);
  ballast = null;
}
/** @type {ArrayBuffer | null} */
let ballast = null; // outside, or the compiler could see that the arrays serve no purpose
