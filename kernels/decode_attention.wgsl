// QK-norm, RoPE, the KV cache write and attention for one to four tokens, each split over its positions.
//   qkv (T, H+2G, E) f32; q_norm, k_norm (E) f32; angles (S, E/2) (cos, sin); keys, values (SLOTS, G, E) f16, two to a
//   word, position p in slot p mod SLOTS, written in place; partials (T, SPLITS, H, E) f32, not normalised; stats
//   (T, SPLITS, H): the maximum score and the sum of exp(score - maximum), 0 and 0 for a split without keys.
// Tile j holds the positions j*TILE .. (j+1)*TILE-1 and belongs to split j mod SPLITS, wherever the text began and
// however many tokens the run has, so that a token's sums are the same bits in any run.
// The run's own keys and values are made from qkv by the workgroup that attends to them, and never read from the cache,
// which a workgroup of another token may be writing: of all workgroups one writes a token's slot, its own.
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

const THREADS: u32 = 64;
const MOST: u32 = 4;            // tokens
const LANES: u32 = 16;          // threads that norm a head
const LOWEST: f32 = -1.0e30;    // a score no key has; four of them still add up
var<workgroup> partial: array<f32, THREADS>;
var<workgroup> queries: array<vec4<f32>, 256>;     // [4 * (four dimensions) + head]; a head too many is zero
var<workgroup> own_keys: array<vec2<u32>, OWN>;    // of the run's tokens, as the cache has them
var<workgroup> scores: array<vec4<f32>, THREADS>;  // [thread]: its part of a key's score, a component for each head
var<workgroup> weights: array<vec4<f32>, THREADS>; // [key]

fn unpack4(words: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}

fn pack4(value: vec4<f32>) -> vec2<u32> {
    return vec2<u32>(pack2x16float(value.xy), pack2x16float(value.zw));
}

// The factor that norms a head of qkv, which LANES threads read together. All threads call it, each for its head.
fn norm_factor(head: u32, thread: u32) -> f32 {
    var sum = 0.0;
    for (var i = thread % LANES; i < E / 4u; i += LANES) {
        sum += dot(qkv[head + i], qkv[head + i]);
    }
    partial[thread] = sum;
    workgroupBarrier();
    let first = thread / LANES * LANES;
    sum = partial[first];
    for (var i = 1u; i < LANES; i++) {
        sum += partial[first + i];
    }
    workgroupBarrier();  // so that the next call may overwrite them
    return inverseSqrt(sum / f32(E) + EPS);
}

// Four dimensions of the first half of a head, and those E/2 further on, with which they turn.
struct Halves {
    first: vec4<f32>,
    second: vec4<f32>,
}

fn rotated(x: Halves, position: u32, i: u32) -> Halves {
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
        if (thread < heads) {
            stats[out + thread] = vec2<f32>();
        }
        return;
    }

    let h = min(thread / LANES, heads - 1u);
    let query = t * row + (first_head + h) * quads;
    let factor = norm_factor(query, thread);
    if (thread / LANES < heads) {
        for (var i = thread % LANES; i < quads / 2u; i += LANES) {
            let j = i + quads / 2u;
            let x = Halves(qkv[query + i] * factor * q_norm[i], qkv[query + j] * factor * q_norm[j]);
            let turned = rotated(x, position, i);
            queries[4u * i + h] = turned.first * SCALE;
            queries[4u * j + h] = turned.second * SCALE;
        }
    }
    if (own / TILE % SPLITS == split || position / TILE % SPLITS == split) {
        // LANES threads for each of the run's tokens up to this one; of keys that lie in other splits no use is made.
        let u = min(thread / LANES, t);
        let key = u * row + (H + g) * quads;
        let key_factor = norm_factor(key, thread);
        if (thread / LANES <= t) {
            for (var i = thread % LANES; i < quads / 2u; i += LANES) {
                let j = i + quads / 2u;
                let x = Halves(qkv[key + i] * key_factor * k_norm[i], qkv[key + j] * key_factor * k_norm[j]);
                let turned = rotated(x, own + u, i);
                own_keys[u * quads + i] = pack4(turned.first);
                own_keys[u * quads + j] = pack4(turned.second);
            }
        }
    }
    workgroupBarrier();
    if (position / TILE % SPLITS == split && group.y % quarters == 0u) {
        let slot = (position % SLOTS) * G + g;
        for (var i = thread; i < EIGHTS; i += THREADS) {
            keys[slot * EIGHTS + i] = vec4<u32>(own_keys[t * quads + 2u * i], own_keys[t * quads + 2u * i + 1u]);
        }
        for (var i = thread; i < quads; i += THREADS) {
            values[slot * quads + i] = pack4(qkv[t * row + (H + G + g) * quads + i]);
        }
    }

    let mine = thread / WAYS;  // key of a tile
    let way = thread % WAYS;   // every WAYS-th eight of its dimensions
    var highest = vec4<f32>(LOWEST);
    var total = vec4<f32>();
    var sum0 = vec4<f32>();
    var sum1 = vec4<f32>();
    var sum2 = vec4<f32>();
    var sum3 = vec4<f32>();
    for (var tile = first_tile; tile * TILE <= position; tile += SPLITS) {
        let start = tile * TILE;
        let p = start + mine;
        var score = vec4<f32>();
        if (p < begin || p > position) {
            score = vec4<f32>(LOWEST);
        } else if (p < own) {
            let slot = ((p % SLOTS) * G + g) * EIGHTS;
            for (var i = way; i < EIGHTS; i += WAYS) {
                let eight = keys[slot + i];
                score += score_of(eight.xy, 2u * i) + score_of(eight.zw, 2u * i + 1u);
            }
        } else {
            for (var i = way; i < EIGHTS; i += WAYS) {
                let i2 = (p - own) * quads + 2u * i;
                score += score_of(own_keys[i2], 2u * i) + score_of(own_keys[i2 + 1u], 2u * i + 1u);
            }
        }
        scores[thread] = score;
        workgroupBarrier();
        var peak = highest;
        for (var i = 0u; i < THREADS; i += WAYS) {
            var whole = scores[i];
            for (var w = 1u; w < WAYS; w++) {
                whole += scores[i + w];
            }
            peak = max(peak, whole);
        }
        if (thread < TILE) {
            var whole = scores[thread * WAYS];
            for (var w = 1u; w < WAYS; w++) {
                whole += scores[thread * WAYS + w];
            }
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
        let end = min(TILE, position + 1u - start);
        for (var i = max(begin, start) - start; i < end; i++) {
            let weight = weights[i];
            total += weight;
            if (thread < quads) {
                var value: vec4<f32>;
                if (start + i < own) {
                    value = unpack4(values[(((start + i) % SLOTS) * G + g) * quads + thread]);
                } else {
                    value = unpack4(pack4(qkv[(start + i - own) * row + (H + G + g) * quads + thread]));
                }
                sum0 += weight.x * value;
                sum1 += weight.y * value;
                sum2 += weight.z * value;
                sum3 += weight.w * value;
            }
        }
    }
    if (thread < heads) {
        stats[out + thread] = vec2<f32>(highest[thread], total[thread]);
    }
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
