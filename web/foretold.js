/**
 * How far the start of Python is, and how long it will still take: nothing but the last start here can tell, and that by
 * the way it went (from nothing, or from a snapshot of its memory).
 */

const NAME = "sotto.start."; // and the way: in localStorage, milliseconds from opening the page until Python answered
const USUAL = 5000; // milliseconds, where none was seen
const TOLD = 1000; // milliseconds left below which no time is told
const TICK = 200; // milliseconds

/** @param {number} milliseconds  @returns {number} seconds as format.py's `rough` has them */
function rough(milliseconds) {
  const seconds = Math.ceil(milliseconds / 1000);
  return seconds <= 10 ? seconds : 5 * Math.ceil(seconds / 5);
}

/**
 * @param {() => string} way how Python is started, as far as that is known yet
 * @param {(part: number, left: number) => void} tell hears now and then the part that is done, and the seconds left; 0 where
 *   nobody knows, or it is nearly over
 * @returns {{arrived: () => void, leave: () => void}} Python answers; or something else is told from now on
 */
export function foretell(way, tell) {
  const leave = () => {
    clearInterval(ticking);
    ticking = 0;
  };
  let ticking = setInterval(() => {
    const now = performance.now();
    const last = seen(way());
    tell(1 - Math.exp(-2 * now / (last || USUAL)), last - now > TOLD ? rough(last - now) : 0);
  }, TICK);
  return {
    arrived() {
      if (!ticking) return;
      leave();
      try {
        if (way()) localStorage.setItem(NAME + way(), performance.now().toFixed(0));
      } catch { /* it keeps nothing */ }
    },
    leave,
  };
}

/** @param {string} way */
function seen(way) {
  try {
    return Number(localStorage.getItem(NAME + way)) || 0;
  } catch {
    return 0;
  }
}
