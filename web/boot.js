// What has to answer before Python does: the words of the page, the text a person left here, the examples, the
// keyboard, "write as soon as you can", and the faults with which Python could never start (start.js watches over that).
// The rest of the page is py/sotto/page/, which finds every element by the same ids.

import { give, listen as listenForTexts } from "./documents.js";
import { listen as listenForFiles } from "./drop.js";
import { watch as watchFocus } from "./focus.js";
import { foretell } from "./foretold.js";
import { begin, keep, offerPrivacy } from "./kept.js";
import { made, put } from "./lists.js";
import { startAgain } from "./offline.js";
import { receive } from "./shared.js";
import { start } from "./start.js";

const root = document.documentElement;
/** The element of an id; of any kind, since index.html says which. @param {string} id  @returns {any} */
const at = (id) => document.getElementById(id);
/** @param {string} selector  @returns {NodeListOf<HTMLElement>} */
const all = (selector) => document.querySelectorAll(selector);

// --- words: one file for this script and for Python; the language that was chosen or else the browser's decides, English
// when in doubt.

const book = await (await fetch("words.json")).json();
const LANGUAGE = "sotto.language"; // in localStorage: the one that was chosen; nothing for the browser's
let chosen = "";
try {
  chosen = localStorage.getItem(LANGUAGE) ?? "";
} catch { /* it keeps nothing */ }
const language = [chosen, ...navigator.languages].find((tag) => /^(en|ja)\b/.test(tag))?.slice(0, 2) ?? "en";
const words = book[language];
root.lang = language;
for (const element of all("[data-words]")) element.textContent = words[element.dataset.words ?? ""];
for (const element of all("[data-placeholder]")) element.setAttribute("placeholder", words[element.dataset.placeholder ?? ""]);
for (const element of all("[data-label]")) element.ariaLabel = words[element.dataset.label ?? ""];
for (const when of ["empty", "reading"]) at("post").dataset[when] = words[at("post").dataset[when]];
for (const element of all(".when")) element.textContent = words["when.soon"];

// --- the screens: the part of the address behind # names one of the list; without it, the first is shown. Behind a ?
// there may be more.

const links = [...all("#screens a")];

function show() {
  const asked = location.hash.slice(1).split("?")[0];
  const { screen } = (links.find((link) => link.dataset.screen === asked) ?? links[0]).dataset;
  if (root.dataset.screen !== screen) scrollTo(0, 0);
  root.dataset.screen = screen;
  for (const main of all("main")) main.hidden = main.dataset.screen !== screen;
  for (const link of links) {
    link.ariaCurrent = link.dataset.screen === screen ? "page" : null;
    if (link.ariaCurrent) link.scrollIntoView({ block: "nearest", inline: "center" }); // of a phone's rail
  }
}

addEventListener("hashchange", () => {
  show();
  // To an element with the name of a screen as its id the browser goes by itself: the link has lost the keyboard for nothing.
  if (document.activeElement === document.body) links.find((link) => link.ariaCurrent)?.focus();
});
show();

// --- the look of the page; another language needs another page.

at("theme").value = globalThis.theme();
at("theme").addEventListener("change", () => globalThis.theme(at("theme").value));
at("language").value = chosen;
at("language").addEventListener("change", () => {
  try {
    localStorage.setItem(LANGUAGE, at("language").value);
  } catch { /* then it stays as it is */ }
  startAgain();
});
at("preferences").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());

// --- what disturbs a measurement: Python reads and clears data-was-hidden, and reads data-battery.

document.addEventListener("visibilitychange", () => {
  if (document.hidden) root.dataset.wasHidden = "";
});

navigator.getBattery?.().then((battery) => {
  const LOW = 0.2;
  function look() {
    root.dataset.battery = battery.charging ? "" : battery.level < LOW ? "low" : "on";
  }
  for (const change of ["chargingchange", "levelchange"]) battery.addEventListener(change, look);
  look();
}).catch(() => {}); // a browser may refuse to tell

offerPrivacy();
begin(); // with the texts that a person left here

// --- the examples, through the editing command, so that undo brings back what was there.

const source = at("source");

/** @param {string} example */
function use(example) {
  source.focus();
  source.select();
  if (!document.execCommand("insertText", false, example)) source.value = example;
  source.setSelectionRange(0, 0);
  source.scrollTop = 0;
  keep(source);
}

listenForTexts(use);
receive(use, give);

/** @type {[string, {name: string, text: string}][]} by language */
const examples = Object.entries(book.examples);
for (const [tag, example] of examples) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", id: `example-${tag}`, lang: tag, textContent: example.name });
  button.addEventListener("click", () => use(example.text));
  at("examples").append(button);
}

