/** The line to the hub: questions for hub_worker.js, and what it answers. */

/** @typedef {{status: number, headers: Map<string, string>, read: () => Promise<Uint8Array<ArrayBuffer> | undefined>,
 *   stop: () => void}} Answer `read` gives the next piece of the body, or undefined at its end; header names are in lower
 *   case */

/** @type {Worker | undefined} */
let worker;
/** @type {Set<(message: any) => void>} */
const asking = new Set();

function begun() {
  if (!worker) {
    worker = new Worker(new URL("hub_worker.js", import.meta.url));
    worker.onerror = (event) => { // it did not come: the next question asks for it again
      event.preventDefault();
      worker = undefined;
      for (const hear of asking) hear({ error: "hub_worker.js cannot be had" });
    };
  }
  return worker;
}

/** Ask. Whatever breaks is an Error. @param {string} url  @param {Record<string, string>} headers
 * @param {string} [form] that is sent  @returns {Promise<Answer>} */
export async function ask(url, headers, form) {
  const { port1: port, port2 } = new MessageChannel();
  /** @type {any[]} */
  const heard = [];
  let wake = () => {};
  /** @param {any} message */
  function hear(message) {
    heard.push(message);
    wake();
  }
  function end() {
    asking.delete(hear);
    port.close();
  }
  async function next() {
    while (!heard.length) await new Promise((resolve) => { wake = () => resolve(undefined); });
    const message = heard.shift();
    if (message.error !== undefined || message.done) end();
    if (message.error !== undefined) throw new Error(message.error);
    return message;
  }
  asking.add(hear);
  port.onmessage = ({ data }) => hear(data);
  begun().postMessage({ url, headers, form }, [port2]);
  const { status, headers: told } = await next();
  return {
    status,
    headers: new Map(told),
    read: async () => (await next()).part,
    stop() {
      port.postMessage("stop");
      hear({ error: "stopped" });
      end();
    },
  };
}
