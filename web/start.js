/**
 * Starts Python, and watches over it, because a start has no end of its own: a file that does not come, or a worker
 * that got stuck, would leave the page at "starting Python" for ever.
 *
 * What cannot be had is told at once. When nothing has moved for a while, the page names what is missing and offers to
 * start again; when it moves on after all, that goes away.
 */

import * as ahead from "./ahead.js";
import "./ready_made.js";
import { giveNoDatabase } from "./no_database.js";
import { WORKER, isolate, keep } from "./offline.js";

const CORE = address("runtime/pyscript/core.js");
const TICK = 500; // milliseconds
const REST = 3000; // milliseconds
const root = document.documentElement;
const patience = 1000 * Number(root.dataset.patience); // of html; seconds there

/** Where a file of the page lies: beside this script, wherever that is. @param {string} path */
function address(path) {
  return new URL(path, import.meta.url).href;
}

/**
 * PyScript's configuration with whole addresses, since a worker made of a blob has no place of its own.
 * @param {any} config
 */
function placed(config) {
  const moved = (/** @type {Record<string, string>} */ files) =>
    Object.fromEntries(Object.entries(files).map(([path, name]) => [address(path), name]));
  const { main, worker } = config.js_modules;
  return {
    ...config,
    interpreter: address(config.interpreter),
    files: moved(config.files),
    js_modules: { main: moved(main), worker: moved(worker) },
  };
}

/**
 * @typedef {object} Teller  how the page says what the watch has found
 * @property {(kind: string, values: Record<string, string>, detail: string) => void} fail  it cannot go on
 * @property {(values: Record<string, string>, detail: string) => void} slow  nothing has moved for a while; the detail is
 *   what is missing, if anything is
 * @property {() => void} moving  it goes on
 * @property {(done: number, total: number) => void} fetching  bytes of the page are fetched for the time without a network
 * @property {(take: () => void) => void} offer  there is a newer version of the page; `take` uses it
 */

/**
 * @typedef {{kind: "asked" | "arrived" | "failed", path: string, why?: string}} Way of a file
 * @typedef {Way | {kind: "listening"} | {kind: "started", by: "snapshot" | "bare"} | {kind: "settled"}} Told  that
 *   PyScript's worker can be spoken to; how Python was started, and that all is done for the next start: `html` has both,
 *   data-started and data-snapshot
 */

/** Whether the page comes from a service worker. A page that does may be a version that cannot start: then a newer one is
 * all the more wanted, and it is asked for at once; other pages start first. */
const controlled = Boolean(navigator.serviceWorker?.controller);

/** What is asked for and has not arrived, and for how long nothing has moved while the page was awake. */
class Watch {
  /** @param {Teller} teller  @param {string} page the channel on which python.js tells */
  constructor(teller, page) {
    this.teller = teller;
    this.channel = new BroadcastChannel(page);
    this.channel.onmessage = ({ data }) => this.hear(data);
    /** @type {Map<string, number>} requests that are under way, by their paths */
    this.missing = new Map();
    this.begun = false; // Python runs
    this.listening = () => {}; // is called when PyScript's worker can be spoken to
    this.still = 0; // milliseconds
    this.told = false;
    this.last = performance.now();
    setInterval(() => this.tick(), TICK);
  }

  moved() {
    this.still = 0;
    if (this.told) this.teller.moving();
    this.told = false;
  }

  /** Python runs: what it waits for now is its own to tell, unless that never comes. */
  begin() {
    if (!this.begun) {
      this.missing.clear();
      this.channel.postMessage("running");
      if (!controlled) keep(this.teller.offer);
      // What is kept for the time without a network comes first.
      navigator.serviceWorker?.ready.then(() => atRest(() => this.channel.postMessage("resting")));
    }
    this.begun = true;
    this.moved();
  }

  /** @param {Told} message of python.js */
  hear(message) {
    if (message.kind === "listening") this.listening();
    else if (message.kind === "started") root.dataset.started = message.by;
    else if (message.kind === "settled") root.dataset.snapshot = "settled";
    else this.follow(message);
  }

  /** @param {Way} message */
  follow({ kind, path, why }) {
    const count = this.missing.get(path) ?? 0;
    if (kind === "asked") this.missing.set(path, count + 1);
    else if (count > 1) this.missing.set(path, count - 1);
    else this.missing.delete(path);
    this.moved();
    if (kind === "failed" && !this.begun) this.teller.fail("missing", { file: name(path) }, `${path}: ${why}`);
  }

