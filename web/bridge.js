/**
 * The seam to the GPU: the only code that touches navigator.gpu.
 *
 * Buffers and programs are numbers, data is bytes. A program is a list of dispatches that `load` prepares once
 * and `run` replays with one call; what it computes is not known here.
 *
 * Every failure is a BridgeError whose `name` says of what kind it is:
 *   NoWebGPU, NoAdapter, Limit, OutOfMemory, Compile, Invalid, DeviceLost, Cancelled.
 */

import { amounts, Pace } from "./pace.js";

const MATRICES = "chromium-experimental-subgroup-matrix"; // there with --enable-unsafe-webgpu only
const FEATURES = ["timestamp-query", "shader-f16", "subgroups", MATRICES];
/** @type {(keyof GPUSupportedLimits)[]} */
const LIMITS = [
  "maxBufferSize", "maxStorageBufferBindingSize", "maxStorageBuffersPerShaderStage",
  "maxComputeInvocationsPerWorkgroup", "maxComputeWorkgroupSizeX", "maxComputeWorkgroupStorageSize",
  "maxComputeWorkgroupsPerDimension",
];
const SUBMITS_IN_FLIGHT = 2;
const POOLED_BYTES = 4 << 20; // larger staging buffers are not kept
const QUERIES = 4096; // the most timestamps one query set may hold

export class BridgeError extends Error {
  /** @param {string} name the kind of failure  @param {string} message */
  constructor(name, message) {
    super(message);
    this.name = name;
  }
}

/** @typedef {{c_contiguous: boolean, data: Uint8Array<ArrayBuffer>, release: () => void}} Lent as Pyodide's PyBuffer */
/** @typedef {ArrayBufferView | {getBuffer: (type: string) => Lent}} Bytes of JavaScript or of Python */

/**
 * Call `use` with the bytes of `data`, valid during the call only. A Python object with the buffer protocol
 * arrives as a proxy: its bytes are lent from Python's memory, not copied.
 * @template T  @param {Bytes} data  @param {(bytes: Uint8Array<ArrayBuffer>) => T} use  @returns {T}
 */
export function withBytes(data, use) {
  if (ArrayBuffer.isView(data)) {
    const buffer = /** @type {ArrayBuffer} */ (data.buffer);
    return use(new Uint8Array(buffer, data.byteOffset, data.byteLength));
  }
  const lent = data.getBuffer("u8");
  try {
    if (!lent.c_contiguous) throw new BridgeError("Invalid", "the bytes of a strided array cannot be lent");
    return use(lent.data);
  } finally {
    lent.release();
  }
}

/**
 * Open the GPU with all the memory the adapter offers.
 * @param {GPUPowerPreference} [power]  @param {boolean} [fallback] ask for the adapter that runs on the CPU
 * @returns {Promise<Gpu>}
 */
export async function open(power = "high-performance", fallback = false) {
  const gpu = globalThis.navigator?.gpu;
  const why = globalThis.isSecureContext ? "navigator.gpu is missing" : "the page is neither https nor localhost";
  if (!gpu) throw new BridgeError("NoWebGPU", why);
  try {
    const adapter = await gpu.requestAdapter({ powerPreference: power, forceFallbackAdapter: fallback });
    if (!adapter) throw new Error("the browser has WebGPU but offers no adapter");
    const requiredFeatures = /** @type {GPUFeatureName[]} */ (FEATURES.filter((name) => adapter.features.has(name)));
    const requiredLimits = Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]]));
    return new Gpu(adapter, await adapter.requestDevice({ requiredFeatures, requiredLimits }));
  } catch (/** @type {any} */ error) {
    throw new BridgeError("NoAdapter", error.message);
  }
}

/**
 * The adapters that this browser tells apart.
 * @returns {Promise<string>} JSON: [[how to ask for it: "", "low-power" or "fallback", its name], ...]
 */
