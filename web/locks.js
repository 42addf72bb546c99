/**
 * Names that one page or worker holds at a time. A browser that has no locks, or refuses them, gives every name to
 * everybody and knows of no holder.
 */

/** Hold a name, which ends with the page or the worker at the latest.
 * @param {string} name  @param {LockOptions} [options]
 * @returns {Promise<(() => void) | undefined>} lets go of it; undefined where it cannot be had now */
export function hold(name, options = {}) {
  return new Promise((resolve) => {
    const everybody = () => resolve(() => {});
    /** @param {Lock | null} lock */
    const held = (lock) => (lock ? new Promise((release) => resolve(() => release(undefined))) : resolve(undefined));
    try {
      navigator.locks.request(name, options, held).catch(everybody);
    } catch {
      everybody();
    }
  });
}

/** Hold a name as soon as nobody else does. @param {string} name
 * @returns {Promise<() => void>} lets go of it */
export const wait = async (name) => (await hold(name)) ?? (() => {});

/** The names that are held. @returns {Promise<string[]>} */
export async function holders() {
  try {
    const { held = [] } = await navigator.locks.query();
    return held.map(({ name }) => name ?? "");
  } catch {
    return [];
  }
}
