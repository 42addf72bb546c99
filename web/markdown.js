/**
 * Markdown that a model wrote, shown without trusting it: marked makes HTML of it, in which the model's own HTML is
 * text; DOMPurify lets only what is listed here through. Nothing of it runs, and nothing is fetched: an image would tell
 * whoever has it what is said here.
 */

import { library } from "./library.js";
import { made, put } from "./lists.js";

const MARKED = new URL("runtime/marked/marked.umd.js", import.meta.url).href;
const DOMPURIFY = new URL("runtime/dompurify/purify.min.js", import.meta.url).href;
const NEAR = 160; // pixels from its end where a page is followed
const FIRST_HEADING = 4; // below those of the page

const ALLOWED = {
  ALLOWED_TAGS: [
    "a", "blockquote", "br", "code", "del", "em", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "strong",
    "table", "tbody", "td", "th", "thead", "tr", "ul",
  ],
  ALLOWED_ATTR: ["href", "title", "start", "align"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
  ALLOW_DATA_ATTR: false,
  ALLOW_ARIA_ATTR: false,
  RETURN_DOM_FRAGMENT: true,
};

/** @param {string} text */
const escaped = (text) => text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

const renderer = {
  /** @param {{text: string}} token */
  html: ({ text }) => escaped(text),
  /** @param {{text: string, href: string}} token */
  image: ({ text, href }) => escaped(text || href),
  /** @param {{checked: boolean}} token */
  checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  /** @this {{parser: {parseInline: (tokens: object[]) => string}}}  @param {{tokens: object[], depth: number}} token */
  heading({ tokens, depth }) {
    const level = Math.min(FIRST_HEADING + depth - 1, 6);
    return `<h${level}>${this.parser.parseInline(tokens)}</h${level}>`;
  },
};

/** @type {((text: string) => Node) | undefined} */
let rendered;

/** How Markdown is shown: as its text alone, where the libraries cannot be had. @returns {Promise<(text: string) => Node>} */
async function ready() {
  if (rendered) return rendered;
  try {
    await Promise.all([library(MARKED), library(DOMPURIFY)]);
  } catch {
    return (text) => Object.assign(document.createElement("p"), { className: "plain", textContent: text });
  }
  const parser = new globalThis.marked.Marked({ gfm: true, breaks: true, renderer });
  rendered = (text) => {
    const fragment = globalThis.DOMPurify.sanitize(parser.parse(text), ALLOWED);
    for (const link of fragment.querySelectorAll("a")) Object.assign(link, { target: "_blank", rel: "noopener noreferrer" });
    for (const wide of fragment.querySelectorAll("pre, table")) wide.setAttribute("tabindex", "0"); // they scroll
    return fragment;
  };
  return rendered;
}

/** Keep the end of the page in sight while `change` makes it longer, for who is there. @param {() => void} change */
function followed(change) {
  const page = document.documentElement;
  const near = page.scrollHeight - innerHeight - scrollY < NEAR;
  change();
  if (near) scrollTo(0, page.scrollHeight);
}

/**
 * Fill an element with HTML that Python made, and the places in it with Markdown.
 * @param {string} id  @param {string} html
 * @param {string} json {name: Markdown} for each element with data-markdown=name
 */
export async function fill(id, html, json) {
  const show = await ready();
  const place = /** @type {HTMLElement} */ (document.getElementById(id));
  followed(() => {
    const content = made(html);
    for (const [name, text] of Object.entries(JSON.parse(json))) {
      content.querySelector(`[data-markdown="${name}"]`)?.replaceChildren(show(text));
    }
    put(place, content);
  });
}

/** Show Markdown that grows in a place of an element. @param {string} id  @param {string} name  @param {string} text */
export async function grow(id, name, text) {
  const show = await ready();
  const place = document.querySelector(`#${id} [data-markdown="${name}"]`);
  followed(() => place?.replaceChildren(show(text)));
}
