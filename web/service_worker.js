/**
 * Keeps one whole version of the page for the time without a network, and answers from it with the headers that give
 * the page shared memory, which most hosts do not send.
 *
 * The server puts RELEASE in front of this file: the version's files with their hashes. A new version is fetched whole
 * beside the old one and waits until a person takes it (offline.js offers it), so that no page is ever made of two.
 */

/** @type {ServiceWorkerSide} */
const worker = /** @type {any} */ (globalThis);

const { version, files, headers, policies } = RELEASE;
const { scope } = worker.registration;
const root = new URL(scope).pathname;
const FAMILY = `sotto ${root} `; // several sites may share an origin, and its caches
const CACHE = FAMILY + version;
const KEPT = `${FAMILY}kept`; // what belongs to no version: the list of models, adapters, a text that was shared
const MODELS = "models.json";
const AT_ONCE = 6; // files that are fetched at the same time
const PATIENCE = 5000; // milliseconds until the list of models is taken as it was kept

/** @typedef {{url: string, size: number}} ListedFile of the list of models */

worker.addEventListener("install", (event) => event.waitUntil(install()));
worker.addEventListener("activate", (event) => event.waitUntil(activate()));
worker.addEventListener("message", (event) => {
  if (event.data === "use") worker.skipWaiting();
});
worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (url.origin !== location.origin || !url.pathname.startsWith(root)) return;
  const path = decodeURIComponent(url.pathname.slice(root.length)).replace(/^index\.html$/, "");
  if (request.method === "POST" && path === "share") event.respondWith(takeShared(request));
  if (request.method !== "GET") return;
  if (Object.hasOwn(files, path)) event.respondWith(ofVersion(path));
  else if (path === MODELS) event.respondWith(listOfModels(request));
  else if (path === "shared") event.respondWith(giveShared());
  else if (path.startsWith("adapters/")) event.respondWith(adapter(request));
});

/** @param {string} path */
const at = (path) => new URL(path, scope).href;

/** Fetch the version whole, or not at all: what fails is tried again at the next visit. */
async function install() {
  const cache = await caches.open(CACHE);
  const older = (await caches.keys()).filter((name) => name.startsWith(FAMILY) && name !== CACHE && name !== KEPT);
  const adapters = await keepModels();
  /** @type {[number, () => Promise<void>][]} the bytes of each file, and what keeps it */
  const left = Object.entries(files).map(([path, [hash, size]]) => [size, async () => {
    if (await cache.match(at(path))) return;
    await cache.put(at(path), (await found(older, path, hash)) ?? (await fetched(path)));
  }]);
  left.push(...adapters.map(keepAdapter));
  const total = left.reduce((sum, [size]) => sum + size, 0);
  let done = 0;
  async function work() {
    for (let next = left.shift(); next; next = left.shift()) {
      const [size, keep] = next;
      await keep();
      done += size;
      for (const client of await worker.clients.matchAll({ includeUncontrolled: true })) client.postMessage({ done, total });
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

/**
 * Keep the list of models: the page that registers this worker had it before there was one. The models themselves are
 * kept by the page, but not the adapters, of which this gives the files.
 * @returns {Promise<ListedFile[]>}
 */
async function keepModels() {
  const response = await fetch(at(MODELS));
  if (!response.ok) throw new Error(`${MODELS}: ${response.status} ${response.statusText}`.trim());
  await (await caches.open(KEPT)).put(at(MODELS), response.clone());
  /** @type {{models: {adapter?: {files: (ListedFile & {parts?: ListedFile[]})[]}}[]}} */
  const { models } = await response.json();
  return models.flatMap(({ adapter }) => adapter?.files ?? []).flatMap((file) => file.parts ?? [file]);
}

/** Its bytes, and what keeps it. One that the server does not have keeps nobody from the page: that says so itself.
 * @param {ListedFile} file  @returns {[number, () => Promise<void>]} */
function keepAdapter({ url, size }) {
  return [size, async () => {
    const response = await fetch(at(url));
    if (response.ok) await (await caches.open(KEPT)).put(at(url), response);
  }];
}

/** The same file in the caches of other versions. @param {string[]} names  @param {string} path  @param {string} hash */
async function found(names, path, hash) {
  for (const name of names) {
    const response = await (await caches.open(name)).match(at(path));
    if (response?.headers.get("ETag") === `"${hash}"`) return answer(path, await response.blob());
  }
  return undefined;
}

/** A file of the version from the server. Throws when that has another one by now. @param {string} path */
async function fetched(path) {
  const response = await fetch(at(path), { cache: "no-cache" });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${response.statusText}`.trim());
  const bytes = await response.arrayBuffer();
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const hash = [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  if (hash !== files[path][0]) throw new Error(`${path} is of another version`);
  return answer(path, bytes);
}

/** @param {string} path  @param {BodyInit} body */
function answer(path, body) {
  const [hash, size, type] = files[path];
  const own = { "Content-Type": type, "Content-Length": String(size), ETag: `"${hash}"`, "Cache-Control": "no-cache" };
  const policy = policies[path] ?? headers["Content-Security-Policy"];
  return new Response(body, { headers: { ...headers, ...own, "Content-Security-Policy": policy } });
}

async function activate() {
  for (const name of await caches.keys()) {
    if (name.startsWith(FAMILY) && name !== CACHE && name !== KEPT) await caches.delete(name);
  }
  await worker.clients.claim();
}

/** A file of the version; a browser that is short of room may have thrown it away. @param {string} path */
async function ofVersion(path) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(at(path));
  if (kept) return kept;
  const response = await fetched(path);
  await cache.put(at(path), response.clone());
  return response;
}

/** What the server offers now, or offered last. @param {Request} request */
async function listOfModels(request) {
  const cache = await caches.open(KEPT);
  try {
    const response = await fetch(request, { signal: AbortSignal.timeout(PATIENCE) });
    if (response.ok) await cache.put(at(MODELS), response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(at(MODELS));
    if (kept) return kept;
    throw error;
  }
}

/** A file of an adapter, which every load reads: the server's, or as it was kept. @param {Request} request */
async function adapter(request) {
  const cache = await caches.open(KEPT);
  try {
    const response = await fetch(request);
    if (response.ok && response.status !== 206) await cache.put(request.url, response.clone());
    return response;
  } catch (error) {
    const kept = await cache.match(request.url);
    if (kept) return kept;
    throw error;
  }
}

/** Keep a text that was shared with the page, and show the page. @param {Request} request */
async function takeShared(request) {
  const form = await request.formData();
  /** @type {string[]} */
  const texts = [];
  for (const value of [...form.getAll("title"), ...form.getAll("text"), ...form.getAll("url"), ...form.getAll("files")]) {
    const text = (typeof value === "string" ? value : await value.text()).trim();
    if (text && !texts.includes(text)) texts.push(text);
  }
  await (await caches.open(KEPT)).put(at("shared"), new Response(texts.join("\n\n")));
  return Response.redirect(`${scope}?shared`, 303);
}

/** Give that text, once. */
async function giveShared() {
  const cache = await caches.open(KEPT);
  const response = await cache.match(at("shared"));
  await cache.delete(at("shared"));
  return response ?? new Response("", { status: 404 });
}
