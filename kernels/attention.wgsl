// y[t, h] = softmax(q[t, h] . keys) values, over the positions that token t may see.
//   q (T, H, E) f32, already scaled; keys, values (SLOTS, G, E) f16, two to a word; y (T, H, E) f32.
// Causal; a window of WINDOW positions counting the token's own. Position p is in slot p mod SLOTS.
// Online softmax over tiles of 64 keys (Dao et al. 2022, arXiv:2205.14135), so no row of scores is stored, and a
// local layer never looks past its window.
// Grid: x over tokens, y over KV heads, z over groups of 4 of the H/G query heads that share a KV head (GQA):
// each key and value is loaded and unpacked once for all four. A head past the last one works on zeros.
// #include "step.wgsl"
@group(0) @binding(0) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> keys: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> values: array<vec2<u32>>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
override H: u32;
override G: u32;
override E: u32;  // a multiple of 4, at most 256: a thread owns 4 dimensions of the output
override SLOTS: u32;
override WINDOW: u32;

const TILE: u32 = 64;
const LOWEST: f32 = -3.0e38;
var<workgroup> queries: array<mat4x4<f32>, TILE>;  // [four dimensions]: a column for each head
var<workgroup> scores: array<vec4<f32>, TILE>;     // [key]: a component for each head

fn unpack4(words: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let t = group.x;
    let g = group.y;
    if (t >= step.count) {
        return;
    }
    let quads = E / 4u;
    let first_head = g * (H / G) + 4u * group.z;
    let heads = min(4u, (g + 1u) * (H / G) - first_head);
    if (thread < quads) {
        var columns = mat4x4<f32>();
        for (var h = 0u; h < heads; h++) {
            columns[h] = q[(t * H + first_head + h) * quads + thread];
        }
        queries[thread] = columns;
    }
    workgroupBarrier();

    let position = step.position + t;
    var begin = 0u;
    if (position + 1u > WINDOW) {
        begin = position + 1u - WINDOW;
    }
    var highest = vec4<f32>(LOWEST);
    var total = vec4<f32>();
    var sums = mat4x4<f32>();
    for (var base = begin; base <= position; base += TILE) {
        let count = min(TILE, position + 1u - base);
        var score = vec4<f32>(LOWEST);
        if (thread < count) {
            let from_here = (((base + thread) % SLOTS) * G + g) * quads;
            score = vec4<f32>();
            for (var d = 0u; d < quads; d++) {
                score += unpack4(keys[from_here + d]) * queries[d];
            }
        }
        scores[thread] = score;
        workgroupBarrier();
        var peak = highest;
        for (var i = 0u; i < count; i++) {
            peak = max(peak, scores[i]);
        }
        workgroupBarrier();
        scores[thread] = exp(score - peak);
        workgroupBarrier();
        let decay = exp(highest - peak);
        highest = peak;
        total *= decay;
        for (var h = 0u; h < 4u; h++) {
            sums[h] *= decay[h];
        }
        for (var i = 0u; i < count; i++) {
            let weight = scores[i];
            total += weight;
            if (thread < quads) {
                let value = unpack4(values[(((base + i) % SLOTS) * G + g) * quads + thread]);
                sums[0] += weight.x * value;
                sums[1] += weight.y * value;
                sums[2] += weight.z * value;
                sums[3] += weight.w * value;
            }
        }
        workgroupBarrier();
    }
    if (thread < quads) {
        for (var h = 0u; h < heads; h++) {
            y[(t * H + first_head + h) * quads + thread] = sums[h] / total[h];
        }
    }
}