// --- files that are dropped anywhere or picked: models, and a text for the box.

listenForFiles(([file]) => give(file));
at("models-pick").addEventListener("click", () => at("pick").click());

// --- writing: until the model and the screen's Python are ready the button queues; Python listens to the same clicks from
// then on.

at("write").addEventListener("click", () => {
  if (root.dataset.state !== "loading" && at("write").closest("[data-made]")) return;
  root.toggleAttribute("data-queued");
  at("announced").textContent = root.hasAttribute("data-queued") ? words.queued : "";
});

watchFocus();

// --- keys: that of a button that can be seen presses it. Enter in a field with data-enter presses the button of that id,
// unless a word of Japanese is being composed with it, or there is only a keyboard on a screen, which has no Shift+Enter.

const keyboard = !matchMedia("(hover: none), (pointer: coarse)").matches;
root.toggleAttribute("data-keyboard", keyboard); // for Python
addEventListener("keydown", (event) => {
  const key = `${event.ctrlKey || event.metaKey ? "command+" : ""}${event.key}`;
  const button = [...all("[data-key]")].find((each) => each.dataset.key === key && each.checkVisibility());
  const { enter } = /** @type {HTMLElement} */ (event.target).dataset ?? {};
  if (button) button.click();
  else if (enter && event.key === "Enter" && !event.shiftKey && !event.isComposing && keyboard) {
    event.preventDefault();
    at(enter).click();
  } else if (key === "Escape") at("model").open = false;
});

// --- copying: what Python left on the button, or what the element holds that the button names.

/** @param {string} text */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea"); // plain http has no clipboard
  area.value = text;
  document.body.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
}

addEventListener("click", async ({ target }) => { // also for buttons that come later
  const button = /** @type {HTMLElement} */ (target).closest?.("[data-copy]");
  if (!(button instanceof HTMLElement)) return;
  await copy(button.dataset.text ?? at(button.dataset.copy ?? "").textContent.trim());
  button.textContent = words.copied;
  setTimeout(() => { button.textContent = words[button.dataset.words ?? ""]; }, 2000);
});

// --- the system's share sheet, where there is one: the text of the element that the button names.

root.toggleAttribute("data-shares", Boolean(navigator.share));
addEventListener("click", ({ target }) => {
  const button = /** @type {HTMLElement} */ (target).closest?.("[data-share]");
  if (!(button instanceof HTMLElement)) return;
  const text = at(button.dataset.share ?? "").textContent.trim();
  navigator.share({ text }).catch(() => {}); // whoever thinks better of it is no error
});
for (const form of ["bench-form", "hub-form"]) { // Python hears of it too
  at(form).addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
}

// --- what Python shows: [selector, what, value] for each change, as JSON. What is "text"; "parts", texts with the names of
// elements or without; "options" with their values; "items", a list's markup; a .property, a --style, or an attribute.

globalThis.paint = (/** @type {string} */ changes) => {
  for (const [selector, what, value] of JSON.parse(changes)) {
    const elements = /** @type {NodeListOf<any>} */ (all(selector));
    if (!elements.length && selector.startsWith("#")) throw new Error(`The page has no ${selector}.`);
    for (const element of elements) {
      if (what === "text") element.textContent = value;
      else if (what === "parts") element.replaceChildren(...value.map(part));
      else if (what === "options") element.append(...value.map(option));
      else if (what === "items") put(element, made(value));
      else if (what.startsWith(".")) element[what.slice(1)] = value;
      else if (what.startsWith("--")) element.style.setProperty(what, value);
      else element.setAttribute(what, value);
    }
  }
  watch.begin();
};

/** @param {[string, string]} part */
const part = ([tag, text]) => (tag ? Object.assign(document.createElement(tag), { textContent: text }) : text);
/** @param {[string, string]} option */
const option = ([value, text]) => new Option(text, value);

// --- what Python asks, each in one call: it waits for the page's turn at every one.

/**
 * Tell Python of events.
 * @param {string} wanted JSON of [id, event, number][]
 * @param {(number: number, does: string, on: string, id: string) => void} heard is told the number, the data-do and data-on of
 *   what was pressed, and the id of what it happened to
 */
globalThis.listen = (wanted, heard) => {
  for (const [id, event, number] of JSON.parse(wanted)) {
    at(id).addEventListener(event, (/** @type {any} */ { target }) => {
      const { do: does = "", on = "" } = target.closest("[data-do]")?.dataset ?? {};
      heard(number, does, on, target.id);
    });
  }
  python.arrived();
};

