/**
 * The IndexedDB database of converted models: opened in the one shape that this version knows, and its transactions.
 *
 * Browsers refuse storage in many ways, at once or later, by an exception or by an event. All of them end in a
 * BridgeError StoreFull or StoreUnavailable.
 */

import { BridgeError } from "./bridge.js";

const VERSION = 2;
const KINDS = ["manifests", "records", "notes"]; // object stores, each with keys of its own
const BLOCKED_MS = 3000; // that another tab has to let go of a database that has to change

/** @typedef {{manifests: IDBObjectStore, records: IDBObjectStore, notes: IDBObjectStore}} Stores */

export class Database {
  /**
   * Open a database. One of another shape is dropped and made anew; one of a newer version is left alone.
   * @param {string} name  @returns {Promise<Database>}
   */
  static async open(name) {
    try {
      const there = await Database.asItIs(name);
      if (there) return there;
      await ended(indexedDB.deleteDatabase(name));
      return new Database(await connected(name), true);
    } catch (error) {
      throw told(error);
    }
  }

  /** The database, unless it has another shape: then it is left alone.
   * @param {string} name  @returns {Promise<Database | undefined>} */
  static async asItIs(name) {
    const connection = await connected(name);
    if (fits(connection)) return new Database(connection, false);
    connection.close();
    return undefined;
  }

  /** @param {IDBDatabase} connection  @param {boolean} remade what was in it had another shape and is gone */
  constructor(connection, remade) {
    this.connection = connection;
    this.remade = remade;
    connection.onversionchange = () => connection.close();
  }

  /**
   * What `use` gives, once its transaction is complete. Nothing of it stays when anything fails.
   * @template T
   * @param {IDBTransactionMode} mode  @param {(stores: Stores) => T | Promise<T>} use waits for requests only
   * @param {IDBTransactionDurability} [durability]
   * @returns {Promise<T>}
   */
  async within(mode, use, durability = "relaxed") {
    try {
      const transaction = this.connection.transaction(KINDS, mode, { durability });
      const completed = complete(transaction);
      completed.catch(() => {}); // told below
      try {
        const [manifests, records, notes] = KINDS.map((kind) => transaction.objectStore(kind));
        const result = await use({ manifests, records, notes });
        await completed;
        return result;
      } catch (error) {
        end(transaction);
        throw (await completed.catch((reason) => reason)) ?? error; // the transaction's own reason says more
      }
    } catch (error) {
      throw told(error);
    }
  }
}

/** @template T  @param {IDBRequest<T>} request  @returns {Promise<T>} */
export function settled(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** The value of a key; undefined also where the browser cannot give it, as when it lost the file behind it.
 * @param {IDBObjectStore} store  @param {IDBValidKey} key  @returns {Promise<unknown>} */
export function read(store, key) {
  const request = store.get(key);
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = (event) => {
      if (request.error?.name === "AbortError") return reject(request.error);
      event.preventDefault(); // or the transaction would end
      resolve(undefined);
    };
  });
}

/** Any failure of the storage as a BridgeError. @param {any} error  @returns {BridgeError} */
export function told(error) {
  if (error instanceof BridgeError) return error;
  const name = error?.name === "QuotaExceededError" ? "StoreFull" : "StoreUnavailable";
  return new BridgeError(name, error?.message || error?.name || "the browser gave no reason");
}

/** @param {string} name  @returns {Promise<IDBDatabase>} */
function connected(name) {
  const request = indexedDB.open(name, VERSION);
  request.onupgradeneeded = () => {
    for (const kind of KINDS) {
      if (!request.result.objectStoreNames.contains(kind)) request.result.createObjectStore(kind);
    }
  };
  return ended(request);
}

/** The result of a request that other tabs may block. @template T  @param {IDBOpenDBRequest} request
 * @returns {Promise<IDBDatabase>} undefined of one that deletes */
function ended(request) {
  return new Promise((resolve, reject) => {
    let late = false;
    request.onsuccess = () => (late ? request.result?.close() : resolve(request.result));
    request.onerror = () => reject(request.error);
    request.onblocked = () => {
      setTimeout(() => {
        late = true;
        reject(new BridgeError("StoreUnavailable", "another tab holds the database"));
      }, BLOCKED_MS);
    };
  });
}

/** Whether values can be put under keys of our own. @param {IDBDatabase} connection */
function fits(connection) {
  if (!KINDS.every((kind) => connection.objectStoreNames.contains(kind))) return false;
  const transaction = connection.transaction(KINDS, "readonly");
  return KINDS.every((kind) => {
    const { keyPath, autoIncrement, indexNames } = transaction.objectStore(kind);
    return keyPath === null && !autoIncrement && indexNames.length === 0;
  });
}

/** @param {IDBTransaction} transaction  @returns {Promise<void>} */
function complete(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = () => reject(transaction.error);
  });
}

/** @param {IDBTransaction} transaction */
function end(transaction) {
  try {
    transaction.abort();
  } catch {
    // it is over already
  }
}
