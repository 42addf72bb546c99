/**
 * What the database of converted models holds, and whether it has that shape.
 *
 * `manifests` holds one Entry for each model's key, `records` its image cut into pieces, each a StoredBlob under
 * [writer, index], `notes` short texts. Nothing keeps other programs, other versions and damage out of a database, so
 * whatever is read is looked at before it is used.
 *
 * @typedef {{nbytes: number, checksum: string}} Saved a record as its manifest knows it; the checksum, in hexadecimal,
 *   is that of its `hashes`
 * @typedef {{key: string, layout_version: number, nbytes: number, records: Saved[]}} Manifest with whatever else
 *   the caller put in; crosses as JSON
 * @typedef {Manifest & {writer: string, card: Blob | string}} Entry with what else a load needs, which is long and crosses by
 *   itself; a string where an earlier version wrote it
 * @typedef {{blob: Blob, hashes: Uint8Array}} StoredBlob with the checksums of the blob's chunks, end to end
 */

import { CHUNK, HASH } from "./chunk.js";
import { read, settled } from "./database.js";

const DEEPEST = 16; // levels of JSON in a manifest
const CHECKSUM = new RegExp(`^[0-9a-f]{${2 * HASH}}$`);

/** @param {unknown} value  @param {IDBValidKey} key that it is kept under  @returns {value is Entry} */
export function isEntry(value, key) {
  if (!isObject(value)) return false;
  const { card, ...rest } = value;
  if (!(card instanceof Blob || typeof card === "string") || !isJson(rest, DEEPEST)) return false;
  const { layout_version: version, nbytes, records, writer } = value;
  if (value.key !== key || typeof key !== "string" || typeof writer !== "string") return false;
  if (!isCount(version) || !isCount(nbytes) || !Array.isArray(records)) return false;
  if (!records.every(isSaved)) return false;
  return records.reduce((sum, saved) => sum + saved.nbytes, 0) === nbytes;
}

/** Whether it was written for another layout of the weights, whatever else is in it.
 * @param {any} value  @param {number} layoutVersion */
export const isOfAnotherLayout = (value, layoutVersion) =>
  isObject(value) && isCount(value.layout_version) && value.layout_version !== layoutVersion;

/** @param {unknown} value  @param {number} nbytes  @returns {value is StoredBlob} */
export function isStoredBlob(value, nbytes) {
  if (!isObject(value)) return false;
  const { blob, hashes } = value;
  if (!(blob instanceof Blob) || blob.size !== nbytes) return false;
  return hashes instanceof Uint8Array && hashes.length === HASH * Math.ceil(nbytes / CHUNK);
}

/** All records of a writer. @param {string} writer */
export const recordsOf = (writer) => IDBKeyRange.bound([writer], [writer, []]); // an array sorts after every number

/** The entry of a key, or undefined where there is none that can be used.
 * @param {IDBObjectStore} manifests  @param {IDBValidKey} key  @returns {Promise<Entry | undefined>} */
export async function entryOf(manifests, key) {
  const value = await read(manifests, key);
  return isEntry(value, key) ? value : undefined;
}

/** A record's bytes, and the checksums of its chunks, which are still to be checked; undefined where it is missing, or
 * cannot be read. Whoever wrote them: the entry may have been replaced by an equal one since it was found.
 * @param {import("./database.js").Database} database  @param {string} key of the entry  @param {number} index
 * @param {number} nbytes  @returns {Promise<{bytes: Uint8Array<ArrayBuffer>, hashes: Uint8Array} | undefined>} */
export async function storedRecord(database, key, index, nbytes) {
  try {
    const record = await database.within("readonly", async ({ manifests, records }) => {
      const entry = await entryOf(manifests, key);
      return entry && read(records, [entry.writer, index]);
    });
    if (!isStoredBlob(record, nbytes)) return undefined;
    // Whole: slices of a stored blob cannot be read in Chromium's private windows.
    return { bytes: new Uint8Array(await record.blob.arrayBuffer()), hashes: record.hashes };
  } catch {
    return undefined;
  }
}

/** Delete a key's entry if it is the one that is meant, or cannot be used at all.
 * @param {import("./database.js").Stores} stores  @param {string} key  @param {(entry: Entry) => boolean} [meant] */
export async function remove({ manifests, records }, key, meant = () => true) {
  const entry = await entryOf(manifests, key);
  if (entry && !meant(entry)) return;
  manifests.delete(key);
  if (entry) records.delete(recordsOf(entry.writer));
}

/** Delete entries that cannot be used, and of some records those for which no entry speaks.
 * @param {import("./database.js").Stores} stores  @param {IDBValidKey[]} ids of records
 * @param {string[]} living writers whose entry may come yet */
export async function removeLeft({ manifests, records }, ids, living) {
  const writers = new Set(living);
  for (const key of await settled(manifests.getAllKeys())) {
    const entry = await entryOf(manifests, key);
    if (entry) writers.add(entry.writer);
    else manifests.delete(key);
  }
  for (const id of ids) {
    const [writer] = Array.isArray(id) ? id : [];
    if (typeof writer !== "string" || !writers.has(writer)) records.delete(id);
  }
}

/** @param {unknown} value  @returns {value is Record<string, any>} */
const isObject = (value) =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype;

/** @param {unknown} value  @returns {value is number} */
const isCount = (value) => Number.isSafeInteger(value) && Number(value) > 0;

/** @param {unknown} value  @returns {value is Saved} */
const isSaved = (value) =>
  isObject(value) && isCount(value.nbytes) && typeof value.checksum === "string" && CHECKSUM.test(value.checksum);

/** Whether JSON gives it back as it is. @param {unknown} value  @param {number} depth  @returns {boolean} */
function isJson(value, depth) {
  if (value === null || typeof value === "string" || typeof value === "boolean") return true;
  if (typeof value === "number") return Number.isFinite(value);
  if (depth === 0 || !(Array.isArray(value) || isObject(value))) return false;
  return Object.values(value).every((part) => isJson(part, depth - 1));
}
