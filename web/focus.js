/**
 * The place of the keyboard. Where the element that has it goes (hidden, disabled, taken out, or made anew in a list),
 * browsers put the keyboard nowhere: the next Tab begins at the top of the page, and a screen reader falls silent. Here the
 * one that was made in its stead takes over, or else its neighbour. Whoever knows better comes first: Python moves the
 * keyboard from Write to Stop, and to what undoes a deletion.
 */

const WITH_KEYBOARD = "a[href], button, input, select, textarea, summary, [tabindex], [contenteditable]:not([contenteditable=false])";
const GRACE = 100; // milliseconds for whoever knows better

/** @typedef {HTMLElement} Place */
/** @typedef {{element: Place, within: [Element, number][]}} Left what had the keyboard; and what it lay in, from the inside
 * out, with how many could have the keyboard there before it */

/** @param {Element} within  @returns {Place[]} */
const places = (within) => /** @type {Place[]} */ ([...within.querySelectorAll(WITH_KEYBOARD)]);

/** Whether an element can have the keyboard now. @param {Place} element */
const usable = (element) => element.isConnected && element.tabIndex >= 0 && !element.matches(":disabled")
  && element.checkVisibility({ visibilityProperty: true });

/** Whether two are the same, made twice. @param {Place} one  @param {Place} other */
const twins = (one, other) => (one.id ? one.id === other.id
  : Boolean(one.dataset.do) && ["do", "on"].every((name) => one.dataset[name] === other.dataset[name]));

/** Who takes over. @param {Left} left  @returns {Place | undefined} */
function heir({ element, within }) {
  for (const [around, number] of within) {
    const there = around.isConnected ? places(around).filter(usable) : [];
    if (!there.length) continue;
    const twin = there.find((each) => twins(each, element));
    if (twin) return twin;
    if (!element.isConnected) return there[Math.min(number, there.length - 1)];
    const follows = (/** @type {Place} */ each) => element.compareDocumentPosition(each) & Node.DOCUMENT_POSITION_FOLLOWING;
    return there.find(follows) ?? there.at(-1);
  }
  return undefined;
}

/** Watch over the place of the keyboard, for who uses one. */
export function watch() {
  /** @type {Left | undefined} */
  let left;
  addEventListener("focusin", ({ target }) => {
    const element = /** @type {Place} */ (target);
    left = undefined;
    if (!element.matches(":focus-visible")) return; // a pointer was here: it has its place
    left = { element, within: [] };
    for (let around = element.parentElement; around; around = around.parentElement) {
      const before = places(around).filter((each) => usable(each) && each !== element
        && each.compareDocumentPosition(element) & Node.DOCUMENT_POSITION_FOLLOWING);
      left.within.push([around, before.length]);
    }
  });
  addEventListener("focusout", ({ relatedTarget }) => {
    const from = left;
    if (relatedTarget || !from) return;
    setTimeout(() => {
      const lost = document.activeElement === document.body && left === from && !usable(from.element);
      if (lost) heir(from)?.focus();
    }, GRACE);
  });
}
