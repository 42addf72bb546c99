// Texts that come from outside: shared with the installed page, or files that were opened with it.

/** @param {(text: string) => void} use puts a text into the box  @param {(file: File) => void} give likewise, a file's */
export async function receive(use, give) {
  globalThis.launchQueue?.setConsumer(async ({ files: [first] }) => {
    if (first) give(await first.getFile());
  });
  const address = new URL(location.href);
  if (!address.searchParams.has("shared")) return;
  const response = await fetch(new URL("shared", import.meta.url)); // service_worker.js keeps it there
  if (response.ok) use(await response.text());
  address.searchParams.delete("shared");
  history.replaceState(null, "", address);
}
