/**
 * PyScript opens a database of its own before it starts Python, and keeps nothing in it here. Where a browser refuses
 * databases (blocked site data) or never answers, Python would not start. So PyScript is given an empty one without a
 * browser behind it.
 */

const THEIRS = "IDBMap/"; // begins the names of PyScript's databases

/** A request that succeeds as soon as its handlers are there. @param {unknown} [result] */
function answered(result) {
  /** @type {{result: unknown, onsuccess?: (event: {target: object}) => void}} */
  const request = { result };
  queueMicrotask(() => request.onsuccess?.({ target: request }));
  return request;
}

const store = {
  count: () => answered(0),
  getAllKeys: () => answered([]),
  get: () => answered(),
  getKey: () => answered(),
  put: () => answered(),
  delete: () => answered(),
  clear: () => answered(),
};
const empty = { objectStoreNames: { length: 1 }, transaction: () => ({ objectStore: () => store }), close() {} };

/** From now on, in this page or worker. */
export function giveNoDatabase() {
  /** @type {IDBFactory | undefined} */
  let real;
  try {
    real = globalThis.indexedDB;
  } catch { /* refused as a whole */ }
  /** @param {string} name  @param {number} [version]  @returns {any} */
  function open(name, version) {
    if (name.startsWith(THEIRS)) return answered(empty);
    if (!real) throw new DOMException("This browser has no databases.", "NotSupportedError");
    return IDBFactory.prototype.open.call(real, name, version);
  }
  if (real) real.open = open;
  else Object.defineProperty(globalThis, "indexedDB", { configurable: true, value: { open } });
}
