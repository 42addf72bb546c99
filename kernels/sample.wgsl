// The next token: the COUNT highest logits, in falling order (of equal values the lower index first), one of them
// drawn by the rule of sampler.py, and the inputs of the run that continues with it.
//   x (V) f32 and maxima (SLICES) f32 from slice_maxima or decode_head, as bits; chosen (2*COUNT + PICKS) u32: index and bits of the f32 value of
//   each candidate, then a ring of the tokens picked since the host last wrote the inputs; inputs: the step block and
//   the first token id, in place; text (CONTEXT) u32: the text's token ids by position, for the repetition penalty and
//   the copy bias; the new token is added.
// A logit that is not finite, wherever it is, is the first candidate, and the token is 0xffffffff.
// As many slices as there are candidates wanted, those with the highest maxima, hold all candidates; of these slices'
// values few are as high as the least of these maxima. A bisection finds that maximum, and where values are equal or
// slices few, the value that leaves few enough. What is left is put in order by counting. Grid: one workgroup.
// #include "draw.wgsl"
// #include "order.wgsl"
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read> maxima: array<u32>;
@group(0) @binding(2) var<storage, read_write> chosen: array<u32>;
@group(0) @binding(3) var<storage, read_write> inputs: Inputs;
@group(0) @binding(4) var<storage, read_write> text: array<u32>;
override V: u32;
override SLICE: u32;
override SLICES: u32 = (V + SLICE - 1u) / SLICE;
override COUNT: u32;
override KEPT: u32;  // values that can be put in order, COUNT or more
override PICKS: u32;
override CONTEXT: u32;

// The step block as sampler.py packs it, and what follows it.
struct Inputs {
    position: u32,
    count: u32,
    wanted: u32,       // candidates to select, 1..COUNT; 0 for COUNT
    top_k: u32,        // candidates to draw from; 0 for all
    repeat_last: u32,  // positions that the penalty looks back
    draw: u32,         // number of this draw
    seed_low: u32,
    seed_high: u32,
    inverse_temperature: f32,  // 0 takes the best
    top_p: f32,
    min_p: f32,
    penalty: f32,
    inverse_penalty: f32,
    picked: u32,  // tokens in the ring
    copy_bias: f32,      // for tokens that go on with a phrase of the prompt
    prompt_tokens: u32,  // of the text, from its beginning; 0 for no bias
    unused: array<u32, 48>,
    token: u32,
}

const THREADS: u32 = 256;
const COPY_REACH: u32 = 32;  // candidates that the bias may raise
const NO_NUMBER: u32 = 0xffffffffu;
const BATCH: u32 = 4;  // items that a thread asks for before it looks at any: memory is far away

var<workgroup> keys: array<u32, KEPT>;     // of what was kept; then the bits of weights, the best score's first
var<workgroup> places: array<u32, KEPT>;   // their places; then candidates, the best score first
var<workgroup> words: array<u32, COUNT>;   // slices; then the bits of the candidates' scores, penalised
var<workgroup> peak: atomic<u32>;          // the highest key; EVERY where a logit is not finite
var<workgroup> total: atomic<u32>;         // of all tallies so far
var<workgroup> filled: atomic<u32>;        // of keys and places, had they room for all
var<workgroup> shared_number: u32;
var<workgroup> followed: array<atomic<u32>, COPY_REACH>;  // by candidate: 2 where it follows the two latest tokens
                                           // somewhere in the prompt, 1 where it follows the latest, else 0
var<private> counted: u32;                 // `total` before

// Keeps what has a higher key, or the same key and a place up to this one.
struct Cut {
    key: u32,
    place: u32,
}

// A thread's items of the batch from `first` on: slices and their maxima, or the values of the slices in `words`.
fn batch_of(of_values: bool, items: u32, first: u32, thread: u32) -> array<Item, BATCH> {
    var found: array<Item, BATCH>;
    for (var j = 0u; j < BATCH; j++) {
        let i = first + j * THREADS + thread;
        let there = min(i, items - 1u);
        var place = there;
        var value: u32;
        if (of_values) {
            place = words[there / SLICE] * SLICE + there % SLICE;
            value = x[min(place, V - 1u)];
        } else {
            value = maxima[there];
        }
        let item = Item(key_of(value), place);
        found[j].key = select(ABSENT.key, item.key, i < items && place < V);
        found[j].place = select(ABSENT.place, item.place, i < items && place < V);
    }
    return found;
}

