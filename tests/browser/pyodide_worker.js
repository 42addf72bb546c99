// A worker with Pyodide, numpy, the project's package and its JavaScript modules: what PyScript sets up for
// the page, without the page. test_web.py makes it of this text; the first message brings inside_pyodide.py, each
// later one runs a coroutine of it.

const load = (path) => import(self.origin + path);

async function start(source) {
  const { loadPyodide } = await load("/runtime/pyodide/pyodide.mjs");
  const pyodide = await loadPyodide();
  await pyodide.loadPackage("numpy");
  pyodide.registerJsModule("bridge", await load("/bridge.js"));
  pyodide.registerJsModule("store", await load("/store.js"));
  pyodide.registerJsModule("ranges", await load("/ranges.js"));
  pyodide.registerJsModule("cpu", await load("/cpu.js"));
  pyodide.unpackArchive(await (await fetch(`${self.origin}/app.zip`)).arrayBuffer(), "zip");
  pyodide.FS.writeFile("inside_pyodide.py", source);
  return pyodide;
}

let starting;

onmessage = async ({ data: { source, name, argument } }) => {
  starting ??= start(source);
  try {
    const pyodide = await starting;
    pyodide.globals.set("argument", JSON.stringify(argument));
    const call = `import inside_pyodide, json; json.dumps(await inside_pyodide.${name}(json.loads(argument)))`;
    postMessage({ value: JSON.parse(await pyodide.runPythonAsync(call)) });
  } catch (error) {
    postMessage({ name: error.name, message: error.message });
  }
};
