/**
 * Files from a hub, by ranges of BLOCK bytes that are kept in a database of their own until the model is whole: a dropped
 * connection or a closed tab costs what was under way, and what has arrived is not asked for again. Tabs that want the
 * same file take turns. Every failure is a BridgeError: HubStatus ("status code seconds"), Network, WebPage, NoRange,
 * Replaced, Cancelled.
 */

import { BridgeError } from "./bridge.js";
import { Database, read, settled } from "./database.js";
import { ask } from "./hub_line.js";
import { hold, holders } from "./locks.js";

/** @typedef {import("./hub_line.js").Answer} Answer  @typedef {Uint8Array<ArrayBuffer>} Bytes */
/** @typedef {{name: string, size: number, tag: string, whole: number}} State of a download: what people call the file or
 *   what it belongs to, and which version it is; bytes of it, and of all files of that */

const BLOCK = 16 << 20;
const ATTEMPTS = 5; // for a block, that bring nothing
const LONGEST_WAIT = 60; // seconds that a hub may ask for, to be waited for here

/** @type {Promise<Database> | undefined} */
let opened;
const database = () => (opened ??= Database.open("sotto-downloads"));

/** @param {string} token  @returns {Record<string, string>} */
const authorized = (token) => (token ? { Authorization: `Bearer ${token}` } : {});

/** @param {number} first  @param {number} count */
const range = (first, count) => ({ Range: `bytes=${first}-${first + count - 1}` });

/** @param {Answer} answer */
const tagOf = ({ headers }) => headers.get("etag") ?? "";

/** The parts of a Content-Range that a server tells: where it begins, and the bytes of the whole file.
 * @param {Answer} answer  @returns {{first?: number, size?: number}} */
function placeOf({ headers }) {
  const found = /^bytes (\d+)-\d+\/(\d+)$/.exec(headers.get("content-range") ?? "");
  return found ? { first: Number(found[1]), size: Number(found[2]) } : {}; // not every host lets other sites see it
}

/** End an answer that is of no use, and throw what it means.
 * @param {Answer} answer */
function refuse({ status, headers, stop }) {
  const page = /^text\/html/.test(headers.get("content-type") ?? "");
  if (status < 400 && !page) return;
  stop();
  if (status < 400) throw new BridgeError("WebPage", "a web page answered");
  const [seconds] = /^\d+$/.exec(headers.get("retry-after") ?? "") ?? ["-"]; // a date is not waited for
  throw new BridgeError("HubStatus", `${status} ${headers.get("x-error-code") ?? "-"} ${seconds}`);
}

/** All that a hub answers, or the bytes from one on. @param {string} url  @param {Record<string, string>} headers
 * @param {number} most bytes  @param {number} [first] byte of the file, of which all may come  @returns {Promise<Bytes>} */
async function whole(url, headers, most, first = 0) {
  try {
    const answer = await ask(url, headers);
    refuse(answer);
    const before = answer.status === 206 ? 0 : first;
    return (await bodyOf(answer, before + most)).subarray(before);
  } catch (/** @type {any} */ error) {
    throw error instanceof BridgeError ? error : new BridgeError("Network", error.message);
  }
}

/** The body of an answer, or its first bytes. @param {Answer} answer  @param {number} most bytes  @returns {Promise<Bytes>} */
async function bodyOf(answer, most) {
  /** @type {Bytes[]} */
  const parts = [];
  let got = 0;
  for (let part = await answer.read(); part; part = await answer.read()) {
    parts.push(part);
    got += part.length;
    if (got < most) continue;
    answer.stop(); // a server without ranges would send all of it
    break;
  }
  return new Uint8Array(await new Blob(parts).slice(0, most).arrayBuffer());
}

/** What a hub answers to a form, also where it refuses. @param {string} url  @param {string} form
 * @returns {Promise<string>} */
export async function send(url, form) {
  try {
    return new TextDecoder().decode(await bodyOf(await ask(url, {}, form), BLOCK));
  } catch (/** @type {any} */ error) {
    throw new BridgeError("Network", error.message);
  }
}

/** What a hub says of a repository. @param {string} url  @param {string} token  @returns {Promise<string>} JSON */
export async function describe(url, token) {
  return new TextDecoder().decode(await whole(url, authorized(token), BLOCK));
}

/** Some bytes of a file, or all of them to its end. @param {string} url  @param {string} token  @param {number} offset
 * @param {number} nbytes */
export function part(url, token, offset, nbytes) {
  return whole(url, { ...authorized(token), ...range(offset, nbytes) }, nbytes, offset);
}

/** The lock of a download. @param {string} id */
const lockOf = (id) => `download ${id}`;