  tick() {
    const now = performance.now();
    this.still += Math.min(now - this.last, 2 * TICK); // a computer that slept has not waited
    this.last = now;
    if (root.dataset.state !== "loading" || (this.begun && !this.missing.size)) this.moved();
    if (this.still < patience || this.told) return;
    this.told = true;
    const paths = [...this.missing.keys()];
    const detail = paths.join("\n");
    this.teller.slow({ seconds: String(Math.round(this.still / 1000)), files: paths.map(name).join(", ") }, detail);
  }
}

/**
 * Ask for a file that only PyScript's worker is going to use, whose errors nobody hears.
 * @param {Watch} watch  @param {string} url
 */
async function probe(watch, url) {
  const path = new URL(url).pathname;
  watch.hear({ kind: "asked", path });
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`.trim());
    watch.hear({ kind: "arrived", path });
  } catch (/** @type {any} */ error) {
    watch.hear({ kind: "failed", path, why: error.message });
  }
}

/** Act when the page has been ready, and nobody has written, for a while. @param {() => void} act */
function atRest(act) {
  let timer = 0;
  const observer = new MutationObserver(look);
  function look() {
    clearTimeout(timer);
    if (root.dataset.state === "ready") timer = setTimeout(rested, REST);
  }
  function rested() {
    observer.disconnect();
    act();
  }
  observer.observe(root, { attributeFilter: ["data-state"] });
  look();
}

/** A file's name. @param {string} path */
const name = (path) => path.slice(path.lastIndexOf("/") + 1);

/** Start Python. @param {Teller} teller  @returns {Watch} */
export function start(teller) {
  const page = Math.random().toString(36).slice(2); // plain http has no randomUUID
  const watch = new Watch(teller, page);
  addEventListener("py:progress", () => watch.moved());
  if (controlled) keep(teller.offer);
  const worker = new URL(WORKER).pathname;
  watch.hear({ kind: "asked", path: worker }); // where it is not wanted, it has come in no time
  isolate((done, total) => {
    watch.moved();
    teller.fetching(done, total);
  }).then(() => {
    watch.hear({ kind: "arrived", path: worker });
    run(watch, page);
  });
  return watch;
}

/** The next worker that is made here: PyScript's, which it gives to nobody in time. @returns {Promise<Worker>} */
function nextWorker() {
  const { Worker } = globalThis;
  return new Promise((resolve) => {
    globalThis.Worker = class extends Worker {
      /** @param {string | URL} url  @param {WorkerOptions} [options] */
      constructor(url, options) {
        super(url, options);
        globalThis.Worker = Worker;
        resolve(this);
      }
    };
  });
}

/** Let PyScript start Python. @param {Watch} watch  @param {string} page as the watch was given it */
function run(watch, page) {
  const script = /** @type {HTMLScriptElement} */ (document.querySelector("script[type=py]"));
  const config = placed(JSON.parse(script.getAttribute("config") ?? ""));
  const wanted = { modules: Object.keys(config.js_modules.worker).join(" "), files: Object.keys(config.files).join(" ") };
  const app = address("app.zip");
  const given = new URLSearchParams({ page, pyodide: config.interpreter, app, ...wanted, type: ".js" }); // PyScript wants .js
  const line = ahead.begin(new URLSearchParams({ pyodide: config.interpreter, app }), (kind, url) =>
    watch.hear({ kind, path: new URL(url).pathname }));
  const python = address("python.js");
  config.interpreter = `${python}?${given}`;
  // A worker reaches the page through shared memory, which browsers give to isolated pages only. From a server that
  // does not send the headers for it, Python runs in the page itself, and the CPU has one thread.
  if (!crossOriginIsolated) {
    config.js_modules = { main: { ...config.js_modules.main, ...config.js_modules.worker } };
    script.removeAttribute("worker");
    ahead.use(line);
  } else {
    const worker = nextWorker();
    watch.listening = async () => Worker.prototype.postMessage.call(await worker, { ahead: line }, { transfer: [line] });
  }
  script.setAttribute("config", JSON.stringify(config));

  giveNoDatabase();
  probe(watch, config.interpreter);
  const path = new URL(CORE).pathname;
  watch.hear({ kind: "asked", path });
  const coming = import(CORE);
  for (const module of Object.keys(config.js_modules.main)) import(module).catch(() => {}); // Python will wait for each
  coming.then(
    () => {
      watch.hear({ kind: "asked", path: new URL(python).pathname });
      watch.hear({ kind: "arrived", path });
    },
    (error) => watch.hear({ kind: "failed", path, why: error.message }),
  );
}
