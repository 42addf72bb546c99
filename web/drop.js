/**
 * Files that a person drops anywhere on the page, or picks. Who takes them is decided in one place (`route`): a model
 * goes to Python's worker (files.js) as soon as that listens, a text to whoever `listen` was given.
 */

const root = document.documentElement;
const curtain = /** @type {HTMLElement} */ (document.getElementById("drop"));
const pick = /** @type {HTMLInputElement} */ (document.getElementById("pick"));
const TEXT = /\.(txt|text|md|markdown|x?html?|pdf|docx|csv|json|log|rst|tex)$/i;

/** Whether files are texts and no model, which is what all others are tried as: one with JSON files has more beside them.
 * @param {File[]} files */
const areTexts = (files) => files.every(({ name, type }) => TEXT.test(name) || type.startsWith("text/"));

/** Send the files of a model to Python. @param {File[]} files  @param {string} folder */
function giveModel(files, folder) {
  const send = () => {
    const channel = new BroadcastChannel(root.dataset.files ?? "");
    channel.postMessage({ files, folder });
    channel.close();
  };
  if (root.dataset.files) {
    send();
    return;
  }
  new MutationObserver((_, observer) => { // Python is not there yet
    observer.disconnect();
    send();
  }).observe(root, { attributeFilter: ["data-files"] });
}

/** The files of a folder and of those in it. @param {FileSystemEntry | null} entry  @returns {Promise<File[]>} */
async function within(entry) {
  if (!entry) return [];
  if (entry.isFile) return [await new Promise((...done) => /** @type {FileSystemFileEntry} */ (entry).file(...done))];
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  const found = [];
  for (;;) {
    /** @type {FileSystemEntry[]} */
    const some = await new Promise((...done) => reader.readEntries(...done));
    if (!some.length) return found;
    for (const one of some) found.push(...(await within(one)));
  }
}

/** Whether files are being dragged, and not words. @param {DragEvent} event */
const hasFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false;

/** Let files be dropped anywhere, and model files be picked. @param {(files: File[]) => void} takeTexts */
export function listen(takeTexts) {
  /** @param {File[]} files  @param {string} folder that they were in, "" for none */
  const route = (files, folder) => {
    if (!files.length) return;
    if (areTexts(files)) takeTexts(files);
    else giveModel(files, folder);
  };
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    curtain.hidden = false;
  });
  addEventListener("dragleave", ({ relatedTarget }) => { curtain.hidden ||= !relatedTarget; });
  addEventListener("drop", async (event) => {
    curtain.hidden = true;
    if (!hasFiles(event)) return;
    event.preventDefault();
    const entries = [...(event.dataTransfer?.items ?? [])].map((item) => item.webkitGetAsEntry()); // before any wait
    const files = [...(event.dataTransfer?.files ?? [])];
    const [folder] = entries.filter((entry) => entry?.isDirectory);
    if (folder) route((await Promise.all(entries.map(within))).flat(), entries.length === 1 ? folder.name : "");
    else route(files, "");
  });
  pick.addEventListener("change", () => {
    const files = [...(pick.files ?? [])];
    pick.value = ""; // so that the same file can be chosen again
    if (files.length) giveModel(files, "");
  });
}
