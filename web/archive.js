/**
 * What a person wants to keep: texts, each of a kind and with an id, in a database of their own, because that of the
 * converted models is dropped and made anew where something is wrong with it.
 *
 * Every failure is a BridgeError: StoreUnavailable where the browser refuses, or StoreFull.
 */

import { settled, told } from "./database.js";

const VERSION = 1;
const TEXTS = "texts"; // the object store: text by [kind, id]

/** @returns {Promise<Archive>} */
export async function open(name = "sotto-texts") {
  try {
    const request = indexedDB.open(name, VERSION);
    request.onupgradeneeded = () => request.result.createObjectStore(TEXTS);
    return new Archive(await settled(request));
  } catch (error) {
    throw told(error);
  }
}

class Archive {
  /** @param {IDBDatabase} connection */
  constructor(connection) {
    this.connection = connection;
    connection.onversionchange = () => connection.close();
  }

  /**
   * What `use` gives, once it is safely there.
   * @template T
   * @param {IDBTransactionMode} mode  @param {(texts: IDBObjectStore) => Promise<T>} use waits for requests only
   * @returns {Promise<T>}
   */
  async within(mode, use) {
    try {
      const transaction = this.connection.transaction(TEXTS, mode, { durability: "strict" });
      const done = new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onabort = () => reject(transaction.error);
      });
      const [result] = await Promise.all([use(transaction.objectStore(TEXTS)), done]);
      return result;
    } catch (error) {
      throw told(error);
    }
  }

  /** All of a kind, as JSON [[id, text]]. @param {string} kind  @returns {Promise<string>} */
  all(kind) {
    const range = IDBKeyRange.bound([kind], [kind, []]); // an array sorts after every text
    return this.within("readonly", async (texts) => {
      const [keys, values] = await Promise.all([settled(texts.getAllKeys(range)), settled(texts.getAll(range))]);
      return JSON.stringify(keys.map((key, i) => [/** @type {string[]} */ (key)[1], values[i]]));
    });
  }

  /** Keep a text, where there is still what was `seen` there last; "" for nothing. Whether it is kept.
   * @param {string} kind  @param {string} id  @param {string} text  @param {string} seen  @returns {Promise<boolean>} */
  put(kind, id, text, seen) {
    return this.within("readwrite", async (texts) => {
      if (((await settled(texts.get([kind, id]))) ?? "") !== seen) return false;
      await settled(texts.put(text, [kind, id]));
      return true;
    });
  }

  /** @param {string} kind  @param {string} id  @returns {Promise<undefined>} */
  remove(kind, id) {
    return this.within("readwrite", (texts) => settled(texts.delete([kind, id])));
  }
}
