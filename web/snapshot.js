/**
 * Python as it stood once it had started: its memory, the libraries that it had loaded, its files. From this it starts
 * several times as fast as from nothing. One snapshot is kept, of one version of everything that it was made of.
 *
 * What a memory's pointers mean depends on where the libraries were loaded. So they are loaded before Python begins, both
 * when a snapshot is made (snapshot_worker.js) and when it is used; then each gets the same place.
 *
 * @typedef {[string, number, number]} Piece a path, and where its bytes begin and end
 * @typedef {object} Header  what there is, and where in the body; small, so that a start need not wait for the body
 * @property {number[]} state  what Pyodide says of its objects, byte by byte
 * @property {string[]} digests  of the body's two parts, before its pages and from there on
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
const BODY = "body"; // another: of the one snapshot
const PATIENCE = 2; // such starts; pages are also closed or opened again meanwhile
const FORMAT = 6; // of what is kept; another with every change of what makes one

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
 * What a snapshot's name is made of.
 * @typedef {{app: ArrayBuffer, lock: ArrayBuffer, version: string}} Of the page's Python, Pyodide's list of packages, and
 *   its version
 */

/** A file that goes into it. @param {string} url */
export async function bytesOf(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return response.arrayBuffer();
}

/** The name of the snapshot that may be used: of all that goes into one. @param {Of} of */
export async function nameOf({ app, lock, version }) {
  const parts = await Promise.all([app, lock].map(digest));
  const text = [FORMAT, version, navigator.userAgent, ...parts].join("\n");
  return digest(new TextEncoder().encode(text));
}

/** Whether this browser can keep one. Memory for a second Python is not everywhere. */
export const possible = "caches" in globalThis && (navigator.deviceMemory ?? Infinity) >= 4;

/**
 * @typedef {object} Snapshot
 * @property {Header} header
 * @property {Promise<ArrayBuffer>} [body]  rejected where it is not whole; gone when it has been used
 */

/**
 * The snapshot of a name, if there is one, and it has not been tried too often without `works` being called.
 * @param {Promise<string>} naming  which is not waited for before the body, the largest part, is read
 * @returns {Promise<Snapshot | undefined>}
 */
export async function kept(naming) {
  const cache = await caches.open(CACHE);
  const [body, tried] = await Promise.all([at(BODY), at(TRIED)].map((url) => cache.match(url)));
  const tries = Number((await tried?.text()) ?? 0);
  if (!body || tries >= PATIENCE) return undefined;
  const reading = body.arrayBuffer();
  reading.catch(() => {}); // told below
  const name = await naming;
  const head = name && (await cache.match(at(name)));
  if (!head) return undefined;
  cache.put(at(TRIED), new Response(String(tries + 1))).catch(() => {});
  const text = await head.arrayBuffer();
  if ((await digest(text)) !== head.headers.get("ETag")) return undefined;
  const header = JSON.parse(new TextDecoder().decode(text));
  return { header, body: whole(reading, header) };
}

/** @param {Promise<ArrayBuffer>} reading  @param {Header} header */
async function whole(reading, { pages, digests }) {
  const bytes = await reading;
  const parts = [new Uint8Array(bytes, 0, pages), new Uint8Array(bytes, pages)];
  const found = await Promise.all(parts.map(digest));
  if (found.join() !== digests.join()) throw new Error("It is damaged.");
  return bytes;
}

/** Python runs, started from the snapshot. */
export async function works() {
  await (await caches.open(CACHE)).delete(at(TRIED));
}

/** Keep a snapshot in place of all others.
 * @param {string} name  @param {Omit<Header, "digests">} header  @param {Uint8Array<ArrayBuffer>[]} parts of the body */
export async function keep(name, header, parts) {
  const digests = [];
  for (const part of parts) digests.push(await digest(part)); // each is copied for it, and no longer there when the next is
  await drop();
  const cache = await caches.open(CACHE);
  await cache.put(at(BODY), new Response(new Blob(parts)));
  const text = new TextEncoder().encode(JSON.stringify({ ...header, digests }));
  await cache.put(at(name), new Response(text, { headers: { ETag: await digest(text) } })); // last: it speaks for the body
}

/** Keep none. */
export async function drop() {
  await caches.delete(CACHE);
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
 * What makes Pyodide's Emscripten module as usual, with more done before Python begins.
 * @param {string} folder of Pyodide's files
 * @param {(module: any) => Promise<void>} prepare while the module's runtime does not run yet
 */
export function maker(folder, prepare) {
  return async (/** @type {any} */ settings) => {
    const { default: make } = await import(`${folder}pyodide.asm.mjs`);
    /** @type {unknown} */
    let fault;
    settings.preRun.push(async (/** @type {any} */ module) => {
      module.addRunDependency("snapshot");
      try {
        await prepare(module);
      } catch (error) {
        fault = error;
      }
      module.removeRunDependency("snapshot");
    });
    const module = await make(settings);
    if (fault) throw fault;
    return module;
  };
}

/** As Pyodide's, from a snapshot, whose body is then let go of: Pyodide keeps what it was given, these functions too, and
 * so would keep the body for as long as the page lives. Throws where that cannot be.
 * @param {any} pyodide its module  @param {string} folder of its files  @param {object} settings of loadPyodide
 * @param {Snapshot} snapshot */
export async function restored(pyodide, folder, settings, snapshot) {
  const { header } = snapshot;
  /** @param {ArrayBuffer} bytes  @param {number} from  @param {number} to */
  const part = (bytes, from, to) => new Uint8Array(bytes, from, to - from);
  const make = maker(folder, async (module) => {
    const bytes = await taken(snapshot);
    putFiles(module.FS, header.files.map(([path, from, to]) => [path, part(bytes, from, to).slice()]));
    const base = await loadLibraries(module, header.libraries.map(([path, from, to]) =>
      [path, WebAssembly.compile(part(bytes, from, to))]));
    if (base.memory !== header.base.memory || base.table !== header.base.table) throw new Error("Other libraries.");
  });
  const python = await pyodide.loadPyodide({
    ...settings,
    packages: [],
    _loadSnapshot: new Uint8Array(header.state), // of the objects alone: the memory is filled below
    createPyodideModule: async (/** @type {any} */ given) => {
      const module = await make(given);
      fill(module, header, await taken(snapshot));
      delete snapshot.body;
      return module;
    },
  });
  Object.assign(python.loadedPackages, { numpy: "default channel" });
  python.runPython("import random; random.seed()"); // or every start would draw the same
  return python;
}

/** The body of a snapshot that has not been used yet. @param {Snapshot} snapshot  @returns {Promise<ArrayBuffer>} */
const taken = ({ body }) => /** @type {Promise<ArrayBuffer>} */ (body);

/** Put memory and tables into the state of a snapshot.
 * @param {any} module  @param {Header} header  @param {ArrayBuffer} body */
function fill(module, header, body) {
  if (module.wasmTable.length > header.table) throw new Error("Other functions.");
  module.wasmTable.grow(header.table - module.wasmTable.length);
  for (const [handle, path] of header.handles) module.LDSO.loadedLibsByHandle[handle] = module.LDSO.loadedLibsByName[path];
  if (module.HEAPU8.length < header.memory) module.growMemory(header.memory);
  let done = 0; // bytes of the memory
  let from = header.pages;
  for (const [page, count] of header.runs) {
    module.HEAPU8.fill(0, done, page * PAGE);
    module.HEAPU8.set(new Uint8Array(body, from, count * PAGE), page * PAGE);
    done = (page + count) * PAGE;
    from += count * PAGE;
  }
  module.HEAPU8.fill(0, done);
}
