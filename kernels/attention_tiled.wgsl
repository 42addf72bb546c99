// #variant-of "attention"
// y[t, h] = softmax(q[t, h] . keys) values by tiles, for GPUs (Dao et al. 2022, arXiv:2205.14135).
//   q (T, H, E) f32, already scaled; keys, values (SLOTS, G, E) f16, two to a word; what comes out: lib/attention/.
// Causal; a window of WINDOW positions counting the token's own. Position p is in slot p mod SLOTS.
// Grid: x over tiles of 32 rows, y over KV heads, z over splits of the keys. A row is a query head of a token: the H/G
// heads that share a KV head lie side by side, then comes the next token, so that 32 rows share each key and value that
// is loaded.
// Tiles of 32 positions, dealt out to the splits in turn; those that no row may see are never visited. Few rows would
// leave most of a GPU idle without splits (Dao et al. 2023, Flash-Decoding). How many there are is no constant, so that
// chunks of different lengths share what is compiled. Scores: 32 dimensions of queries and keys are staged at a time, a
// thread owns 4 rows x 2 keys. Sums: 8 positions of values are staged at a time, a thread owns 4 rows x 16 dimensions,
// and the same rows as before, so that their maxima and totals stay in registers.
// The order of a row's vectors is swizzled, so that threads that read one column of neighbouring rows find them in
// different banks.
// #include "step.wgsl"
// #include "attention/{sums}.wgsl"
@group(0) @binding(0) var<storage, read> q: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> keys: array<vec2<u32>>;
@group(0) @binding(2) var<storage, read> values: array<vec2<u32>>;
override H: u32;
override G: u32;
override E: u32;  // a multiple of 32, at most 256
override SLOTS: u32;
override WINDOW: u32;

const ROWS: u32 = 32;
const KEYS: u32 = 32;
const THREADS: u32 = 128;
const QUERIES_EACH: u32 = 2;  // vectors a thread stages: of the queries, as of the keys,
const VALUES_EACH: u32 = 4;   // and of the values
const LOWEST: f32 = -3.0e38;
var<workgroup> tile: array<vec4<f32>, 512>;    // 8 vectors of 32 queries, then of 32 keys; or 8 values of 64 vectors
var<workgroup> scores: array<vec4<f32>, 256>;  // [key * 8 + rows / 4]: a component for each row
var<workgroup> shared_by_rows: array<vec4<f32>, 128>;  // [thread]

struct Split {
    number: u32,
    count: u32,
}

fn unpack4(words: vec2<u32>) -> vec4<f32> {
    return vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
}

// Where in the cache, in vectors, the position's head g begins.
fn cached(position: u32, g: u32) -> u32 {
    return ((position % SLOTS) * G + g) * (E / 4u);
}

// Where in q and y, in vectors, a row begins. Rows past the run repeat its last one.
fn row_begin(row: u32, g: u32) -> u32 {
    let heads = H / G;
    let last = step.count * heads - 1u;
    let at = min(row, last);
    return ((at / heads) * H + g * heads + at % heads) * (E / 4u);
}

