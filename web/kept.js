/**
 * Texts in fields with data-keep, kept at every change so that no reload, crash or lost device can take them: each tab has
 * its own, and a new one begins with the last of any tab. A browser may refuse (blocked site data, private windows, a very
 * long text): then the field itself still has it.
 */

const AREAS = /** @type {const} */ (["sessionStorage", "localStorage"]); // of this tab; of all tabs, the last text of any

/** @param {HTMLTextAreaElement} field */
const name = (field) => `sotto.${field.dataset.keep}`;

/** Give every field what was kept of it, and keep it from now on. */
export function begin() {
  for (const element of document.querySelectorAll("[data-keep]")) {
    const field = /** @type {HTMLTextAreaElement} */ (element);
    field.value ||= kept(field);
    keep(field);
    field.addEventListener("input", () => keep(field));
  }
}

/** @param {HTMLTextAreaElement} field */
export function keep(field) {
  field.lang = /[\u3040-\u30ff\u4e00-\u9fff]/.test(field.value) ? "ja" : "en";
  for (const area of AREAS) {
    try {
      globalThis[area].setItem(name(field), field.value);
    } catch { /* as above */ }
  }
}

/** @param {HTMLTextAreaElement} field  @returns {string} */
function kept(field) {
  for (const area of AREAS) {
    try {
      const text = globalThis[area].getItem(name(field));
      if (text !== null) return text; // a field that was emptied in this tab stays so
    } catch { /* as above */ }
  }
  return "";
}
