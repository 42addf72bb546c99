// QK-norm, RoPE, the KV cache write and attention for one to four tokens, each split over its positions.
//   qkv (T, H+2G, E) f32; q_norm, k_norm (E) f32; angles (S, E/2) (cos, sin); keys, values (SLOTS, G, E) f16, two to a
//   word, position p in slot p mod SLOTS, written in place; partials (T, SPLITS, H, E) f32, not normalised; stats
//   (T, SPLITS, H): the maximum score and the sum of exp(score - maximum). A split without keys has zeros for all.
// Tile j holds the positions j*TILE .. (j+1)*TILE-1 and belongs to split j mod SPLITS, wherever the text began and
// however many tokens the run has, so that a token's sums are the same bits in any run.
// The run's own keys and values are made from qkv by the workgroup that attends to them, and never read from the cache,
// which a workgroup of another token may be writing: of all workgroups one writes a token's slot, its own.
// What must be fast is waiting for memory, so no load waits for another: loops have a constant number of rounds, which
// compilers unroll, and no branch around a single load. A position that this token does not see is clamped to one that
// it does, and weighs exp(LOWEST - maximum) = 0.
// Grid: x over splits, y over KV heads in groups of 4 of their H/G query heads (GQA: a key is loaded once for four), z
// over tokens. Formulas as in rope_kv.wgsl and attention.wgsl.
// #include "step.wgsl"
@group(0) @binding(0) var<storage, read> qkv: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> q_norm: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> k_norm: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read> angles: array<vec4<f32>>;  // of two neighbouring dimensions
@group(0) @binding(4) var<storage, read_write> keys: array<vec4<u32>>;
@group(0) @binding(5) var<storage, read_write> values: array<vec2<u32>>;
@group(0) @binding(6) var<storage, read_write> partials: array<vec4<f32>>;
@group(0) @binding(7) var<storage, read_write> stats: array<vec2<f32>>;
override H: u32;
override G: u32;
override E: u32;  // a multiple of 8, at most 256: a thread owns 4 dimensions of the output
override SLOTS: u32;
override WINDOW: u32;
override EPS: f32;
override SCALE: f32;
override SPLITS: u32;
override TILE: u32;  // keys at a time: 16, 32 or 64; 64/TILE threads share a key

override EIGHTS: u32 = E / 8u;
override OWN: u32 = MOST * E / 4u;
override WAYS: u32 = THREADS / TILE;
override KEY_ROUNDS: u32 = (EIGHTS + WAYS - 1u) / WAYS;
override PEAK_KEYS: u32 = TILE / LANES;
override VALUE_ROUNDS: u32 = TILE / AHEAD;
override TILE_ROUNDS: u32 = ((WINDOW + TILE - 2u) / TILE + SPLITS) / SPLITS;  // of the tiles a window can touch

const THREADS: u32 = 64;
const MOST: u32 = 4;            // tokens
const LANES: u32 = 16;          // threads that norm a head
const TURNS: u32 = 2;           // in which they do it
const AHEAD: u32 = 8;           // values that a thread loads at once
const LOWEST: f32 = -1.0e30;    // a score no key has; four of them still add up
var<workgroup> squares: array<vec2<f32>, THREADS>;  // of a query, of a key
var<workgroup> queries: array<vec4<f32>, 256>;      // [4 * (four dimensions) + head]; zero past the heads and past E
var<workgroup> own_keys: array<vec2<u32>, OWN>;     // of the run's tokens, as the cache has them
var<workgroup> own_values: array<vec2<u32>, OWN>;
var<workgroup> scores: array<vec4<f32>, THREADS>;   // [thread]: its part of a key's score, a component for each head
var<workgroup> peaks: array<vec4<f32>, LANES>;
var<workgroup> weights: array<vec4<f32>, THREADS>;  // [key]

fn unpack4(words: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}

fn pack4(value: vec4<f32>) -> vec2<u32> {
    return vec2<u32>(pack2x16float(value.xy), pack2x16float(value.zw));
}

// Four dimensions of the first half of a head, and those E/2 further on, with which they turn.
struct Halves {
    first: vec4<f32>,
    second: vec4<f32>,
}

// Of a head of qkv; i < E/8.
fn halves(head: u32, i: u32) -> Halves {
    return Halves(qkv[head + i], qkv[head + i + EIGHTS]);
}

fn times(x: Halves, first: vec4<f32>, second: vec4<f32>) -> Halves {
    return Halves(x.first * first, x.second * second);
}

fn square_of(x: Halves) -> f32 {
    return dot(x.first, x.first) + dot(x.second, x.second);
}

