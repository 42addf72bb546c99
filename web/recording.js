/** Has a snapshot made of the Python that runs: gives what it is made of to snapshot_worker.js. */

const WORKER = new URL("snapshot_worker.js", import.meta.url);

// Its modules, and which of them are compiled libraries.
const LOOK = `
def look():
    import json, sys
    modules = {name: getattr(module, "__file__", None) or "" for name, module in list(sys.modules.items()) if module}
    return json.dumps(modules)
look()
`;

/**
 * Have Pyodide compiled from the answer that the next start will get, the service worker's: what Chromium keeps of compiled
 * code it keeps with the answer. No other kind of browser has userAgentData.
 * @param {string} folder of Pyodide's files  @returns {Promise<boolean>} whether it may be kept so
 */
async function compiledAgain(folder) {
  if (!("userAgentData" in navigator)) return false;
  const compiling = WebAssembly.compileStreaming(fetch(`${folder}pyodide.asm.wasm`));
  return compiling.then(() => true, () => false);
}

/**
 * @param {any} python  @param {string} folder of Pyodide's files  @param {string} name of the snapshot
 * @returns {Promise<void>} rejected when there will be none
 */
export async function record(python, folder, name) {
  const { FS, PATH, _api, _module } = python;
  /** @type {Record<string, string>} */
  const modules = JSON.parse(python.runPython(LOOK, { globals: python.toPy({}) }));
  const paths = Object.values(modules).filter((path) => path in _module.LDSO.loadedLibsByName);
  const libraries = [...new Set(paths)].sort().map((path) => [path, FS.readFile(path)]);
  const files = [...below(_api.sitePackages), ...below(PATH.join2(FS.cwd(), "sotto"))];
  const job = { name, folder, libraries, files, modules: Object.keys(modules), hot: await compiledAgain(folder) };
  const worker = new Worker(WORKER, { type: "module" });
  try {
    await new Promise((resolve, reject) => {
      worker.onmessage = ({ data }) => (data ? reject(new Error(data)) : resolve(undefined));
      worker.onerror = ({ message }) => reject(new Error(message));
      worker.postMessage(job, [...libraries, ...files].map(([, bytes]) => bytes.buffer));
    });
  } finally {
    worker.terminate();
  }

  /** What Python may need below a folder, but for the libraries above. @param {string} folder
   * @returns {[string, Uint8Array<ArrayBuffer>][]} */
  function below(folder) {
    return FS.readdir(folder).flatMap((/** @type {string} */ entry) => {
      const path = PATH.join2(folder, entry);
      if (entry === "." || entry === ".." || entry === "__pycache__" || entry.endsWith(".dist-info")) return [];
      if (FS.isDir(FS.stat(path).mode)) return below(path);
      return entry.endsWith(".pyi") || paths.includes(path) ? [] : [[path, FS.readFile(path)]];
    });
  }
}