/** The download of a file, which `begin` begins.
 * @param {string} id of the content  @param {string} name  @param {string} url  @param {number} size
 * @param {string} token  @param {number} ahead blocks that are fetched before they are read
 * @param {number} [whole] bytes of all files that it belongs to  @returns {Download} */
export function download(id, name, url, size, token, ahead, whole = size) {
  return new Download(id, { name, size, tag: "", whole }, url, token, ahead);
}

/** All blocks of a file. @param {string} id */
const blocksOf = (id) => IDBKeyRange.bound([id], [id, []]);

/** What there is of files that nobody fetches now.
 * @returns {Promise<string>} JSON of a list of {id, name, whole, done}; `done` bytes of it are here, about */
export async function unfinished() {
  const busy = await holders();
  const found = await (await database()).within("readonly", async ({ notes, records }) => {
    const files = [];
    for (const key of await settled(notes.getAllKeys())) {
      const [id, note] = [String(key), await read(notes, key)];
      if (typeof note !== "string" || busy.includes(lockOf(id))) continue;
      const { name, size, whole } = /** @type {State} */ (JSON.parse(note));
      const blocks = await settled(records.count(blocksOf(id)));
      files.push({ id, name, whole: whole ?? size, done: Math.min(blocks * BLOCK, size) });
    }
    return files;
  });
  return JSON.stringify(found);
}

/** Drop what there is of a download. @param {string} id */
export async function forget(id) {
  await (await database()).within("readwrite", ({ notes, records }) => {
    notes.delete(id);
    records.delete(blocksOf(id));
  });
}

class Download {
  /** @param {string} id  @param {State} state  @param {string} url  @param {string} token  @param {number} ahead */
  constructor(id, state, url, token, ahead) {
    this.id = id;
    this.url = url;
    this.state = state;
    this.token = token;
    this.ahead = ahead;
    this.release = () => {}; // lets go of the lock
    this.count = Math.ceil(state.size / BLOCK);
    /** @type {Set<number>} */
    this.kept = new Set(); // indexes of blocks in the database
    /** @type {Map<number, Promise<Blob>>} */
    this.loading = new Map(); // blocks that are fetched, or could not be kept
    /** @type {Set<Answer>} */
    this.answers = new Set(); // that come now
    this.stopping = new AbortController();
    /** @type {Promise<void>} */
    this.halted = new Promise((resolve) => { this.stopping.signal.onabort = () => resolve(); });
  }

  get stopped() {
    return this.stopping.signal.aborted;
  }

  /** Go on from what is here. While another tab has this file it is waited for, until it has it, ends, or `close`.
   * @param {() => void} waiting is called when another has it */
  async begin(waiting) {
    let release = await hold(lockOf(this.id), { ifAvailable: true });
    if (!release) {
      waiting();
      release = await hold(lockOf(this.id), { signal: this.stopping.signal });
    }
    this.release = release ?? this.release;
    if (this.stopped) {
      this.release();
      throw new BridgeError("Cancelled", "stopped");
    }
    try {
      await (await database()).within("readwrite", async ({ notes, records }) => {
        const note = await read(notes, this.id);
        const kept = typeof note === "string" ? JSON.parse(note) : undefined;
        const keys = await settled(records.getAllKeys(blocksOf(this.id)));
        if (kept?.size === this.state.size) {
          this.state = kept;
          this.kept = new Set(keys.map((key) => /** @type {any} */ (key)[1]));
        } else records.delete(blocksOf(this.id)); // of another file
      });
    } catch { /* nothing can be kept: then it is not */ }
  }

  /** Bytes of a block. @param {number} index */
  length(index) {
    return Math.min(BLOCK, this.state.size - index * BLOCK);
  }

  /** How many bytes from the beginning are here without a gap. */
  get prefix() {
    let index = 0;
    while (this.kept.has(index)) index += 1;
    return Math.min(index * BLOCK, this.state.size);
  }

  /** Bytes of the file. @param {number} offset  @param {number} nbytes  @returns {Promise<Uint8Array>} */
  async read(offset, nbytes) {
    const first = Math.floor(offset / BLOCK);
    const last = Math.floor((offset + nbytes - 1) / BLOCK);
    const bytes = new Uint8Array(nbytes);
    for (let index = first; index <= last; index += 1) {
      for (let next = index; next <= Math.min(index + this.ahead, this.count - 1); next += 1) this.want(next);
      const blob = await this.block(index);
      const from = Math.max(offset - index * BLOCK, 0);
      const part = await blob.slice(from, Math.min(offset + nbytes - index * BLOCK, BLOCK)).arrayBuffer();
      bytes.set(new Uint8Array(part), index * BLOCK + from - offset);
    }
    return bytes;
  }

