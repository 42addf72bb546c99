/**
 * Files whose text a person wants in the text box: dropped (drop.js), chosen, or opened with the installed page. Python
 * reads them (py/sotto/page/document_box.py), as soon as it is there.
 */

const box = /** @type {HTMLTextAreaElement} */ (document.getElementById("source"));
const pick = /** @type {HTMLInputElement} */ (document.getElementById("source-file"));

/** @type {(text: string) => void} */
let use;

/** Give a file to Python, which hears of it, or finds it when it comes. @param {File} file */
export function give(file) {
  Object.assign(box.dataset, { file: URL.createObjectURL(file), fileName: file.name, fileSize: String(file.size) });
  box.dispatchEvent(new Event("file"));
}

/** Put a text into the box, as `listen` was told to. @param {string} text */
export function fill(text) {
  use(text);
}

/** @param {(text: string) => void} put puts a text into the box, so that undo brings back what was there */
export function listen(put) {
  use = put;
  document.getElementById("source-choose")?.addEventListener("click", () => pick.click());
  pick.addEventListener("change", () => {
    const [file] = pick.files ?? [];
    if (file) give(file);
    pick.value = ""; // so that the same file can be chosen again
  });
}