export async function adapters() {
  /** @type {Record<string, GPURequestAdapterOptions>} */
  const ways = { "": { powerPreference: "high-performance" }, "low-power": { powerPreference: "low-power" }, fallback: { forceFallbackAdapter: true } };
  const found = new Map();
  for (const [way, options] of Object.entries(ways)) {
    const adapter = await globalThis.navigator?.gpu?.requestAdapter(options).catch(() => null);
    if (!adapter) continue;
    const { vendor, architecture, device, description } = adapter.info;
    const key = JSON.stringify([vendor, architecture, device, description]);
    if (!found.has(key)) found.set(key, [way, description || device || architecture || vendor]);
  }
  return JSON.stringify([...found.values()]);
}

/**
 * The shapes of an adapter's subgroup matrices, as device.py's AdapterInfo names them.
 * @param {GPUAdapterInfo} info  @returns {string[]}
 */
function subgroupMatrices({ subgroupMatrixConfigs = [] }) {
  return Array.from(subgroupMatrixConfigs, ({ componentType, resultComponentType, M, N, K }) => {
    return `subgroup-matrix ${componentType} ${resultComponentType} ${M}x${N}x${K}`;
  });
}

/** One open device. */
export class Gpu {
  /** @param {GPUAdapter} adapter  @param {GPUDevice} device */
  constructor(adapter, device) {
    this.device = device;
    this.queue = device.queue;
    const { vendor, architecture, device: model, description, isFallbackAdapter } = adapter.info;
    const limits = Object.fromEntries(LIMITS.map((name) => [name, device.limits[name]]));
    const features = FEATURES.filter((name) => device.features.has(name));
    if (features.includes(MATRICES)) features.push(...subgroupMatrices(adapter.info));
    const browser = navigator.userAgent;
    this.info = { vendor, architecture, model, description, browser, fallback: !!isFallbackAdapter, features, limits };

    /** @type {Map<number, GPUBuffer>} */
    this.buffers = new Map(); // by handle
    /** @type {Map<number, Program>} */
    this.programs = new Map(); // by handle
    /** @type {Map<string, Promise<GPUComputePipeline>>} */
    this.pipelines = new Map(); // by shader code and constants
    /** @type {Map<number, GPUBuffer[]>} */
    this.staging = new Map(); // size -> at rest
    this.handles = 0;
    this.runs = 0; // begun so far
    this.cancelled = 0; // runs up to this one end, later ones do not: devices/cancellation.py tells why
    this.pace = new Pace();
    this.freeSince = 0; // ms: when the latest part of a run was done
    /** @type {BridgeError | null} the device is gone: every call fails with this */
    this.lost = null;
    device.lost.then(({ reason, message }) => {
      this.lost = new BridgeError("DeviceLost", `${reason}: ${message}`);
    });
    /** @type {BridgeError | null} an error that no call was waiting for: the next call fails with it */
    this.stray = null;
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      const name = event.error instanceof GPUOutOfMemoryError ? "OutOfMemory" : "Invalid";
      this.stray ??= new BridgeError(name, event.error.message);
    });
  }

  /** @param {number} nbytes  @param {string} label  @returns {number} the handle of a zeroed buffer */
  createBuffer(nbytes, label) {
    this.check();
    const most = this.device.limits.maxBufferSize;
    if (nbytes > most) throw new BridgeError("Limit", `buffer ${label} needs ${nbytes} bytes, at most ${most} fit`);
    const { STORAGE, UNIFORM, COPY_SRC, COPY_DST } = GPUBufferUsage;
    const usage = STORAGE | UNIFORM | COPY_SRC | COPY_DST;
    this.buffers.set(++this.handles, this.device.createBuffer({ label, size: Math.ceil(nbytes / 4) * 4, usage }));
    return this.handles;
  }

  /** @param {number} buffer */
  free(buffer) {
    this.buffers.get(buffer)?.destroy();
    this.buffers.delete(buffer);
  }

  /**
   * Copy bytes into a buffer; offset and length are multiples of 4. The data may change after the call.
   * @param {number} buffer  @param {number} offset  @param {Bytes} data
   */
  write(buffer, offset, data) {
    this.check();
    const target = find(this.buffers, buffer, "buffer");
    withBytes(data, (bytes) => {
      if (offset % 4 || bytes.length % 4 || offset + bytes.length > target.size) {
        const where = `${bytes.length} bytes at ${offset} of ${target.label} (${target.size} bytes)`;
        throw new BridgeError("Invalid", `cannot write ${where}: multiples of 4 that fit are needed`);
      }
      this.queue.writeBuffer(target, offset, bytes);
    });
  }

  /** @param {number} buffer  @param {number} offset  @param {number} nbytes  @returns {Promise<Uint8Array>} */
  async read(buffer, offset, nbytes) {
    this.check();
    const source = find(this.buffers, buffer, "buffer");
    return this.submitAndTake(this.device.createCommandEncoder(), source, offset, nbytes);
  }

  /**
   * Begin to compile pipelines. What goes wrong with them is told by the `load` that needs them.
   * @param {string} json {shaders, pipelines} as in `load`
   */
  prepare(json) {
    this.compileAll(JSON.parse(json));
  }

  /**
   * Whether pipelines are compiled, after waiting so long for them at most; those that nobody prepared begin now.
   * What does not compile is ready too: `load` tells.
   * @param {string} json {shaders, pipelines} as in `load`  @param {number} milliseconds
   * @returns {Promise<boolean>}
   */
  async ready(json, milliseconds) {
    const compiled = Promise.allSettled(this.compileAll(JSON.parse(json)).building).then(() => true);
    const waited = new Promise((resolve) => setTimeout(resolve, milliseconds, false));
    const result = await Promise.race([compiled, waited]);
    this.check();
    return result;
  }

  /**
   * Compile a program's pipelines, all at once, and bind its buffers.
   * @param {string} json {name, shaders: [{label, code}], pipelines: [{shader, constants}],
   *   steps: [{label, pipeline, bindings: [[number, buffer, offset, nbytes, access]], grid: [x, y, z]}],
   *   work: [{flat, token, key, window} of each step] or [] for one that is never cut,
   *   inputs: {buffer, nbytes}, outputs: {buffer, offset, nbytes}}
   * @returns {Promise<number>} the program's handle
   */
  async load(json) {
    this.check();
    const { name, steps, inputs, outputs, work, ...wanted } = /** @type {Wanted} */ (JSON.parse(json));
    const { building, told } = this.compileAll(wanted);
    await Promise.allSettled([...building, told]);
    const pipelines = await this.settle(Promise.all(building)); // of several failures the first in the list is told
    await this.settle(told);

    const layouts = pipelines.map((pipeline) => pipeline.getBindGroupLayout(0));
    const bound = steps.map(({ label, pipeline, bindings }) => {
      const entries = bindings.map(([binding, buffer, offset, size]) => {
        return { binding, resource: { buffer: find(this.buffers, buffer, "buffer"), offset, size } };
      });
      return { label, layout: layouts[pipeline], entries };
    });
    this.device.pushErrorScope("validation");
    const groups = bound.map((descriptor) => this.device.createBindGroup(descriptor));
    const problem = await this.settle(this.device.popErrorScope());
    if (problem) throw new BridgeError("Invalid", `${name}: ${problem.message}`);

    const perStep = steps.map(({ pipeline }) => pipelines[pipeline]);
    const grids = Uint32Array.from(steps.flatMap(({ grid }) => grid));
    this.programs.set(++this.handles, { pipelines: perStep, groups, grids, inputs, outputs, work });
    return this.handles;
  }

  /** @param {number} program */
  unload(program) {
    this.programs.delete(program);
  }

  /**
   * Write the inputs, replay the steps, return the outputs.
   * @param {number} id  @param {Bytes} inputs
   * @param {number} [steps] replay only so many; all of them when negative
   * @returns {Promise<Uint8Array>}
   */
  async run(id, inputs, steps = -1) {
    this.check();
    const program = find(this.programs, id, "program");
    const { outputs, groups } = program;
    const last = steps < 0 ? groups.length : Math.min(steps, groups.length);
    const work = last && program.work.length ? withBytes(inputs, (bytes) => {
      const words = new DataView(bytes.buffer, bytes.byteOffset);
      return amounts(program.work, words.getUint32(0, true), words.getUint32(4, true));
    }) : [];
    this.write(program.inputs.buffer, 0, inputs);
    /** @type {Promise<void>[]} */
    const flying = [];
    const number = ++this.runs;
    for (let first = 0; ; ) {
      const end = work.length ? this.pace.end(work, first, last) : last;
      const encoder = this.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      dispatch(pass, program, first, end);
      pass.end();
      if (end === last) {
        const source = find(this.buffers, outputs.buffer, "buffer");
        return await this.submitAndTake(encoder, source, outputs.offset, outputs.nbytes);
      }
      this.queue.submit([encoder.finish()]);
      const part = work.slice(first, end);
      const began = performance.now();
      first = end;
      flying.push(this.queue.onSubmittedWorkDone().then(() => this.learn(part, began)));
      flying.at(-1)?.catch(() => {}); // it may fail before its turn comes, or after the run is over
      if (flying.length === SUBMITS_IN_FLIGHT) await this.settle(/** @type {Promise<void>} */ (flying.shift()));
      if (number <= this.cancelled) throw new BridgeError("Cancelled", "the run was stopped");
    }
  }

  /**
   * A submit of these steps is done; it could begin at `began` (ms), or when the one before it was done.
   * @param {import("./pace.js").Amount[]} part  @param {number} began
   */
  learn(part, began) {
    const now = performance.now();
    if (part.length) this.pace.learn(part, (now - Math.max(began, this.freeSince)) / 1e3);
    this.freeSince = now;
  }

  /**
   * Replay a program several times in one submit; each replay finds what the one before it left in the buffers.
   * Results have to be awaited in order, or not at all.
   * @param {number} id  @param {Bytes | undefined} inputs written first, if given  @param {number} repeats
   * @returns {Promise<Uint8Array>} the outputs of the last replay, and after them two f64: when the work was found
   *   done, on the clock of performance.now(), and what this call cost in JavaScript; both in seconds
   */
  submit(id, inputs, repeats) {
    const result = this.replay(id, inputs, repeats);
    result.catch(() => {}); // it may fail before its turn comes, or never have one
    return result;
  }

  /** @param {number} id  @param {Bytes | undefined} inputs  @param {number} repeats */
  async replay(id, inputs, repeats) {
    const began = performance.now();
    this.check();
    const program = find(this.programs, id, "program");
    const { outputs, groups } = program;
    if (inputs) this.write(program.inputs.buffer, 0, inputs);
    const encoder = this.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    for (let repeat = 0; repeat < repeats; repeat += 1) dispatch(pass, program, 0, groups.length);
    pass.end();
    const source = find(this.buffers, outputs.buffer, "buffer");
    const taking = this.submitAndTake(encoder, source, outputs.offset, outputs.nbytes);
    const cost = performance.now() - began;
    const bytes = await taking;
    const done = performance.now();
    const told = new Uint8Array(outputs.nbytes + 16);
    told.set(bytes);
    told.set(new Uint8Array(Float64Array.of(done / 1000, cost / 1000).buffer), outputs.nbytes);
    return told;
  }

  /**
   * Replay a program's steps with timestamps round every pass.
   * @param {number} id  @param {Bytes} inputs
   * @param {string} json lists of step numbers: each a compute pass and a submit, which the screen may come between
   * @returns {Promise<Float64Array | undefined>} seconds of each pass, if the device has timestamps
   */
  async profile(id, inputs, json) {
    this.check();
    if (!this.device.features.has("timestamp-query")) return undefined;
    const program = find(this.programs, id, "program");
    this.write(program.inputs.buffer, 0, inputs);
    const passes = JSON.parse(json);
    const count = passes.length;
    const seconds = new Float64Array(count);
    const querySet = this.device.createQuerySet({ type: "timestamp", count: QUERIES });
    const usage = GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC;
    const resolved = this.device.createBuffer({ size: 8 * QUERIES, usage });
    const number = ++this.runs;
    for (let first = 0; first < count; first += QUERIES / 2) {
      if (number <= this.cancelled) throw new BridgeError("Cancelled", "the timing was stopped");
      const queries = 2 * Math.min(count - first, QUERIES / 2);
      for (let query = 0; query < queries; query += 2) {
        const timestampWrites = { querySet, beginningOfPassWriteIndex: query, endOfPassWriteIndex: query + 1 };
        const encoder = this.device.createCommandEncoder();
        const pass = encoder.beginComputePass({ timestampWrites });
        for (const step of passes[first + query / 2]) dispatch(pass, program, step, step + 1);
        pass.end();
        this.queue.submit([encoder.finish()]);
      }
      const encoder = this.device.createCommandEncoder();
      encoder.resolveQuerySet(querySet, 0, queries, resolved, 0);
      const times = new BigUint64Array((await this.submitAndTake(encoder, resolved, 0, 8 * queries)).buffer);
      for (let query = 0; query < queries; query += 2) {
        seconds[first + query / 2] = Number(times[query + 1] - times[query]) / 1e9;
      }
    }
    querySet.destroy();
    resolved.destroy();
    return seconds;
  }

  /** Let the runs in progress fail with Cancelled before their next submit. */
  cancel() {
    this.cancelled = this.runs;
  }

  /** Resolves when everything written and submitted so far is done. */
  async finish() {
    this.check();
    await this.settle(this.queue.onSubmittedWorkDone());
  }

  /** Release everything; later calls fail with DeviceLost. */
  close() {
    this.device.destroy();
  }

  /** Fail with what went wrong since the last call, if anything did. */
  check() {
    const error = this.lost ?? this.stray;
    this.stray = null;
    if (error) throw error;
  }

  /**
   * Compile what is not compiled yet.
   * @param {{shaders: Shader[], pipelines: {shader: number, constants: Constants}[]}} wanted
   * @returns {{building: Promise<GPUComputePipeline>[], told: Promise<unknown>}} each pipeline; and what a broken
   *   module raises besides, which the pipeline made of it tells with the shader's label
   */
  compileAll({ shaders, pipelines }) {
    this.check();
    this.device.pushErrorScope("validation");
    const modules = new Map();
    const building = pipelines.map(({ shader, constants }) => this.compile(shaders[shader], constants, modules));
    const told = this.device.popErrorScope();
    told.catch(() => {}); // the device may be lost meanwhile
    return { building, told };
  }

  /**
   * The pipeline of a shader with its constants: compiled once, shared by all programs.
   * @param {Shader} shader  @param {Constants} constants
   * @param {Map<string, GPUShaderModule>} modules made so far, by their code  @returns {Promise<GPUComputePipeline>}
   */
  compile(shader, constants, modules) {
    const key = JSON.stringify([shader.code, Object.entries(constants).sort()]);
    const known = this.pipelines.get(key);
    if (known) return known;
    const module = modules.get(shader.code) ?? this.device.createShaderModule(shader);
    modules.set(shader.code, module);
    const building = build(this.device, shader, constants, module);
    this.pipelines.set(key, building);
    building.catch(() => this.pipelines.delete(key));
    return building;
  }

  /**
   * Submit what was encoded and bring back a part of a buffer, through a staging buffer of the pool.
   * @param {GPUCommandEncoder} encoder  @param {GPUBuffer} buffer  @param {number} offset  @param {number} nbytes
   */
  async submitAndTake(encoder, buffer, offset, nbytes) {
    let size = 256;
    while (size < nbytes) size *= 2;
    const resting = this.staging.get(size) ?? [];
    this.staging.set(size, resting);
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const staging = resting.pop() ?? this.device.createBuffer({ label: "staging", size, usage });
    encoder.copyBufferToBuffer(buffer, offset, staging, 0, Math.ceil(nbytes / 4) * 4);
    this.queue.submit([encoder.finish()]);
    await this.settle(staging.mapAsync(GPUMapMode.READ));
    const bytes = new Uint8Array(staging.getMappedRange(), 0, nbytes).slice();
    staging.unmap();
    if (size > POOLED_BYTES) staging.destroy();
    else resting.push(staging);
    return bytes;
  }

  /**
   * Await the GPU; a device lost meanwhile, or an error in the work waited for, is thrown.
   * @template T  @param {Promise<T>} promise  @returns {Promise<T>}
   */
  async settle(promise) {
    const result = await promise.catch(async (/** @type {Error} */ error) => { throw await this.explain(error); });
    this.check();
    return result;
  }

  /**
   * The loss of the device where that is what made a promise fail (it is told a moment later), else the error.
   * @param {Error} error  @returns {Promise<Error>}
   */
  async explain(error) {
    await Promise.race([this.device.lost, new Promise((resolve) => setTimeout(resolve, 100))]);
    if (this.lost || error instanceof BridgeError) return this.lost ?? error;
    return this.stray ?? new BridgeError("Invalid", error.message);
  }
}

