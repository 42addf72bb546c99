// One further thread of the CPU kernels: its own instance on the shared memory, asleep in `work` between jobs.

onmessage = async ({ data: { module, memory, pool, thread, stack } }) => {
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
  exports.__stack_pointer.value = stack;
  postMessage("ready");
  exports.work(pool, thread, 0);
};
