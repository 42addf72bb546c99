/**
 * Asks the hub, and can ask nobody else: it comes with a policy of its own (py/sotto/site/policy.py), which names the hub's
 * hosts, while the page and Python, who have the texts, reach their own origin alone. It reads, without cookies, and
 * sends nothing but the form that ends signing in.
 *
 * For each question there comes a port, on which it tells in this order: {status, headers} and {part} for each piece of
 * the body, then {done}; or {error}, at any time. Any message on the port ends it.
 */

/** @param {MessageEvent<{url: string, headers: Record<string, string>, form?: string}>} event */
onmessage = async ({ data: { url, headers, form }, ports: [port] }) => {
  const stopping = new AbortController();
  const { signal } = stopping;
  port.onmessage = () => stopping.abort();
  try {
    const sent = form === undefined ? {} : { method: "POST", body: new URLSearchParams(form) };
    const how = /** @type {RequestInit} */ ({ cache: "no-store", credentials: "omit", referrerPolicy: "no-referrer" });
    const response = await fetch(url, { ...how, ...sent, headers, signal });
    port.postMessage({ status: response.status, headers: [...response.headers] });
    const reader = response.body?.getReader();
    for (let part = await reader?.read(); part?.value; part = await reader?.read()) {
      port.postMessage({ part: part.value }, [part.value.buffer]);
    }
    port.postMessage({ done: true });
  } catch (/** @type {any} */ error) {
    port.postMessage({ error: String(error.message) });
  }
};
