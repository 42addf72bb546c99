// One further thread of the CPU kernels: its own instance on the shared memory, asleep in `work` between jobs.

/** @param {MessageEvent<{module: WebAssembly.Module, memory: WebAssembly.Memory, pool: number, thread: number,
 *   stack: number}>} event */
onmessage = async ({ data: { module, memory, pool, thread, stack } }) => {
  const instance = await WebAssembly.instantiate(module, { env: { memory } });
  /** @type {Record<string, any>} */
  const exports = instance.exports;
  exports.__stack_pointer.value = stack;
  postMessage("ready");
  exports.work(pool, thread, 0);
};