/** @typedef {{pipelines: GPUComputePipeline[], groups: GPUBindGroup[], grids: Uint32Array,
 *   inputs: {buffer: number}, outputs: {buffer: number, offset: number, nbytes: number}, work: import("./pace.js").Work[]}} Program
 *   by step */

/** @typedef {{label: string, code: string}} Shader */
/** @typedef {Record<string, number>} Constants by name */
/** @typedef {Omit<Program, "pipelines" | "groups" | "grids"> & {name: string, shaders: Shader[],
 *   pipelines: {shader: number, constants: Constants}[], steps: {label: string, pipeline: number,
 *   bindings: [number, number, number, number, string][], grid: [number, number, number]}[]}} Wanted what `load` takes */

/**
 * Encode steps `first` to `end`.
 * @param {GPUComputePassEncoder} pass  @param {Program} program  @param {number} first  @param {number} end
 */
function dispatch(pass, { pipelines, groups, grids }, first, end) {
  let current;
  for (let step = first; step < end; step += 1) {
    if (pipelines[step] !== current) pass.setPipeline((current = pipelines[step]));
    pass.setBindGroup(0, groups[step]);
    pass.dispatchWorkgroups(grids[3 * step], grids[3 * step + 1], grids[3 * step + 2]);
  }
}

/**
 * Compile one pipeline; the compiler's message is thrown with the shader's label, the line and its text.
 * @param {GPUDevice} device  @param {Shader} shader  @param {Constants} constants  @param {GPUShaderModule} module
 */
async function build(device, { label, code }, constants, module) {
  try {
    const compute = { module, entryPoint: "main", constants };
    return await device.createComputePipelineAsync({ label, layout: "auto", compute });
  } catch (/** @type {any} */ error) {
    const { messages } = await module.getCompilationInfo();
    const lines = code.split("\n");
    const errors = messages.filter(({ type }) => type === "error").map(({ lineNum, linePos, message }) => {
      return `line ${lineNum}:${linePos}: ${message}\n  ${lines[lineNum - 1] ?? ""}`;
    });
    throw new BridgeError("Compile", `${label}: ${errors.join("\n") || error.message}`);
  }
}

/** @template T  @param {Map<number, T>} map  @param {number} handle  @param {string} what  @returns {T} */
function find(map, handle, what) {
  const found = map.get(handle);
  if (!found) throw new BridgeError("Invalid", `there is no ${what} ${handle}`);
  return found;
}
