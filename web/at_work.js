/**
 * What this tab does with the processor, as a mark that outlives the tab: one that ends in order takes its mark away, of
 * one that was taken down it stays, for the next to find. The mark's name is held as a lock meanwhile, by which marks of
 * living tabs are told from those of dead ones; a browser without locks has no marks.
 */

import { hold, holders } from "./locks.js";

const BEGINS = "sotto.at-work.";
const name = BEGINS + Array.from(crypto.getRandomValues(new Uint32Array(2))).join("");

let mine = ""; // of this tab
/** @type {Promise<boolean> | undefined} */
let held; // whether the name is, for as long as this page lives

/** Keep or take away this tab's mark, where the browser keeps anything. */
function keep() {
  try {
    if (mine) localStorage.setItem(name, mine);
    else localStorage.removeItem(name);
  } catch { /* nothing is known of this tab then */ }
}

/** Mark this tab, until `end`. @param {string} text what it does */
export async function begin(text) {
  held ??= hold(name).then(async () => (await holders()).includes(name));
  if (!(await held)) return;
  mine = text;
  keep();
}

/** It is done. */
export function end() {
  mine = "";
  keep();
}

/** The marks of dead tabs, each told once. @returns {Promise<string>} JSON of a list of texts */
export async function left() {
  const living = await holders();
  const texts = [];
  try {
    for (const key of Object.keys(localStorage)) {
      if (!key.startsWith(BEGINS) || living.includes(key)) continue;
      texts.push(localStorage.getItem(key));
      localStorage.removeItem(key);
    }
  } catch { /* as above */ }
  return JSON.stringify(texts);
}

addEventListener("pagehide", () => {
  try {
    localStorage.removeItem(name);
  } catch { /* as above */ }
});
addEventListener("pageshow", ({ persisted }) => { // the browser has kept the page, and it goes on
  if (persisted) keep();
});
