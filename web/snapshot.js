/**
 * Python as it stood once it had started: its memory, the libraries that it had loaded, its files. From this it starts
 * several times as fast as from nothing. One snapshot is kept, of one version of everything that it was made of.
 *
 * What a memory's pointers mean depends on where the libraries were loaded. So they are loaded before Python begins, both
 * when a snapshot is made (snapshot_worker.js) and when it is used; then each gets the same place.
 *
 * @typedef {[string, number, number]} Piece a path, and where its bytes begin and end
 * @typedef {object} Header  where everything lies, behind the header, in bytes
 * @property {[number, number]} state  what Pyodide says of its objects
 * @property {number} memory  bytes of Python's memory
 * @property {[number, number][]} runs  first page and count of pages that are not zero
 * @property {number} pages  where their contents begin
 * @property {Base} base  where the libraries ended when they had been loaded
 * @property {number} table  length of the table of functions
 * @property {[string, string][]} handles  of the libraries that Python holds, with their paths
 * @property {Piece[]} libraries in the order in which they are loaded
 * @property {Piece[]} files
 * @typedef {{memory: number, table: number}} Base
 */

export const PAGE = 4096; // bytes
export const NAME = "sotto.python"; // begins the names of the caches, one for each place of the page
const TRIED = "tried"; // an address in it: how often Python was started from the snapshot without coming to an end
const PATIENCE = 2; // such starts; pages are also closed or opened again meanwhile
const FORMAT = 2; // of what is kept; another with every change of what makes one

const root = new URL(".", import.meta.url);
const CACHE = `${NAME} ${root.pathname}`;
/** @param {string} name */
const at = (name) => new URL(`snapshot/${name}`, root).href;

/** @param {BufferSource} bytes */
export async function digest(bytes) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * The name of the snapshot that may be used: of all that goes into one.
 * @param {ArrayBuffer} app the page's Python  @param {ArrayBuffer} lock Pyodide's list of packages  @param {string} version
 */
export async function nameOf(app, lock, version) {
  const parts = await Promise.all([app, lock].map(digest));
  const text = [FORMAT, version, navigator.userAgent, ...parts].join("\n");
  return digest(new TextEncoder().encode(text));
}

/** Whether this browser can keep one. Memory for a second Python is not everywhere. */
export const possible = "caches" in globalThis && (navigator.deviceMemory ?? Infinity) >= 4;

/**
 * The snapshot of a name, if it is whole, and has not been tried too often without `works` being called.
 * @param {string} name  @returns {Promise<ArrayBuffer | undefined>}
 */
export async function kept(name) {
  const cache = await caches.open(CACHE);
  const [response, tried] = await Promise.all([cache.match(at(name)), cache.match(at(TRIED))]);
  const tries = Number((await tried?.text()) ?? 0);
  if (!response || tries >= PATIENCE) return undefined;
  cache.put(at(TRIED), new Response(String(tries + 1))).catch(() => {});
  const bytes = await response.arrayBuffer();
  return (await digest(bytes)) === response.headers.get("ETag") ? bytes : undefined;
}

/** Python runs, started from the snapshot. */
export async function works() {
  await (await caches.open(CACHE)).delete(at(TRIED));
}

/** Keep a snapshot in place of all others. @param {string} name  @param {Uint8Array<ArrayBuffer>} bytes */
export async function keep(name, bytes) {
  await drop();
  const headers = { "Content-Type": "application/octet-stream", ETag: await digest(bytes) };
  await (await caches.open(CACHE)).put(at(name), new Response(bytes, { headers }));
}

/** Keep none. */
export async function drop() {
  await caches.delete(CACHE);
}

/**
 * The end of a snapshot's header, and what it says. Throws where it cannot be one.
 * @param {ArrayBuffer} bytes  @returns {[Header, (from: number, to: number) => Uint8Array<ArrayBuffer>]} and what gives parts
 */
export function opened(bytes) {
  const [length] = new Uint32Array(bytes, 0, 1);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
  const start = 4 + length;
  return [header, (from, to) => new Uint8Array(bytes, start + from, to - from)];
}

