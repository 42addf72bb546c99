/**
 * Python runs on its thread's own stack: JSPI is taken away before Pyodide looks for it. Nothing here waits in the middle
 * of Python, and with it every call of Python from a promise would run on a stack made for that call. Chromium looks into
 * the callers of some allocations (in one desktop browser of a hundred, and in half of the test versions); in a page's
 * first thread it then goes on past the end of such a stack, and the tab crashes: in four starts of twenty.
 */

delete /** @type {any} */ (WebAssembly).Suspending;
