/**
 * Texts in fields with data-keep, kept at every change so that no reload, crash or lost device can take them: each tab has
 * its own, and a new one begins with the last of any tab. A browser may refuse (blocked site data, private windows, a very
 * long text): then the field itself still has it. A private tab keeps nothing; Python sees data-private.
 */

const AREAS = /** @type {const} */ (["sessionStorage", "localStorage"]); // of this tab; of all tabs, the last text of any

/** @param {HTMLTextAreaElement} field */
const name = (field) => `sotto.${field.dataset.keep}`;

const PRIVATE = "sotto.private"; // in sessionStorage: this tab is
const root = document.documentElement;

/** Give every field what was kept of it, and keep it from now on. */
export function begin() {
  for (const field of fields()) {
    field.value ||= kept(field);
    keep(field);
    field.addEventListener("input", () => keep(field));
  }
}

/** Let a person make this tab private, and end that; whether it is, outlives a reload. */
export function offerPrivacy() {
  const box = /** @type {HTMLInputElement} */ (document.getElementById("private"));
  /** @param {boolean} on */
  function set(on) {
    root.toggleAttribute("data-private", on);
    box.checked = on;
    try {
      if (on) sessionStorage.setItem(PRIVATE, "yes");
      else sessionStorage.removeItem(PRIVATE);
    } catch { /* then until a reload, after which nothing is there anyway */ }
    for (const field of fields()) (on ? forget : keep)(field);
  }
  try {
    if (sessionStorage.getItem(PRIVATE)) set(true);
  } catch { /* as above */ }
  box.addEventListener("change", () => set(box.checked));
  document.getElementById("private-end")?.addEventListener("click", () => set(false));
}

const fields = () => /** @type {NodeListOf<HTMLTextAreaElement>} */ (document.querySelectorAll("[data-keep]"));

/** What was kept of a field here is gone; of all tabs, where it is the same. @param {HTMLTextAreaElement} field */
function forget(field) {
  for (const area of AREAS) {
    try {
      if (area === "sessionStorage" || globalThis[area].getItem(name(field)) === field.value) globalThis[area].removeItem(name(field));
    } catch { /* as above */ }
  }
}

/** @param {HTMLTextAreaElement} field */
export function keep(field) {
  field.lang = /[\u3040-\u30ff\u4e00-\u9fff]/.test(field.value) ? "ja" : "en";
  if (root.hasAttribute("data-private")) return;
  for (const area of AREAS) {
    try {
      globalThis[area].setItem(name(field), field.value);
    } catch { /* as above */ }
  }
}

/** @param {HTMLTextAreaElement} field  @returns {string} */
function kept(field) {
  if (root.hasAttribute("data-private")) return "";
  for (const area of AREAS) {
    try {
      const text = globalThis[area].getItem(name(field));
      if (text !== null) return text; // a field that was emptied in this tab stays so
    } catch { /* as above */ }
  }
  return "";
}