fn position_of(row: u32) -> u32 {
    return step.position + min(row / (H / G), step.count - 1u);
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let first_row = ROWS * group.x;
    let g = group.y;
    let split = Split(group.z, groups.z);
    if (first_row >= step.count * (H / G)) {
        return;
    }
    let tx = thread % 16u;
    let ty = thread / 16u;
    let my_row = first_row + 4u * ty;
    let positions = vec4<u32>(
        position_of(my_row), position_of(my_row + 1u), position_of(my_row + 2u), position_of(my_row + 3u)
    );
    let lowest_position = position_of(first_row);
    let end = position_of(first_row + ROWS - 1u) + 1u;
    var begin = 0u;
    if (lowest_position + 1u > WINDOW) {
        begin = lowest_position + 1u - WINDOW;
    }
    var highest = vec4<f32>(LOWEST);
    var total = vec4<f32>();  // of this thread's keys
    var sum00 = vec4<f32>();
    var sum01 = vec4<f32>();
    var sum02 = vec4<f32>();
    var sum03 = vec4<f32>();
    var sum10 = vec4<f32>();
    var sum11 = vec4<f32>();
    var sum12 = vec4<f32>();
    var sum13 = vec4<f32>();
    var sum20 = vec4<f32>();
    var sum21 = vec4<f32>();
    var sum22 = vec4<f32>();
    var sum23 = vec4<f32>();
    var sum30 = vec4<f32>();
    var sum31 = vec4<f32>();
    var sum32 = vec4<f32>();
    var sum33 = vec4<f32>();
    for (var base = begin + split.number * KEYS; base < end; base += split.count * KEYS) {
        var score0 = vec4<f32>();
        var score1 = vec4<f32>();
        for (var chunk = 0u; chunk < E / 32u; chunk++) {
            var some_queries: array<vec4<f32>, QUERIES_EACH>;
            var some_keys: array<vec2<u32>, QUERIES_EACH>;
            for (var i = 0u; i < QUERIES_EACH; i++) {
                let row = (i * THREADS + thread) / 8u;
                let v = 8u * chunk + thread % 8u;
                some_queries[i] = q[row_begin(first_row + row, g) + v];
                // Positions past the end repeat the last one, and are masked.
                some_keys[i] = keys[cached(min(base + row, end - 1u), g) + v];
            }
            for (var i = 0u; i < QUERIES_EACH; i++) {
                let row = (i * THREADS + thread) / 8u;
                let v = thread % 8u;
                tile[row * 8u + (v ^ (row / 4u))] = some_queries[i];
                tile[256u + row * 8u + (v ^ (row % 8u))] = unpack4(some_keys[i]);
            }
            workgroupBarrier();
            for (var v = 0u; v < 8u; v++) {
                let at = 32u * ty + (v ^ ty);
                let rows = mat4x4<f32>(tile[at], tile[at + 8u], tile[at + 16u], tile[at + 24u]);
                let key_at = 256u + 8u * tx + (v ^ (tx % 8u));
                score0 += tile[key_at] * rows;
                score1 += tile[key_at + 128u] * rows;
            }
            workgroupBarrier();
        }
        let seen0 = seen(base + tx, positions);
        let seen1 = seen(base + tx + 16u, positions);
        score0 = select(vec4<f32>(LOWEST), score0, seen0);
        score1 = select(vec4<f32>(LOWEST), score1, seen1);
        shared_by_rows[thread] = max(score0, score1);
        workgroupBarrier();
        var peak = highest;
        for (var i = 0u; i < 16u; i++) {
            peak = max(peak, shared_by_rows[16u * ty + i]);
        }
        let decay = exp(highest - peak);
        highest = peak;
        // A row that has seen nothing yet has no peak either: its masked scores must not count as exp(0).
        let weight0 = select(vec4<f32>(), exp(score0 - peak), seen0);
        let weight1 = select(vec4<f32>(), exp(score1 - peak), seen1);
        total = total * decay + weight0 + weight1;
        scores[8u * tx + ty] = weight0;
        scores[8u * (tx + 16u) + ty] = weight1;
        sum00 *= decay[0]; sum01 *= decay[0]; sum02 *= decay[0]; sum03 *= decay[0];
        sum10 *= decay[1]; sum11 *= decay[1]; sum12 *= decay[1]; sum13 *= decay[1];
        sum20 *= decay[2]; sum21 *= decay[2]; sum22 *= decay[2]; sum23 *= decay[2];
        sum30 *= decay[3]; sum31 *= decay[3]; sum32 *= decay[3]; sum33 *= decay[3];
        for (var eight = 0u; eight < KEYS / 8u; eight++) {
            let first = 8u * eight;
            if (base + first >= end) {
                break;
            }
            if (thread % 64u < E / 4u) {
                var some_values: array<vec2<u32>, VALUES_EACH>;
                for (var i = 0u; i < VALUES_EACH; i++) {
                    let key = min(base + first + (i * THREADS + thread) / 64u, end - 1u);
                    some_values[i] = values[cached(key, g) + thread % 64u];
                }
                for (var i = 0u; i < VALUES_EACH; i++) {
                    tile[i * THREADS + thread] = unpack4(some_values[i]);
                }
            }
            workgroupBarrier();
            for (var key = 0u; key < 8u; key++) {
                let weight = scores[8u * (first + key) + ty];
                let at = 64u * key + tx;
                let value0 = tile[at];
                let value1 = tile[at + 16u];
                let value2 = tile[at + 32u];
                let value3 = tile[at + 48u];
                sum00 += weight[0] * value0;
                sum01 += weight[0] * value1;
                sum02 += weight[0] * value2;
                sum03 += weight[0] * value3;
                sum10 += weight[1] * value0;
                sum11 += weight[1] * value1;
                sum12 += weight[1] * value2;
                sum13 += weight[1] * value3;
                sum20 += weight[2] * value0;
                sum21 += weight[2] * value1;
                sum22 += weight[2] * value2;
                sum23 += weight[2] * value3;
                sum30 += weight[3] * value0;
                sum31 += weight[3] * value1;
                sum32 += weight[3] * value2;
                sum33 += weight[3] * value3;
            }
            workgroupBarrier();
        }
    }
    shared_by_rows[thread] = total;
    workgroupBarrier();
    total = vec4<f32>();
    for (var i = 0u; i < 16u; i++) {
        total += shared_by_rows[16u * ty + i];
    }
    store(split, my_row + 0u, g, tx, highest[0], total[0], sum00, sum01, sum02, sum03);
    store(split, my_row + 1u, g, tx, highest[1], total[1], sum10, sum11, sum12, sum13);
    store(split, my_row + 2u, g, tx, highest[2], total[2], sum20, sum21, sum22, sum23);
    store(split, my_row + 3u, g, tx, highest[3], total[3], sum30, sum31, sum32, sum33);
}

fn seen(key: u32, positions: vec4<u32>) -> vec4<bool> {
    return (vec4<u32>(key) <= positions) & (vec4<u32>(key + WINDOW) > positions);
}

fn store(
    split: Split, row: u32, g: u32, tx: u32, highest: f32, total: f32,
    sum0: vec4<f32>, sum1: vec4<f32>, sum2: vec4<f32>, sum3: vec4<f32>,
) {
    if (row >= step.count * (H / G)) {
        return;
    }
    if (tx == 0u) {
        keep_stats(split, row, g, highest, total);
    }
    if (tx < E / 4u) {
        keep_sums(split, row, g, tx, total, sum0);
    }
    if (tx + 16u < E / 4u) {
        keep_sums(split, row, g, tx + 16u, total, sum1);
    }
    if (tx + 32u < E / 4u) {
        keep_sums(split, row, g, tx + 32u, total, sum2);
    }
    if (tx + 48u < E / 4u) {
        keep_sums(split, row, g, tx + 48u, total, sum3);
    }
}