/** Write files into Pyodide's, which keep these very bytes. @param {any} FS  @param {[string, Uint8Array][]} files */
export function putFiles(FS, files) {
  const made = new Set();
  for (const [path, bytes] of files) {
    const folder = path.slice(0, path.lastIndexOf("/"));
    if (!made.has(folder)) FS.mkdirTree(folder);
    made.add(folder);
    FS.writeFile(path, bytes, { canOwn: true });
  }
}

/**
 * Load libraries before Python begins.
 * @param {any} module Pyodide's Emscripten module, whose runtime does not run yet
 * @param {[string, Promise<WebAssembly.Module>][]} libraries  @returns {Promise<Base>}
 */
export async function loadLibraries(module, libraries) {
  for (const [path, compiled] of libraries) {
    const flags = { loadAsync: true, global: false, nodelete: true };
    const exports = await module.loadWebAssemblyModule(await compiled, flags, path, {});
    Object.assign(module.newDSO(path, undefined, exports), { refcount: Infinity, global: false });
  }
  const top = module._emscripten_get_sbrk_ptr();
  return { memory: module.HEAPU32[top >>> 2], table: module.wasmTable.length };
}

/**
 * What makes Pyodide's Emscripten module as usual, with libraries in it.
 * @param {string} folder of Pyodide's files  @param {[string, Promise<WebAssembly.Module>][]} libraries
 * @param {(base: Base) => void} loaded hears where they ended; may throw
 */
export function maker(folder, libraries, loaded) {
  return async (/** @type {any} */ settings) => {
    const { default: make } = await import(`${folder}pyodide.asm.mjs`);
    /** @type {unknown} */
    let fault;
    settings.preRun.push(async (/** @type {any} */ module) => {
      module.addRunDependency("libraries");
      try {
        loaded(await loadLibraries(module, libraries));
      } catch (error) {
        fault = error;
      }
      module.removeRunDependency("libraries");
    });
    const module = await make(settings);
    if (fault) throw fault;
    return module;
  };
}

/** As Pyodide's, from a snapshot. Throws where that cannot be.
 * @param {any} pyodide its module  @param {string} folder of its files  @param {object} options  @param {ArrayBuffer} bytes */
export async function restored(pyodide, folder, options, bytes) {
  const [header, part] = opened(bytes);
  const libraries = header.libraries.map(([path, from, to]) =>
    /** @type {[string, Promise<WebAssembly.Module>]} */ ([path, WebAssembly.compile(part(from, to))]));
  const make = maker(folder, libraries, (base) => {
    if (base.memory !== header.base.memory || base.table !== header.base.table) throw new Error("Other libraries.");
  });
  async function createPyodideModule(/** @type {any} */ settings) {
    const module = await make(settings);
    fill(module, header, part);
    return module;
  }
  const python = await pyodide.loadPyodide({
    ...options,
    packages: [],
    indexURL: folder,
    fsInit: (/** @type {any} */ FS) => putFiles(FS, header.files.map(([path, from, to]) => [path, part(from, to).slice()])),
    _loadSnapshot: part(...header.state), // of the objects alone: the memory is filled above
    createPyodideModule,
  });
  Object.assign(python.loadedPackages, { numpy: "default channel" });
  python.runPython("import random; random.seed()"); // or every start would draw the same
  return python;
}

/** Put memory and tables into the state of a snapshot.
 * @param {any} module  @param {Header} header  @param {(from: number, to: number) => Uint8Array} part */
function fill(module, header, part) {
  if (module.wasmTable.length > header.table) throw new Error("Other functions.");
  module.wasmTable.grow(header.table - module.wasmTable.length);
  for (const [handle, path] of header.handles) module.LDSO.loadedLibsByHandle[handle] = module.LDSO.loadedLibsByName[path];
  if (module.HEAPU8.length < header.memory) module.growMemory(header.memory);
  let done = 0; // bytes of the memory
  let from = header.pages;
  for (const [page, count] of header.runs) {
    module.HEAPU8.fill(0, done, page * PAGE);
    module.HEAPU8.set(part(from, from + count * PAGE), page * PAGE);
    done = (page + count) * PAGE;
    from += count * PAGE;
  }
  module.HEAPU8.fill(0, done);
}
