/**
 * Starts Python, and watches over it, because a start has no end of its own: a file that does not come, or a worker
 * that got stuck, would leave the page at "starting Python" for ever.
 *
 * What cannot be had is told at once. When nothing has moved for a while, the page names what is missing and offers to
 * start again; when it moves on after all, that goes away.
 */

import { giveNoDatabase } from "./no_database.js";

const CORE = "/runtime/pyscript/core.js";
const TICK = 500; // milliseconds
const root = document.documentElement;
const patience = 1000 * Number(root.dataset.patience); // of html; seconds there

/**
 * @typedef {object} Teller  how the page says what the watch has found
 * @property {(kind: string, values: Record<string, string>, detail: string) => void} fail  it cannot go on
 * @property {(values: Record<string, string>, detail: string) => void} slow  nothing has moved for a while; the detail is
 *   what is missing, if anything is
 * @property {() => void} moving  it goes on
 */

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
    if (!this.begun) this.missing.clear();
    this.begun = true;
    this.moved();
  }

  /** @param {{kind: "asked" | "arrived" | "failed", path: string, why?: string}} message of python.js */
  hear({ kind, path, why }) {
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
  const path = new URL(url, location.href).pathname;
  watch.hear({ kind: "asked", path });
  try {
    const response = await fetch(url);
    if (!response.ok) throw new Error(`${response.status} ${response.statusText}`.trim());
    watch.hear({ kind: "arrived", path });
  } catch (/** @type {any} */ error) {
    watch.hear({ kind: "failed", path, why: error.message });
  }
}

/** A file's name. @param {string} path */
const name = (path) => path.slice(path.lastIndexOf("/") + 1);

/** Start Python. @param {Teller} teller  @returns {Watch} */
export function start(teller) {
  const page = Math.random().toString(36).slice(2); // plain http has no randomUUID
  const watch = new Watch(teller, page);
  addEventListener("py:progress", () => watch.moved());

  const script = /** @type {HTMLScriptElement} */ (document.querySelector("script[type=py]"));
  const config = JSON.parse(script.getAttribute("config") ?? "");
  const modules = Object.keys(config.js_modules.worker).join(" ");
  const given = new URLSearchParams({ page, pyodide: config.interpreter, modules, type: ".js" }); // PyScript wants .js
  config.interpreter = `/python.js?${given}`;
  // A worker reaches the page through shared memory, which browsers give to isolated pages only. From a server that
  // does not send the headers for it, Python runs in the page itself, and the CPU has one thread.
  if (!crossOriginIsolated) {
    config.js_modules = { main: { ...config.js_modules.main, ...config.js_modules.worker } };
    script.removeAttribute("worker");
  }
  script.setAttribute("config", JSON.stringify(config));

  giveNoDatabase();
  probe(watch, config.interpreter);
  watch.hear({ kind: "asked", path: CORE });
  import(CORE).then(
    () => {
      watch.hear({ kind: "asked", path: "/python.js" });
      watch.hear({ kind: "arrived", path: CORE });
    },
    (error) => watch.hear({ kind: "failed", path: CORE, why: error.message }),
  );
  return watch;
}
