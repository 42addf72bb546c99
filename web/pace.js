/**
 * How much a GPU is given at a time: a long run is cut into submits whose length is learnt from those before.
 * pace.py does the same for plain Python, and says why.
 */

const SUBMIT_SECONDS = 0.1;
const SURE_SECONDS = 0.02;
const FIRST_RATE = 1e9;
const GROWTH = 4;

/** @typedef {{flat: number, token: number, key: number, window: number}} Work as device.py describes it */
/** @typedef {[number, number]} Amount operations of a step: of attention, and all others */

/**
 * What the steps of a run are.
 * @param {Work[]} steps  @param {number} position of the first token  @param {number} tokens  @returns {Amount[]}
 */
export function amounts(steps, position, tokens) {
  return steps.map(({ flat, token, key, window }) => {
    return [tokens * key * Math.min(window, position + tokens / 2), flat + tokens * token];
  });
}

/** What a device is thought to do in a second. */
export class Pace {
  constructor() {
    this.rates = [FIRST_RATE, FIRST_RATE]; // operations of attention, and others
  }

  /** What a step is thought to take. @param {Amount} amount */
  seconds([attention, others]) {
    return attention / this.rates[0] + others / this.rates[1];
  }

  /**
   * The step before which a submit that begins with step `first` ends, `last` at most.
   * @param {Amount[]} steps  @param {number} first  @param {number} last
   */
  end(steps, first, last) {
    let end = first + 1;
    let left = SUBMIT_SECONDS - this.seconds(steps[first]);
    for (; end < last; end += 1) {
      const seconds = this.seconds(steps[end]);
      if (seconds > left) break;
      left -= seconds;
    }
    return end;
  }

  /** A submit of these steps took so long. @param {Amount[]} steps  @param {number} seconds */
  learn(steps, seconds) {
    const thought = this.rates.map((rate, kind) => steps.reduce((sum, amount) => sum + amount[kind], 0) / rate);
    const total = thought[0] + thought[1];
    const faster = Math.min(total / Math.max(seconds, 1e-6), GROWTH);
    if (faster <= 1 && seconds <= SURE_SECONDS) return;
    this.rates = this.rates.map((rate, kind) => rate * faster ** (thought[kind] / total));
  }
}