  /** Begin to fetch a block, unless it is here or under way. @param {number} index */
  want(index) {
    if (this.kept.has(index) || this.loading.has(index)) return;
    const block = this.fetch(index);
    block.catch(() => this.loading.delete(index)); // told when it is read
    this.loading.set(index, block);
  }

  /** @param {number} index  @returns {Promise<Blob>} */
  async block(index) {
    const loading = this.loading.get(index);
    if (loading) return loading;
    const blob = await (await database()).within("readonly", ({ records }) => read(records, [this.id, index]));
    if (blob instanceof Blob && blob.size === this.length(index)) return blob;
    this.kept.delete(index); // the browser lost it
    this.want(index);
    return /** @type {Promise<Blob>} */ (this.loading.get(index));
  }

  /** Fetch a block and keep it. @param {number} index  @returns {Promise<Blob>} */
  async fetch(index) {
    /** @type {Bytes[]} */
    const parts = [];
    let got = 0;
    for (let failures = 0; got < this.length(index); ) {
      const before = got;
      try {
        await this.receive(index * BLOCK + got, this.length(index) - got, (part) => {
          parts.push(part);
          got += part.length;
        });
      } catch (/** @type {any} */ error) {
        if (this.stopped) throw new BridgeError("Cancelled", "stopped");
        failures = got > before ? 1 : failures + 1;
        const wait = error instanceof BridgeError ? patience(error) : 0.25 * 2 ** failures;
        if (error.name === "Replaced") await forget(this.id); // the next time it begins anew
        if (wait === undefined || failures >= ATTEMPTS) {
          throw error instanceof BridgeError ? error : new BridgeError("Network", error.message);
        }
        await Promise.race([this.halted, new Promise((resolve) => { setTimeout(resolve, 1000 * wait); })]);
      }
    }
    const blob = new Blob(parts);
    try {
      await (await database()).within("readwrite", ({ notes, records }) => {
        notes.put(JSON.stringify(this.state), this.id);
        records.put(blob, [this.id, index]);
      });
      this.kept.add(index);
      this.loading.delete(index);
    } catch { /* no room, or no storage: it stays here, for as long as the page does */ }
    return blob;
  }

  /** Take what one request brings of a range. @param {number} offset  @param {number} nbytes
   * @param {(part: Bytes) => void} take */
  async receive(offset, nbytes, take) {
    if (this.stopped) throw new Error("stopped");
    const answer = await ask(this.url, { ...authorized(this.token), ...range(offset, nbytes) });
    this.answers.add(answer);
    try {
      refuse(answer);
      this.check(answer, offset);
      this.state.tag ||= tagOf(answer);
      let [before, left] = [answer.status === 206 ? 0 : offset, nbytes];
      for (let part = await answer.read(); part; part = await answer.read()) {
        const taken = part.subarray(before, before + left);
        before = Math.max(before - part.length, 0);
        if (taken.length) take(taken);
        left -= taken.length;
      }
      if (left) throw new Error("the connection was cut");
    } finally {
      this.answers.delete(answer);
    }
  }

  /** Throw what is wrong with an answer. A small file may come whole: a hub packs those of text, which then have no
   * ranges. @param {Answer} answer  @param {number} offset that was asked for */
  check(answer, offset) {
    const { first = offset, size = this.state.size } = placeOf(answer);
    const { tag } = this.state;
    if ((answer.status === 206 || this.count === 1) && first === offset) {
      if (size === this.state.size && (!tag || !tagOf(answer) || tagOf(answer) === tag)) return;
      answer.stop();
      throw new BridgeError("Replaced", `${size} bytes, ${tagOf(answer)}`);
    }
    answer.stop();
    throw new BridgeError("NoRange", "the server sends whole files only");
  }

  /** No more is wanted now. What is here stays, unless the file is whole or wrong. @param {boolean} drop */
  async close(drop) {
    this.stopping.abort();
    for (const answer of this.answers) answer.stop();
    try {
      if (drop) await forget(this.id);
    } catch { /* nothing was kept */
    } finally {
      this.release();
    }
  }
}

/** Seconds to wait after a refusal, undefined where that is of no use. @param {BridgeError} error */
function patience(error) {
  if (error.name === "NoRange") return 1; // some answer so when they are busy
  if (error.name !== "HubStatus") return undefined;
  const [status, , seconds] = error.message.split(" ");
  if (status !== "429" && Number(status) < 500) return undefined;
  const wait = Number.isFinite(Number(seconds)) ? Number(seconds) : 1;
  return wait <= LONGEST_WAIT ? wait : undefined;
}