fn turned(x: Halves, position: u32, i: u32) -> Halves {
    let a = angles[position * (E / 4u) + 2u * i];
    let b = angles[position * (E / 4u) + 2u * i + 1u];
    let cosine = vec4<f32>(a.xz, b.xz);
    let sine = vec4<f32>(a.yw, b.yw);
    return Halves(x.first * cosine - x.second * sine, x.second * cosine + x.first * sine);
}

// Four dimensions of a key against the four queries.
fn score_of(key: vec2<u32>, i: u32) -> vec4<f32> {
    let k = unpack4(key);
    return vec4<f32>(
        dot(k, queries[4u * i]), dot(k, queries[4u * i + 1u]), dot(k, queries[4u * i + 2u]), dot(k, queries[4u * i + 3u]));
}

// The highest of the scores that one of LANES threads looks at.
fn peak_of(thread: u32) -> vec4<f32> {
    var peak = vec4<f32>(LOWEST);
    for (var k = 0u; k < PEAK_KEYS; k++) {
        var whole = vec4<f32>();
        for (var w = 0u; w < WAYS; w++) {
            whole += scores[(thread * PEAK_KEYS + k) * WAYS + w];
        }
        peak = max(peak, whole);
    }
    return peak;
}

fn store(
    out: u32, heads: u32, thread: u32, highest: vec4<f32>, total: vec4<f32>,
    sum0: vec4<f32>, sum1: vec4<f32>, sum2: vec4<f32>, sum3: vec4<f32>,
) {
    if (thread < heads) {
        stats[out + thread] = vec2<f32>(highest[thread], total[thread]);
    }
    let quads = E / 4u;
    if (thread < quads) {
        let to = out * quads + thread;
        partials[to] = sum0;
        if (heads > 1u) {
            partials[to + quads] = sum1;
        }
        if (heads > 2u) {
            partials[to + 2u * quads] = sum2;
        }
        if (heads > 3u) {
            partials[to + 3u * quads] = sum3;
        }
    }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let split = group.x;
    let t = group.z;
    if (t >= step.count) {
        return;
    }
    let quarters = (H / G + 3u) / 4u;  // groups of four heads
    let g = group.y / quarters;
    let first_head = g * (H / G) + 4u * (group.y % quarters);
    let heads = min(4u, (g + 1u) * (H / G) - first_head);
    let own = step.position;  // the run's first position
    let position = own + t;
    var begin = 0u;
    if (position + 1u > WINDOW) {
        begin = position + 1u - WINDOW;
    }
    let quads = E / 4u;
    let row = (H + 2u * G) * quads;  // of qkv
    let out = (t * SPLITS + split) * H + first_head;

    // The split's first tile from the one that holds `begin` on.
    let first_tile = begin / TILE + (split + SPLITS - (begin / TILE) % SPLITS) % SPLITS;
    if (first_tile * TILE > position) {
        store(out, heads, thread, vec4<f32>(), vec4<f32>(), vec4<f32>(), vec4<f32>(), vec4<f32>(), vec4<f32>());
        return;
    }

    // LANES threads for each query, and for each of the run's tokens up to this one where its key lies in this split.
    let holds_own = own / TILE % SPLITS == split || position / TILE % SPLITS == split;
    let lane = thread % LANES;
    let h = min(thread / LANES, heads - 1u);
    let u = min(thread / LANES, t);
    let query = t * row + (first_head + h) * quads;
    let key = u * row + (H + g) * quads;
    var turned_query: array<Halves, TURNS>;
    var turned_key: array<Halves, TURNS>;
    var square = vec2<f32>();
    for (var r = 0u; r < TURNS; r++) {
        let i = r * LANES + lane;
        if (i < EIGHTS) {
            let x = halves(query, i);
            square.x += square_of(x);
            turned_query[r] = turned(times(x, q_norm[i], q_norm[i + EIGHTS]), position, i);
            if (holds_own) {
                let y = halves(key, i);
                square.y += square_of(y);
                turned_key[r] = turned(times(y, k_norm[i], k_norm[i + EIGHTS]), own + u, i);
                let value = halves(key + G * quads, i);
                if (thread / LANES <= t) {
                    own_values[u * quads + i] = pack4(value.first);
                    own_values[u * quads + EIGHTS + i] = pack4(value.second);
                }
            }
        }
    }
    squares[thread] = square;
    workgroupBarrier();
    square = vec2<f32>();
    for (var i = 0u; i < LANES; i++) {
        square += squares[thread - lane + i];
    }
    let factors = inverseSqrt(square / f32(E) + EPS);
    for (var r = 0u; r < TURNS; r++) {
        let i = r * LANES + lane;
        if (i < EIGHTS) {
            if (thread / LANES < heads) {
                queries[4u * i + h] = turned_query[r].first * (factors.x * SCALE);
                queries[4u * (EIGHTS + i) + h] = turned_query[r].second * (factors.x * SCALE);
            }
            if (holds_own && thread / LANES <= t) {
                own_keys[u * quads + i] = pack4(turned_key[r].first * factors.y);
                own_keys[u * quads + EIGHTS + i] = pack4(turned_key[r].second * factors.y);
            }
        }
    }
    workgroupBarrier();
    if (position / TILE % SPLITS == split && group.y % quarters == 0u) {
        let slot = (position % SLOTS) * G + g;
        if (thread < EIGHTS) {
            let i = t * quads + 2u * thread;
            keys[slot * EIGHTS + thread] = vec4<u32>(own_keys[i], own_keys[i + 1u]);
        }
        if (thread < quads) {
            values[slot * quads + thread] = own_values[t * quads + thread];
        }
    }

    let mine = thread / WAYS;              // key of a tile
    let way = thread % WAYS;               // every WAYS-th eight of its dimensions
    let column = min(thread, quads - 1u);  // of the values; a thread too many does as the last one
    var highest = vec4<f32>(LOWEST);
    var total = vec4<f32>();
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    for (var round = 0u; round < TILE_ROUNDS; round++) {
        let start = (first_tile + round * SPLITS) * TILE;
        if (start > position) {
            break;
        }
        // The cached positions in it that this token sees: from low to below high.
        let low = max(begin, start);
        let high = min(own, start + TILE);
        let p = start + mine;
        var score = vec4<f32>();
        if (low < high) {
            let slot = (clamp(p, low, high - 1u) % SLOTS * G + g) * EIGHTS;
            for (var j = 0u; j < KEY_ROUNDS; j++) {
                let i = j * WAYS + way;
                let eight = keys[slot + min(i, EIGHTS - 1u)];
                score += score_of(eight.xy, 2u * i) + score_of(eight.zw, 2u * i + 1u);
            }
        }
        if (p >= own && p <= position) {
            score = vec4<f32>();
            for (var j = 0u; j < KEY_ROUNDS; j++) {
                let i = j * WAYS + way;
                let from_here = (p - own) * quads + 2u * min(i, EIGHTS - 1u);
                score += score_of(own_keys[from_here], 2u * i) + score_of(own_keys[from_here + 1u], 2u * i + 1u);
            }
        }
        scores[thread] = select(score, vec4<f32>(LOWEST), p < begin || p > position);
        workgroupBarrier();
        var whole = vec4<f32>();  // the score of a key, for the first TILE threads
        for (var w = 0u; w < WAYS; w++) {
            whole += scores[thread * WAYS % THREADS + w];
        }
        if (thread < LANES) {
            peaks[thread] = peak_of(thread);
        }
        workgroupBarrier();
        var peak = highest;
        for (var i = 0u; i < LANES; i++) {
            peak = max(peak, peaks[i]);
        }
        if (thread < TILE) {
            weights[thread] = exp(whole - peak);
        }
        workgroupBarrier();
        let decay = exp(highest - peak);
        highest = peak;
        total *= decay;
        sum0 *= decay.x;
        sum1 *= decay.y;
        sum2 *= decay.z;
        sum3 *= decay.w;
        for (var j = 0u; j < VALUE_ROUNDS; j++) {
            let first = start + j * AHEAD;
            if (first <= position && first + AHEAD > begin) {
                var fours: array<vec2<u32>, AHEAD>;
                if (low < high) {
                    for (var n = 0u; n < AHEAD; n++) {
                        let slot = clamp(first + n, low, high - 1u) % SLOTS * G + g;
                        fours[n] = values[slot * quads + column];
                    }
                }
                if (high < start + TILE) {
                    for (var n = 0u; n < AHEAD; n++) {
                        let own_value = own_values[min(first + n - own, t) * quads + column];
                        fours[n] = select(fours[n], own_value, first + n >= own);
                    }
                }
                for (var n = 0u; n < AHEAD; n++) {
                    let weight = weights[j * AHEAD + n];
                    let value = unpack4(fours[n]);
                    total += weight;
                    sum0 += weight.x * value;
                    sum1 += weight.y * value;
                    sum2 += weight.z * value;
                    sum3 += weight.w * value;
                }
            }
        }
    }
    store(out, heads, thread, highest, total, sum0, sum1, sum2, sum3);
}
