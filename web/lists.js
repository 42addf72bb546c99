/**
 * What Python writes again while a person is at it: lists, conversations. What was there before stays: with the keyboard,
 * with a press that has begun, with what is being written into a field.
 */

import { library } from "./library.js";

const IDIOMORPH = new URL("runtime/idiomorph/idiomorph.min.js", import.meta.url).href;

/** @type {EventTarget | null} the field whose text was changed, until Python is told of it */
let unfinished = null;
addEventListener("input", ({ target }) => { unfinished = target; });
addEventListener("change", () => { unfinished = null; });

/** Markup, not yet in the page. @param {string} html */
export function made(html) {
  const template = document.createElement("template");
  template.innerHTML = html;
  return template.content;
}

/** Make some content all that an element holds. @param {Element} element  @param {DocumentFragment} content */
export function put(element, content) {
  const { Idiomorph } = globalThis;
  // By its id something is known again: what a person can do, and with what.
  for (const each of /** @type {NodeListOf<HTMLElement>} */ (content.querySelectorAll("[data-on]"))) {
    each.id ||= [element.id, each.dataset.do, each.dataset.on].join(":");
  }
  if (!Idiomorph) {
    element.replaceChildren(content);
    library(IDIOMORPH).catch(() => {}); // then everything in it is new each time
    return;
  }
  const ignoreActiveValue = unfinished === document.activeElement;
  Idiomorph.morph(element, [...content.childNodes], { morphStyle: "innerHTML", ignoreActiveValue });
}
