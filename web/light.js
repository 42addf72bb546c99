/**
 * Objects of the page as Python in a worker holds them. Python asks each object that it meets for the first time some
 * twenty questions (has it a length, can it be gone through, ...), and to an object of the page each question is a call
 * into the page. Of a light one Python sees nothing but its properties and methods, which are asked for when they are used.
 */

/** @type {WeakMap<object, any>} of each light object what it stands for */
const meant = new WeakMap();

// What Python asks by name, of no use where it is asked of elements.
const ASKED = new Set(["then", "next", "length", "size", "get", "set", "has", "includes", "constructor"]);

/**
 * A module of the page. Each of its functions promises what it gives, and that promise is an object of this worker.
 * @param {Record<string, any>} modules that Python can import  @param {string} name
 */
export function module(modules, name) {
  const found = modules[name];
  return new Proxy({}, {
    get: (_, key) => (typeof key === "symbol" || ASKED.has(key) ? undefined
      : async (/** @type {any[]} */ ...given) => found[key](...given.map(heavy))),
  });
}

/** @param {any} value that Python gives */
const heavy = (value) => meant.get(value) ?? value;

/** @param {any} value of the page  @param {any} [owner] whose method it is, if it is one  @returns {any} */
export function light(value, owner) {
  if (value === null || (typeof value !== "object" && typeof value !== "function")) return value;
  /** @type {ProxyHandler<any>} */
  const handler = {
    get: (_, key) => (typeof key === "symbol" || ASKED.has(key) ? undefined : light(value[key], value)),
    set(_, key, given) {
      value[key] = heavy(given);
      return true;
    },
    has: (target, key) => key in target,
    apply: (_, self, given) => light(Reflect.apply(value, owner, given.map(heavy))),
    construct: (_, given) => light(Reflect.construct(value, given.map(heavy))),
  };
  const seen = new Proxy(typeof value === "function" ? class {} : {}, handler);
  meant.set(seen, value);
  return seen;
}
