/**
 * The service worker as the page sees it: registered, waited for where the page is isolated only by its headers, and
 * replaced by a newer one when a person takes that.
 */

export const WORKER = new URL("service_worker.js", import.meta.url).href;
const TRIED = "sotto.isolating"; // in sessionStorage: the page was opened again for the worker's headers
const QUEUED = "queued"; // its value, where a person had asked for a post already
const root = document.documentElement;

/** Whether this browser, at this address, has service workers. */
const possible = "serviceWorker" in navigator;

/** @returns {Promise<ServiceWorkerRegistration | undefined>} undefined where the browser refuses one */
async function register() {
  try {
    return await navigator.serviceWorker.register(WORKER, { updateViaCache: "none" });
  } catch {
    return undefined;
  }
}

/**
 * Get the page isolated where only the service worker can do that: it fetches the whole page, and then the page is
 * opened again, once. Ends when the page is to go on as it is; never, when it is opened again.
 * @param {(done: number, total: number) => void} progress bytes of the page that the worker has fetched
 */
export async function isolate(progress) {
  if (crossOriginIsolated) return forget();
  if (!possible || tried()) return;
  const registration = await register();
  if (!registration) return;
  navigator.serviceWorker.addEventListener("message", ({ data }) => progress(data.done, data.total));
  if (!(await activated(registration)) || !remember()) return;
  location.reload();
  await new Promise(() => {});
}

/** Whether a registration comes to have a worker that runs. @param {ServiceWorkerRegistration} registration
 * @returns {Promise<boolean>} */
function activated(registration) {
  const worker = registration.active ?? registration.waiting ?? registration.installing;
  if (!worker) return Promise.resolve(false);
  return new Promise((resolve) => {
    function look() {
      if (worker?.state === "activated") resolve(true);
      if (worker?.state === "redundant") resolve(false);
    }
    worker.addEventListener("statechange", look);
    look();
  });
}

/** Both raise nothing where a browser keeps nothing: it has no service workers either. */
function tried() {
  try {
    return sessionStorage.getItem(TRIED) !== null;
  } catch {
    return true;
  }
}

function remember() {
  try {
    sessionStorage.setItem(TRIED, root.hasAttribute("data-queued") ? QUEUED : "");
    return true;
  } catch {
    return false;
  }
}

function forget() {
  try {
    if (sessionStorage.getItem(TRIED) === QUEUED) root.setAttribute("data-queued", "");
    sessionStorage.removeItem(TRIED);
  } catch { /* as above */ }
}

/**
 * Keep the page for the time without a network, and say when there is a new version of it.
 * @param {(take: () => void) => void} offer shows that there is one; `take` is called when a person wants it
 */
export async function keep(offer) {
  if (!possible) return;
  const registration = await register();
  if (!registration) return;
  const container = navigator.serviceWorker;
  /** @param {ServiceWorker | null} worker */
  const look = (worker) => {
    if (worker?.state === "installed" && container.controller) offer(() => worker.postMessage("use"));
  };
  look(registration.waiting);
  registration.addEventListener("updatefound", () => {
    const worker = registration.installing;
    worker?.addEventListener("statechange", () => look(worker));
  });
  let { controller } = container;
  container.addEventListener("controllerchange", () => {
    const first = !controller;
    ({ controller } = container);
    if (!first) startAgain(); // this page is of the version before
  });
}

/** Open the page again, as soon as nothing is being written. */
export function startAgain() {
  const look = () => root.dataset.state !== "writing" && location.reload();
  new MutationObserver(look).observe(root, { attributeFilter: ["data-state"] });
  look();
}
