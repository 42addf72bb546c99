// What has to answer before Python does: the words of the page, the text a person left here, the examples, the
// keyboard, "write as soon as you can", where Python runs, and the faults with which it could never start. The rest of the
// page is py/sotto/page/, which finds every element by the same ids.

const root = document.documentElement;
/** The element of an id; of any kind, since index.html says which. @param {string} id  @returns {any} */
const at = (id) => document.getElementById(id);
/** @param {string} selector  @returns {NodeListOf<HTMLElement>} */
const all = (selector) => document.querySelectorAll(selector);
const KEPT = "sotto.text";

// --- words: one file for this script and for Python; the browser's language decides, English when in doubt.

const book = await (await fetch("words.json")).json();
const language = navigator.languages.find((tag) => /^(en|ja)\b/.test(tag))?.slice(0, 2) ?? "en";
const words = book[language];
root.lang = language;
for (const element of all("[data-words]")) element.textContent = words[element.dataset.words ?? ""];
for (const element of all("[data-placeholder]")) element.setAttribute("placeholder", words[element.dataset.placeholder ?? ""]);
for (const element of all("[data-label]")) element.ariaLabel = words[element.dataset.label ?? ""];
for (const when of ["empty", "reading"]) at("post").dataset[when] = words[at("post").dataset[when]];
at("when").textContent = words["when.soon"];

// --- the screens: the part of the address behind # names one; the post has none. Behind a ? there may be more.

const SCREENS = ["post", "benchmark"];

function show() {
  const asked = location.hash.slice(1).split("?")[0];
  const screen = SCREENS.includes(asked) ? asked : SCREENS[0];
  if (root.dataset.screen !== screen) scrollTo(0, 0);
  root.dataset.screen = screen;
  for (const link of all("#screens a")) {
    link.ariaCurrent = link.dataset.screen === screen ? "page" : null;
  }
}

addEventListener("hashchange", show);
show();

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

// --- the text: kept at every change, so that no reload, crash or lost device can take it.

const source = at("source");

function keep() {
  source.lang = /[\u3040-\u30ff\u4e00-\u9fff]/.test(source.value) ? "ja" : "en";
  try {
    localStorage.setItem(KEPT, source.value);
  } catch {
    // Private windows may refuse storage, a very long text may not fit: the text box itself still has it.
  }
}

try {
  source.value ||= localStorage.getItem(KEPT) ?? "";
} catch {
  // As above.
}
keep();
source.addEventListener("input", keep);

// --- the examples, through the editing command, so that undo brings back what was there.

/** @param {string} example */
function use(example) {
  source.focus();
  source.select();
  if (!document.execCommand("insertText", false, example)) source.value = example;
  source.setSelectionRange(0, 0);
  source.scrollTop = 0;
  keep();
}

/** @type {[string, {name: string, text: string}][]} by language */
const examples = Object.entries(book.examples);
for (const [tag, example] of examples) {
  const button = document.createElement("button");
  Object.assign(button, { type: "button", id: `example-${tag}`, lang: tag, textContent: example.name });
  button.addEventListener("click", () => use(example.text));
  at("examples").append(button);
}

// --- writing: until the model is ready the button queues; Python listens to the same clicks from then on.

at("write").addEventListener("click", () => {
  if (root.dataset.state === "loading") root.toggleAttribute("data-queued");
});
addEventListener("keydown", (event) => {
  const writing = root.dataset.state === "writing";
  if (root.dataset.screen === "benchmark") {
    if (event.key === "Escape" && !at("bench-stop").hidden) at("bench-stop").click();
    return;
  }
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && !writing) at("write").click();
  else if (event.key === "Escape" && writing) at("stop").click();
  else if (event.key === "Escape" && at("model").open) at("model").open = false;
});
addEventListener("pointerdown", (event) => {
  if (!at("model").contains(event.target)) at("model").open = false;
});

/** @param {HTMLElement} button  @param {string} text  @param {string} word what the button says otherwise */
async function copy(button, text, word) {
  await navigator.clipboard.writeText(text);
  button.textContent = words.copied;
  setTimeout(() => { button.textContent = words[word]; }, 2000);
}

at("copy").addEventListener("click", () => copy(at("copy"), at("post").textContent.trim(), "copy"));
for (const id of ["bench-copy", "bench-link"]) {
  at(id).addEventListener("click", () => copy(at(id), at(id).dataset.text, at(id).dataset.words));
}
at("bench-form").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault()); // Python hears of it too

// --- PyScript, unless it could only fail.

/** @param {string} kind as words.json names faults  @param {string} [detail] */
function fail(kind, detail = "") {
  if (root.dataset.screen !== "post") location.hash = ""; // the fault is told there
  root.dataset.state = "error";
  root.removeAttribute("data-queued");
  at("model-state").textContent = words["state.error"];
  at("error-title").textContent = words[`error.${kind}`];
  at("error-text").textContent = words[`error.${kind}.text`];
  at("error-action").textContent = words[`error.${kind}.action`];
  at("error-action").onclick = () => location.reload();
  at("error-more").hidden = !detail;
  at("error-detail").textContent = detail;
  at("error").hidden = false;
  at("write").disabled = true;
  at("when").textContent = "";
  at("progress").hidden = true;
}

// --- what Python shows while it loads: [selector, "text" or a style or attribute, value] for each change, as JSON.

globalThis.paint = (/** @type {string} */ changes) => {
  for (const [selector, name, value] of JSON.parse(changes)) {
    const element = all(selector)[0];
    if (name === "text") element.textContent = value;
    else if (name.startsWith("--")) element.style.setProperty(name, value);
    else element.setAttribute(name, value);
  }
};

// PyScript reports its own steps; they move the bar up to where Python takes it over (progress.py, SHARES).
let steps = 0;
addEventListener("py:progress", () => {
  at("progress").style.setProperty("--done", String(Math.min(++steps * 0.03, 0.15)));
});

for (const kind of ["error", "unhandledrejection"]) {
  addEventListener(kind, (event) => {
    const { message, reason } = /** @type {any} an ErrorEvent or a PromiseRejectionEvent */ (event);
    if (root.dataset.state === "loading") fail("runtime", String(reason ?? message));
  });
}

// A worker reaches the page through shared memory, which browsers give to isolated pages only. From a server that does
// not send the headers for it, Python runs in the page itself, and the CPU has one thread.
if (!crossOriginIsolated) {
  const python = all("script[type=py]")[0];
  const config = JSON.parse(python.getAttribute("config") ?? "");
  config.js_modules = { main: { ...config.js_modules.main, ...config.js_modules.worker } };
  python.setAttribute("config", JSON.stringify(config));
  python.removeAttribute("worker");
}
import("/runtime/pyscript/core.js").catch((error) => fail("runtime", String(error)));