fn keeps(cut: Cut, it: Item) -> bool {
    return it.place != EVERY && (it.key > cut.key || (it.key == cut.key && it.place <= cut.place));
}

// What thread 0 found, for all.
fn told(value: u32, thread: u32) -> u32 {
    if (thread == 0u) {
        shared_number = value;
    }
    return workgroupUniformLoad(&shared_number);
}

// How many items a cut keeps.
fn tally(of_values: bool, items: u32, cut: Cut, thread: u32) -> u32 {
    var mine = 0u;
    for (var first = 0u; first < items; first += BATCH * THREADS) {
        let batch = batch_of(of_values, items, first, thread);
        for (var j = 0u; j < BATCH; j++) {
            mine += select(0u, 1u, keeps(cut, batch[j]));
        }
    }
    if (mine > 0u) {
        atomicAdd(&total, mine);
    }
    workgroupBarrier();
    let count = told(atomicLoad(&total) - counted, thread);
    counted += count;
    return count;
}

// The highest of the slices' maxima, as a key.
fn peak_of_all(thread: u32) -> u32 {
    var mine = 0u;
    for (var i = thread; i < SLICES; i += THREADS) {
        mine = max(mine, key_of(maxima[i]));
    }
    atomicMax(&peak, mine);
    workgroupBarrier();
    return told(atomicLoad(&peak), thread);
}

// The cut that keeps `wanted` items, or more with equal keys if these are no more than `most`.
fn cut_for(of_values: bool, items: u32, wanted: u32, most: u32, peak_key: u32, thread: u32) -> Cut {
    var key = 0u;  // the highest that keeps enough
    var highest = peak_key;
    var kept = items;
    var trial = peak_key;  // enough where one is wanted
    while (key < highest && kept != wanted) {
        let count = tally(of_values, items, Cut(trial, EVERY), thread);
        if (count >= wanted) {
            key = trial;
            kept = count;
        } else {
            highest = trial - 1u;
        }
        trial = highest - (highest - key) / 2u;
    }
    if (kept <= most) {
        return Cut(key, EVERY);
    }
    var least = 0u;
    var place = V;  // the lowest that keeps enough
    while (least < place) {
        let middle = least + (place - least) / 2u;
        if (tally(of_values, items, Cut(key, middle), thread) >= wanted) {
            place = middle;
        } else {
            least = middle + 1u;
        }
    }
    return Cut(key, place);
}

// Put what a cut keeps into `keys` and `places`, in any order. Returns how many items that are, or would be.
fn keep(of_values: bool, items: u32, cut: Cut, thread: u32) -> u32 {
    if (thread == 0u) {
        atomicStore(&filled, 0u);
    }
    workgroupBarrier();
    for (var first = 0u; first < items; first += BATCH * THREADS) {
        let batch = batch_of(of_values, items, first, thread);
        for (var j = 0u; j < BATCH; j++) {
            if (keeps(cut, batch[j])) {
                let at = atomicAdd(&filled, 1u);
                if (at < KEPT) {
                    keys[at] = batch[j].key;
                    places[at] = batch[j].place;
                }
            }
        }
    }
    workgroupBarrier();
    return told(atomicLoad(&filled), thread);
}

// The `wanted` best of x, to `chosen`.
fn choose(wanted: u32, thread: u32) {
    let slices = min(wanted, SLICES);
    let peak_key = peak_of_all(thread);
    let cut = cut_for(false, SLICES, slices, slices, peak_key, thread);
    keep(false, SLICES, cut, thread);
    for (var i = thread; i < slices; i += THREADS) {
        words[i] = places[i];
    }
    workgroupBarrier();
    let items = slices * SLICE;
    var found = keep(true, items, Cut(cut.key, EVERY), thread);
    if (found < wanted || found > KEPT) {
        found = keep(true, items, cut_for(true, items, wanted, KEPT, peak_key, thread), thread);
    }
    for (var i = thread; i < found; i += THREADS) {
        let it = Item(keys[i], places[i]);
        var rank = 0u;
        for (var j = 0u; j < found; j++) {
            rank += select(0u, 1u, keys[j] > it.key || (keys[j] == it.key && places[j] < it.place));
        }
        if (rank < wanted) {
            chosen[2u * rank] = it.place;
            chosen[2u * rank + 1u] = x[it.place];
        }
    }
    storageBarrier();
    workgroupBarrier();
}

