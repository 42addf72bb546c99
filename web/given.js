/** Files that a person chose, as Python gets them, and those that Python gives. */

const TAKEN = 60_000; // milliseconds in which a browser has taken a file

/**
 * The text of the file in a field, and the field empty again, so that the same file can be chosen once more.
 * @param {string} id of an input  @param {number} most bytes
 * @returns {Promise<string | null>} null for a file that has more. Rejects where it cannot be read.
 */
export async function text(id, most) {
  const field = /** @type {HTMLInputElement} */ (document.getElementById(id));
  const [file] = field.files ?? [];
  field.value = "";
  return !file || file.size > most ? null : file.text();
}

/** Save a text as a file. @param {string} name  @param {string} type  @param {string} text */
export function save(name, type, text) {
  const link = document.createElement("a");
  link.download = name;
  link.href = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), TAKEN);
}
