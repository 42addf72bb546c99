/**
 * The seam to the CPU kernels: one WebAssembly module on one shared memory, a worker for each further thread.
 *
 * Addresses are numbers, data is bytes; what is computed is not known here. Thread 0 is the worker that calls
 * (Python's): `call("run", …)` returns when the whole table of steps is done.
 */

import { BridgeError, withBytes } from "./bridge.js";

const PAGE = 65536;
const PATIENCE = 10_000; // milliseconds for a worker to start

// (module (func (result v128) i32.const 0 i8x16.splat i32.const 0 i8x16.splat [relaxed] i8x16.swizzle))
const probe = (/** @type {number[]} */ ...instruction) => WebAssembly.validate(Uint8Array.of(
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0,
  10, 12 + instruction.length, 1, 10 + instruction.length, 0, 65, 0, 253, 15, 65, 0, 253, 15, ...instruction, 11,
));

/** Which build this browser can run: "relaxed", "simd" or "" for none. */
export function build() {
  if (probe(253, 128, 2)) return "relaxed"; // i8x16.relaxed_swizzle
  return probe(253, 14) ? "simd" : ""; // i8x16.swizzle
}

/**
 * @param {import("./bridge.js").Bytes} bytes the compiled kernels  @param {number} minimum  @param {number} maximum memory in pages
 * @returns {Promise<Cpu>}
 */
export async function open(bytes, minimum, maximum) {
  try {
    const module = await withBytes(bytes, (wasm) => WebAssembly.compile(wasm.slice()));
    const memory = new WebAssembly.Memory({ initial: minimum, maximum, shared: true });
    return new Cpu(module, memory, await WebAssembly.instantiate(module, { env: { memory } }));
  } catch (/** @type {any} */ error) {
    throw new BridgeError("NoCpu", error.message);
  }
}

export class Cpu {
  /** @param {WebAssembly.Module} module  @param {WebAssembly.Memory} memory  @param {WebAssembly.Instance} instance */
  constructor(module, memory, instance) {
    this.module = module;
    this.memory = memory;
    /** @type {Record<string, any>} */
    this.exports = instance.exports;
    this.heap = this.exports.__heap_base.value;
    // Other threads may share the memory in isolated pages only.
    this.cores = globalThis.crossOriginIsolated ? (navigator.hardwareConcurrency ?? 1) : 1;
    // Bytes of the computer's memory, rounded by the browser; 0 where it does not tell.
    this.computerMemory = (navigator.deviceMemory ?? 0) * 2 ** 30;
    /** @type {Worker[]} */
    this.workers = [];
    this.channel = new MessageChannel();
  }

  /** Make the memory that many pages, if it is smaller. @param {number} pages */
  grow(pages) {
    const more = pages - this.memory.buffer.byteLength / PAGE;
    if (more <= 0) return;
    try {
      this.memory.grow(more);
    } catch (/** @type {any} */ error) {
      throw new BridgeError("OutOfCpuMemory", `${Math.ceil((pages * PAGE) / 2 ** 20)} MiB: ${error.message}`);
    }
  }

  /**
   * As Gpu.write, for the cache.
   * @param {number} address  @param {number} offset  @param {import("./bridge.js").Bytes} data
   */
  write(address, offset, data) {
    withBytes(data, (bytes) => new Uint8Array(this.memory.buffer).set(bytes, address + offset));
  }

  /** @param {number} address  @param {number} nbytes */
  clear(address, nbytes) {
    new Uint8Array(this.memory.buffer, address, nbytes).fill(0);
  }

  /** A copy of some bytes. @param {number} address  @param {number} nbytes */
  read(address, nbytes) {
    return new Uint8Array(this.memory.buffer, address, nbytes).slice();
  }

  /** Call an exported function. @param {string} name  @param {number[]} values  @returns {number} */
  call(name, ...values) {
    try {
      return this.exports[name](...values) ?? 0;
    } catch (/** @type {any} */ error) {
      throw new BridgeError("CpuFailed", `${name}: ${error.message}`);
    }
  }

  /**
   * Start workers for threads 1 to threads-1. Those that do not come up in time are left out, with all after them.
   * @param {number} pool address of what the threads share  @param {number} stacks address of their stacks
   * @param {number} stackBytes of each  @param {number} threads
   * @returns {Promise<number>} threads that run, this one included
   */
  async start(pool, stacks, stackBytes, threads) {
    this.exports.__stack_pointer.value = stacks + stackBytes;
    const starting = [];
    for (let thread = 1; thread < threads; thread += 1) {
      let worker;
      try {
        worker = new Worker(new URL("cpu_worker.js", import.meta.url), { type: "module" });
      } catch {
        break; // refused: there are as many threads as have begun
      }
      this.workers.push(worker);
      starting.push(new Promise((resolve) => {
        worker.onmessage = () => resolve(true);
        worker.onerror = () => resolve(false);
        setTimeout(resolve, PATIENCE, false);
      }));
      const { module, memory } = this;
      worker.postMessage({ module, memory, pool, thread, stack: stacks + (thread + 1) * stackBytes });
    }
    const started = await Promise.all(starting);
    const first = started.indexOf(false);
    return (first < 0 ? started.length : first) + 1;
  }

  /** Let messages arrive, a click on Stop among them. */
  breathe() {
    return new Promise((resolve) => {
      this.channel.port1.onmessage = resolve;
      this.channel.port2.postMessage(0);
    });
  }

  /** Nothing is ever under way after a write. */
  async finish() {}

  /** End the workers. */
  close() {
    for (const worker of this.workers) worker.terminate();
    this.workers = [];
    this.channel.port1.close();
  }
}
