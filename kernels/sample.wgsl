// The next token: the COUNT highest logits, in falling order (of equal values the lower index first), one of them
// drawn by the rule of sampler.py, and the inputs of the run that continues with it.
//   x (V) f32, consumed: chosen values are overwritten; maxima (SLICES) f32 from slice_maxima, kept up to date;
//   chosen (2*COUNT + PICKS) u32: index and bits of the f32 value of each candidate, then a ring of the tokens
//   picked since the host last wrote the inputs; inputs: the step block and the first token id, in place;
//   text (CONTEXT) u32: the text's token ids by position, for the repetition penalty; the new token is added.
// Logits that are no numbers give the token 0xffffffff.
// A tournament in three levels: 64 threads each guard 1/64 of the slices, and each round looks at 64 guards, one
// slice's values and one guard's slices instead of all V values. Grid: one workgroup.
// #include "draw.wgsl"
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> maxima: array<f32>;
@group(0) @binding(2) var<storage, read_write> chosen: array<u32>;
@group(0) @binding(3) var<storage, read_write> inputs: Inputs;
@group(0) @binding(4) var<storage, read_write> text: array<u32>;
override V: u32;
override SLICE: u32;
override SLICES: u32 = (V + SLICE - 1u) / SLICE;
override SHARE: u32 = (SLICES + 63u) / 64u;  // slices guarded by one thread
override COUNT: u32;
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
    unused: array<u32, 50>,
    token: u32,
}

const LOWEST: f32 = -3.4028234e38;
const NO_NUMBER: u32 = 0xffffffffu;
var<workgroup> values: array<f32, 64>;
var<workgroup> places: array<u32, 64>;
var<workgroup> rounds: u32;
var<workgroup> scores: array<f32, COUNT>;   // of the candidates, penalised
var<workgroup> order: array<u32, COUNT>;    // candidates, the best score first
var<workgroup> weights: array<f32, COUNT>;  // in that order

struct Best {
    value: f32,
    place: u32,
}

// The best of 64 threads' candidates; the lower place wins a tie. Every thread gets the answer.
fn best_of_all(mine: Best, thread: u32) -> Best {
    values[thread] = mine.value;
    places[thread] = mine.place;
    workgroupBarrier();
    var best = Best(values[0], places[0]);
    for (var i = 1u; i < 64u; i++) {
        if (values[i] > best.value || (values[i] == best.value && places[i] < best.place)) {
            best = Best(values[i], places[i]);
        }
    }
    workgroupBarrier();
    return best;
}

fn best_slice(guard: u32) -> Best {
    var best = Best(LOWEST, 0xffffffffu);
    for (var s = guard * SHARE; s < min((guard + 1u) * SHARE, SLICES); s++) {
        if (best.place == 0xffffffffu || maxima[s] > best.value) {
            best = Best(maxima[s], s);
        }
    }
    return best;
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

// The place in `order` of the candidate drawn, by one thread: sums in a fixed order.
fn drawn(candidates: u32) -> u32 {
    var total = 0.0;
    for (var i = 0u; i < candidates; i++) {
        total += weights[i];
    }
    var kept = 0u;
    var mass = 0.0;
    while (kept < candidates && (kept == 0u || (mass < inputs.top_p * total && weights[kept] >= inputs.min_p))) {
        mass += weights[kept];
        kept++;
    }
    let target_mass = uniform_draw(vec2<u32>(inputs.seed_low, inputs.seed_high), inputs.draw) * mass;
    var place = 0u;
    for (var sum = weights[0]; place + 1u < kept && sum <= target_mass; sum += weights[place]) {
        place++;
    }
    return place;
}

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32) {
    if (thread == 0u) {
        rounds = select(min(inputs.wanted, COUNT), COUNT, inputs.wanted == 0u);
    }
    let wanted = workgroupUniformLoad(&rounds);
    var guarded = best_slice(thread);
    for (var round = 0u; round < wanted; round++) {
        let slice = best_of_all(guarded, thread).place;
        let begin = slice * SLICE;
        let end = min(begin + SLICE, V);
        var mine = Best(LOWEST, 0xffffffffu);
        var next = LOWEST;  // this thread's best value besides `mine`
        for (var i = begin + thread; i < end; i += 64u) {
            let value = x[i];
            if (mine.place == 0xffffffffu || value > mine.value) {
                next = max(next, mine.value);
                mine = Best(value, i);
            } else {
                next = max(next, value);
            }
        }
        let winner = best_of_all(mine, thread);
        let rest = best_of_all(Best(select(mine.value, next, mine.place == winner.place), thread), thread);
        if (thread == 0u) {
            chosen[2u * round] = winner.place;
            chosen[2u * round + 1u] = bitcast<u32>(winner.value);
        }
        if (mine.place == winner.place) {
            x[winner.place] = LOWEST;
        }
        if (thread == slice / SHARE) {
            maxima[slice] = rest.value;
            guarded = best_slice(thread);
        }
        storageBarrier();
    }

    for (var i = thread; i < wanted; i += 64u) {
        scores[i] = penalised(chosen[2u * i], bitcast<f32>(chosen[2u * i + 1u]));
    }
    workgroupBarrier();
    for (var i = thread; i < wanted; i += 64u) {
        var rank = 0u;
        for (var j = 0u; j < wanted; j++) {
            rank += select(0u, 1u, scores[j] > scores[i] || (scores[j] == scores[i] && j < i));
        }
        order[rank] = i;
    }
    workgroupBarrier();
    for (var i = thread; i < wanted; i += 64u) {
        weights[i] = exponential((scores[order[i]] - scores[order[0]]) * inputs.inverse_temperature);
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
    var token = chosen[2u * order[place]];
    for (var i = 0u; i < wanted; i++) {
        // Not by a comparison: compilers may take it for granted that there are no such numbers.
        if ((chosen[2u * i + 1u] & 0x7f800000u) == 0x7f800000u) {
            token = NO_NUMBER;
        }
    }
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
