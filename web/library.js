/** Libraries that are classic scripts, loaded when there is something to do for them. */

/** @type {Map<string, Promise<unknown>>} */
const loading = new Map(); // by address

/** Load a script, once; one that did not come is asked for again the next time.
 * @param {string} url  @returns {Promise<unknown>} */
export function library(url) {
  const known = loading.get(url);
  if (known) return known;
  const loaded = new Promise((resolve, reject) => {
    const script = document.createElement("script");
    Object.assign(script, { src: url, onload: resolve, onerror: () => reject(new Error(url)) });
    document.head.append(script);
  });
  loading.set(url, loaded);
  loaded.catch(() => loading.delete(url));
  return loaded;
}
