/** Files that a person chose, as Python gets them. */

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
