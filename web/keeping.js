/** What the browser says of the room that this site has, and whether it may be cleared without asking: the page alone is
 * told, and no worker. Nothing is thrown: a browser that does not tell gives nulls. */

/** @returns {Promise<string>} JSON: bytes used and free, and whether they are safe from being cleared */
export async function room() {
  const { usage = null, quota = null } = (await navigator.storage?.estimate?.().catch(() => null)) ?? {};
  const persisted = (await navigator.storage?.persisted?.().catch(() => null)) ?? null;
  const free = usage === null || quota === null ? null : Math.max(quota - usage, 0);
  return JSON.stringify({ used: usage, free, persisted });
}

/** Ask that nothing is cleared without the person. @returns {Promise<boolean>} */
export async function persist() {
  return (await navigator.storage?.persist?.().catch(() => false)) ?? false;
}