// A token that is among the latest is made less probable, whatever the sign of its logit.
fn penalised(token: u32, logit: f32) -> f32 {
    let next = inputs.position + inputs.count;
    for (var p = next - min(next, inputs.repeat_last); p < next; p++) {
        if (text[p] == token) {
            return logit * select(inputs.penalty, inputs.inverse_penalty, logit > 0.0);
        }
    }
    return logit;
}

// Which candidates go on with a phrase of the prompt.
fn mark_followers(wanted: u32, thread: u32) {
    let next = inputs.position + inputs.count;
    if (inputs.prompt_tokens == 0u || next <= inputs.prompt_tokens) {
        return;
    }
    let last = text[next - 1u];
    let before = text[next - 2u];
    for (var p = 1u + thread; p < inputs.prompt_tokens; p += THREADS) {
        if (text[p - 1u] == last) {
            let length = select(1u, 2u, p > 1u && text[max(p, 2u) - 2u] == before);
            for (var i = 0u; i < min(wanted, COPY_REACH); i++) {
                if (chosen[2u * i] == text[p]) {
                    atomicMax(&followed[i], length);
                }
            }
        }
    }
}

fn copy_bias(i: u32) -> f32 {
    if (i >= COPY_REACH) {
        return 0.0;
    }
    return inputs.copy_bias * 0.5 * f32(atomicLoad(&followed[i]));
}

fn score(i: u32) -> f32 {
    return bitcast<f32>(words[i]);
}

fn weight(i: u32) -> f32 {
    return bitcast<f32>(keys[i]);
}

// The place in the order of scores of the candidate drawn, by one thread: sums in a fixed order.
fn drawn(candidates: u32) -> u32 {
    var sum = 0.0;
    for (var i = 0u; i < candidates; i++) {
        sum += weight(i);
    }
    var kept = 0u;
    var mass = 0.0;
    while (kept < candidates && (kept == 0u || (mass < inputs.top_p * sum && weight(kept) >= inputs.min_p))) {
        mass += weight(kept);
        kept++;
    }
    let target_mass = uniform_draw(vec2<u32>(inputs.seed_low, inputs.seed_high), inputs.draw) * mass;
    var place = 0u;
    for (sum = weight(0u); place + 1u < kept && sum <= target_mass; sum += weight(place)) {
        place++;
    }
    return place;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(local_invocation_index) thread: u32) {
    let wanted = told(select(min(inputs.wanted, COUNT), COUNT, inputs.wanted == 0u), thread);
    choose(wanted, thread);
    mark_followers(wanted, thread);
    workgroupBarrier();

    for (var i = thread; i < wanted; i += THREADS) {
        words[i] = bitcast<u32>(penalised(chosen[2u * i], bitcast<f32>(chosen[2u * i + 1u])) + copy_bias(i));
    }
    workgroupBarrier();
    for (var i = thread; i < wanted; i += THREADS) {
        var rank = 0u;
        for (var j = 0u; j < wanted; j++) {
            rank += select(0u, 1u, score(j) > score(i) || (score(j) == score(i) && j < i));
        }
        places[rank] = i;
    }
    workgroupBarrier();
    for (var i = thread; i < wanted; i += THREADS) {
        keys[i] = bitcast<u32>(exponential((score(places[i]) - score(places[0])) * inputs.inverse_temperature));
    }
    workgroupBarrier();
    if (thread != 0u) {
        return;
    }
    let candidates = select(min(inputs.top_k, wanted), wanted, inputs.top_k == 0u);
    var place = 0u;
    if (inputs.inverse_temperature > 0.0) {
        place = drawn(candidates);
    }
    let token = select(chosen[2u * places[place]], NO_NUMBER, atomicLoad(&peak) == EVERY);
    let next = inputs.position + inputs.count;
    if (next < CONTEXT) {
        text[next] = token;
    }
    chosen[2u * COUNT + inputs.picked % PICKS] = token;
    inputs.position = next;
    inputs.count = 1u;
    inputs.token = token;
    inputs.draw += 1u;
    inputs.picked += 1u;
}
