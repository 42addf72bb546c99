/**
 * Makes a snapshot of Python (snapshot.js) and keeps it: starts a Python of its own with the libraries and files of the
 * page's, imports what the page's has imported, as far as that needs no page, and takes its memory.
 *
 * The message that begins it is a Job; it answers with nothing when it is done, and with why when it failed.
 *
 * @typedef {object} Job
 * @property {string} name  of the snapshot
 * @property {string} folder  of Pyodide's files
 * @property {[string, Uint8Array<ArrayBuffer>][]} libraries
 * @property {[string, Uint8Array<ArrayBuffer>][]} files
 * @property {string[]} modules  that Python has imported
 * @property {boolean} hot  whether the browser is then to keep what it has compiled of Pyodide
 */

import "./one_stack.js";
import { PAGE, keep, loadLibraries, maker, putFiles } from "./snapshot.js";

/** @typedef {import("./snapshot.js").Header} Header */

// What stands for the page cannot be imported here, and whoever needs it is left out: nothing of sotto does. Compiled code
// is kept beside the sources, whatever their times will be.
const IMPORT = `
import compileall, importlib, py_compile, sys

compileall.compile_dir("sotto", quiet=2, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
sys.dont_write_bytecode = True
import numpy, sotto.engine.engine
there = set(sys.modules)
for name in ("pyscript", "polyscript"):
    sys.modules[name] = None
for name in names:
    if name in there:
        continue
    try:
        importlib.import_module(name)
    except Exception:
        if name.startswith("sotto."):
            raise
for name in ("pyscript", "polyscript"):
    del sys.modules[name]
sys.dont_write_bytecode = False
sys.path.remove("")  # Pyodide puts it there at every start
del names, there, name, numpy, sotto
`;

// The files of all modules that are imported: nobody reads them again, and to put one in its place takes time at each start.
const READ = `
"\\n".join(
    path
    for module in list(__import__("sys").modules.values())
    for path in (getattr(module.__spec__, "origin", None), getattr(module.__spec__, "cached", None))
    if path
)
`;

const HEAT = `
from sotto.page.heat import heat
heat()
`;

/** Make a snapshot and keep it. @param {Job} job  @returns {Promise<any>} Pyodide, which goes on */
async function make({ name, folder, libraries, files, modules }) {
  const pyodide = await import(`${folder}pyodide.mjs`);
  // Python looks for a library's file, and asks for its path; what it has loaded already it never reads.
  const empty = /** @type {[string, Uint8Array<ArrayBuffer>][]} */ (
    libraries.map(([path]) => [path, new Uint8Array()]));
  const there = [...files, ...empty];
  let base = { memory: 0, table: 0 };
  const python = await pyodide.loadPyodide({
    indexURL: folder,
    packages: [],
    createPyodideModule: maker(folder, async (module) => {
      putFiles(module.FS, there);
      base = await loadLibraries(module, libraries.map(([path, bytes]) => [path, WebAssembly.compile(bytes)]));
    }),
    _makeSnapshot: true,
  });
  python.globals.set("names", python.toPy(modules));
  python.runPython(IMPORT);
  const read = new Set(python.runPython(READ).split("\n"));
  const { FS, _module: { LDSO, wasmTable } } = python;
  const loaded = Object.keys(LDSO.loadedLibsByName).filter((path) => path !== "__main__");
  if (loaded.length !== libraries.length) throw new Error(`A library came late: ${loaded}`);
  for (let index = base.table; index < wasmTable.length; index++) {
    if (wasmTable.get(index)) throw new Error("A function came late.");
  }
  /** @type {[string, string][]} */
  const handles = Object.entries(LDSO.loadedLibsByHandle).map(([handle, { name }]) => [handle, name]);
  const own = `${FS.cwd()}/sotto`;
  const all = [...files.filter(([path]) => !path.startsWith(own)), ...gathered(FS, own)].filter(([path]) => !read.has(path));
  const known = { base, table: wasmTable.length, handles };
  await keep(name, ...packed(python.makeMemorySnapshot(), libraries, [...all, ...empty], known));
  return python;
}

/** All files of a folder with those below it. @param {any} FS  @param {string} folder
 * @returns {[string, Uint8Array<ArrayBuffer>][]} */
function gathered(FS, folder) {
  return FS.readdir(folder).flatMap((/** @type {string} */ name) => {
    if (name === "." || name === "..") return [];
    const path = `${folder}/${name}`;
    return FS.isDir(FS.stat(path).mode) ? gathered(FS, path) : [[path, FS.readFile(path)]];
  });
}

/**
 * @param {Uint8Array<ArrayBuffer>} memory as Pyodide gives it: behind its objects; it is used up
 * @param {[string, Uint8Array][]} libraries  @param {[string, Uint8Array][]} files
 * @param {Pick<Header, "base" | "table" | "handles">} known
 * @returns {[Omit<Header, "digests">, Uint8Array<ArrayBuffer>[]]} with the body's two parts
 */
function packed(memory, libraries, files, known) {
  const start = new Uint32Array(memory.buffer, 0, 2)[1];
  const heap = memory.subarray(start);
  /** @type {Uint8Array[]} */
  const parts = [];
  let pages = 0;
  /** @param {[string, Uint8Array][]} list  @returns {import("./snapshot.js").Piece[]} */
  const placed = (list) => list.map(([path, bytes]) => {
    parts.push(bytes);
    pages += bytes.length;
    return [path, pages - bytes.length, pages];
  });
  const runs = full(heap);
  const header = {
    ...known,
    state: [...memory.subarray(0, start)],
    memory: heap.length,
    libraries: placed(libraries),
    files: placed(files),
    pages,
    runs,
  };
  const front = new Uint8Array(pages);
  let done = 0;
  for (const part of parts) {
    front.set(part, done);
    done += part.length;
  }
  let end = 0; // of the pages, which stay where they are: a copy would be as large as Python's memory once more
  for (const [page, count] of runs) {
    heap.copyWithin(end, page * PAGE, (page + count) * PAGE);
    end += count * PAGE;
  }
  return [header, [front, heap.subarray(0, end)]];
}

/** Runs of pages with anything but zeros in them. @param {Uint8Array} heap  @returns {[number, number][]} */
function full(heap) {
  const words = new Uint32Array(heap.buffer, heap.byteOffset, heap.length / 4);
  const step = PAGE / 4;
  /** @type {[number, number][]} */
  const runs = [];
  for (let from = 0; from < words.length; from += step) {
    const page = from / step;
    if (words.subarray(from, from + step).every((word) => word === 0)) continue;
    const last = runs.at(-1);
    if (last && last[0] + last[1] === page) last[1] += 1;
    else runs.push([page, 1]);
  }
  return runs;
}

onmessage = async ({ data }) => {
  try {
    const python = await make(data);
    if (data.hot) python.runPython(HEAT);
    postMessage("");
  } catch (error) {
    postMessage(String(error));
  }
};
