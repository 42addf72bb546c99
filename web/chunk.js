/** The checksum of kernels/loading/checksum.c, in a memory of its own. */

export const CHUNK = 4 << 20; // bytes that are summed up at a time
export const HASH = 16; // bytes of a checksum
const PAGE = 65536; // WebAssembly's; below, addresses in the library's memory:
const STATICS = 1024;
const RESULT = 3072;
const START = PAGE;

/** Room for CHUNK bytes in the memory of the compiled library, which sums them up where they are. */
export class Chunk {
  /** @param {WebAssembly.Module} library the compiled kernels/loading/  @returns {Promise<Chunk>} */
  static async with(library) {
    const memory = new WebAssembly.Memory({ initial: (START + CHUNK) / PAGE });
    /** @param {number} value */
    const address = (value) => new WebAssembly.Global({ value: "i32" }, value);
    const env = { memory, __memory_base: address(STATICS), __table_base: address(0) };
    return new Chunk(memory.buffer, (await WebAssembly.instantiate(library, { env })).exports);
  }

  /** @param {ArrayBuffer} memory  @param {Record<string, any>} exports */
  constructor(memory, exports) {
    this.exports = exports;
    this.bytes = new Uint8Array(memory, START, CHUNK);
    this.result = new Uint8Array(memory, RESULT, HASH);
  }

  /** The checksum of the first bytes; those after them may be overwritten.
   * @param {number} nbytes  @returns {Uint8Array} */
  checksum(nbytes) {
    this.exports.checksum(START, nbytes, RESULT);
    return this.result.slice();
  }

  /** A whole record as it is kept: its bytes, and the checksums of its chunks end to end.
   * @param {Uint8Array} bytes  @returns {import("./entry.js").StoredBlob} */
  stored(bytes) {
    const parts = [];
    const hashes = new Uint8Array(HASH * Math.ceil(bytes.length / CHUNK));
    for (let from = 0, hash = 0; from < bytes.length; from += CHUNK, hash += HASH) {
      const data = bytes.subarray(from, from + CHUNK);
      this.bytes.set(data);
      parts.push(new Blob([this.bytes.subarray(0, data.length)]));
      hashes.set(this.checksum(data.length), hash);
    }
    return { blob: new Blob(parts), hashes };
  }

  /** The checksum of some bytes. @param {Uint8Array} bytes  @returns {string} hexadecimal */
  sum(bytes) {
    this.bytes.set(bytes);
    return hex(this.checksum(bytes.length));
  }
}

/** @param {Uint8Array} bytes  @returns {string} */
export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