/** The id of what has the keyboard. */
globalThis.focused = () => document.activeElement?.id ?? "";

/** What the browser knows, as JSON; py/sotto/page/browser.py says what each is. */
globalThis.told = () => {
  const { href, origin, pathname, search, hash } = location;
  const has = (/** @type {string} */ name) => root.hasAttribute(`data-${name}`);
  return JSON.stringify({
    href, origin, pathname, search, hash, screen: root.dataset.screen, hub: root.dataset.hub, language: root.lang,
    isolated: crossOriginIsolated, secure: isSecureContext, keyboard: has("keyboard"), private: has("private"),
    age: performance.now() / 1000,
  });
};

const OURS = "sotto.";
const LONG = 10_000; // characters

/**
 * What the browser keeps under names of ours, as JSON: the texts by their names, null for a long one. It may throw.
 * @param {"localStorage" | "sessionStorage"} area
 */
globalThis.remembered = (area) => {
  const kept = Object.entries(globalThis[area]).filter(([name]) => name.startsWith(OURS));
  return JSON.stringify(Object.fromEntries(kept.map(([name, text]) =>
    [name.slice(OURS.length), text.length > LONG ? null : text])));
};

// --- Python, and what can be told before it runs.

/** Words with their values. @param {string} key  @param {Record<string, string>} values  @returns {string} */
const filled = (key, values) => words[key].replace(/{(\w+)}/g, (/** @type {string} */ _, /** @type {string} */ name) => values[name]);

let left = ""; // the part of the address behind # of who was taken to the first screen, to be told something

/**
 * Tell something in place of the post; the button starts again.
 * @param {string} kind as words.json names faults  @param {Record<string, string>} values for the words  @param {string} detail
 */
function tell(kind, values, detail) {
  if (root.dataset.screen !== links[0].dataset.screen) {
    left = location.hash;
    location.hash = ""; // it is told there
  }
  at("error-title").textContent = filled(`error.${kind}`, values);
  at("error-text").textContent = filled(`error.${kind}.text`, values);
  at("error-action").textContent = filled(`error.${kind}.action`, values);
  at("error-action").onclick = async () => { // without a server, a reload would leave the browser's own error page
    if (await fetch(location.pathname, { cache: "no-store" }).catch(() => null)) location.reload(); // or from what is kept
    else at("error-text").textContent = words["error.gone"];
  };
  at("error-more").hidden = !detail;
  at("error-detail").textContent = detail;
  at("error").hidden = false;
}

/** It goes on; what is told from now on is Python's. */
function untell() {
  at("error-action").onclick = null;
  at("error").hidden = true;
  if (left && !location.hash) location.hash = left; // unless who was taken away went on meanwhile
  left = "";
}

/** @param {string} kind  @param {Record<string, string>} values  @param {string} detail */
function fail(kind, values, detail) {
  if (root.dataset.state !== "loading") return; // the first word is the best one
  tell(kind, values, detail);
  root.dataset.state = "error";
  root.removeAttribute("data-queued");
  at("model-state").textContent = words["state.error"];
  at("write").disabled = true;
  at("when").textContent = "";
  at("progress").hidden = true;
  python.leave();
}

const RUNTIME = 0.15; // of the bar: progress.py, SHARES
const TOLD = 500; // milliseconds in which a file that cannot be had is told: that says more than what comes of it
for (const kind of ["error", "unhandledrejection"]) {
  addEventListener(kind, (event) => {
    const { message, reason } = /** @type {any} an ErrorEvent or a PromiseRejectionEvent */ (event);
    setTimeout(fail, TOLD, "runtime", {}, String(reason ?? message));
  });
}

const watch = start({
  fail,
  slow(values, detail) {
    if (detail) tell("slow", values, detail);
    else tell("stuck", values, detail);
  },
  moving: untell,
  fetching(done, total) {
    python.leave();
    const MB = 1e6;
    at("progress").style.setProperty("--done", String(done / total));
    at("model-state").textContent = filled("state.fetching", { done: (done / MB).toFixed(0), total: (total / MB).toFixed(0) });
  },
  offer(take) {
    at("update-take").onclick = take;
    at("update").hidden = false;
  },
});

// The bar moves up to where Python takes it over.
const python = foretell(() => root.dataset.started ?? "", (part, left) => {
  at("progress").style.setProperty("--done", String(part * RUNTIME));
  const time = left && filled("stage.left", { time: filled("unit.seconds.about", { value: String(left) }) });
  at("model-state").textContent = [words["state.starting"], time].filter(Boolean).join(words.separator);
});
