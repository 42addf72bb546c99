// Y = X W^T in int8, for GPUs with packed dot products: rows of W against a chunk of tokens that `quantize` made int8.
//   weights (N, K) int4 or int8; codes (T, K) i8, four to a word; scales_of_x (T, K/32) vec2: scale, sum of the block;
//   y f32: token t's row begins at (t*PARTS + z)*STRIDE + OFFSET.
// Grid: x over tiles of 64 rows, y over tiles of TOKENS tokens, z over parts of the columns.
// A workgroup stages a block of 32 columns of its tokens and rows, and loads the next one while it multiplies. A thread
// sums 8 tokens x 4 rows: a block's products are exact in integers, and are scaled and added in f32. A minimum counts
// with the sum of the token's block.
// #include "step.wgsl"
// #include "part.wgsl"
// #include "packed/{format}.wgsl"
@group(0) @binding(2) var<storage, read> codes: array<vec4<u32>>;
@group(0) @binding(3) var<storage, read> scales_of_x: array<vec2<f32>>;
@group(0) @binding(4) var<storage, read_write> y: array<f32>;
override N: u32;
override OFFSET: u32;
override STRIDE: u32;
override TOKENS: u32;  // 32 or 64
override THREADS: u32 = TOKENS / 8u * 16u;  // two for each token
override ROUNDS: u32 = K / 32u;  // at most

const ROWS: u32 = 64;
// Halves of a block apart, so that neighbouring rows are in different banks.
var<workgroup> x_low: array<vec4<u32>, TOKENS>;
var<workgroup> x_high: array<vec4<u32>, TOKENS>;
var<workgroup> x_scales: array<vec2<f32>, TOKENS>;
var<workgroup> w_low: array<vec4<u32>, ROWS>;
var<workgroup> w_high: array<vec4<u32>, ROWS>;
var<workgroup> w_scales: array<vec3<f32>, ROWS>;

// What a thread loads of a block, as in memory: half of a token's codes, a token's scales, a row.
struct Fetched {
    block: u32,
    x: vec4<u32>,
    x_scales: vec2<f32>,
    bytes: Bytes,
    scale: StoredScale,
}

// Tokens past the count, rows past N and the block past the last repeat the last ones: in bounds, and never stored.
fn fetch(first_token: u32, first_row: u32, number: u32, thread: u32) -> Fetched {
    let blocks = K / 32u;
    let block = min(number, blocks - 1u);
    let last = step.count - 1u;
    let row = min(first_row + thread % ROWS, N - 1u);
    return Fetched(
        block,
        codes[2u * (min(first_token + thread / 2u, last) * blocks + block) + thread % 2u],
        scales_of_x[min(first_token + thread % TOKENS, last) * blocks + block],
        bytes_of(row, block),
        stored_scale(row, block),
    );
}

fn stage(fetched: Fetched, thread: u32) {
    if (thread % 2u == 0u) {
        x_low[thread / 2u] = fetched.x;
    } else {
        x_high[thread / 2u] = fetched.x;
    }
    if (thread < TOKENS) {
        x_scales[thread] = fetched.x_scales;
    }
    if (thread >= THREADS - ROWS) {
        let row = packed(fetched.bytes, scale_in(fetched.scale, fetched.block));
        w_low[thread % ROWS] = row.low;
        w_high[thread % ROWS] = row.high;
        w_scales[thread % ROWS] = row.scales;
    }
}

fn row_of(at: u32) -> Packed {
    return Packed(w_low[at], w_high[at], w_scales[at]);
}

fn dot16(a: vec4<u32>, b: vec4<u32>) -> f32 {
    let sum = dot4I8Packed(a.x, b.x) + dot4I8Packed(a.y, b.y) + dot4I8Packed(a.z, b.z) + dot4I8Packed(a.w, b.w);
    return f32(sum);
}

fn product(row: Packed, low: vec4<u32>, high: vec4<u32>, scales: vec2<f32>) -> f32 {
    return scales.x * (row.scales.x * dot16(row.low, low) + row.scales.y * dot16(row.high, high)) - scales.y * row.scales.z;
}

fn products(token: u32, a: Packed, b: Packed, c: Packed, d: Packed) -> vec4<f32> {
    let low = x_low[token];
    let high = x_high[token];
    let scales = x_scales[token];
    return vec4<f32>(
        product(a, low, high, scales),
        product(b, low, high, scales),
        product(c, low, high, scales),
        product(d, low, high, scales),
    );
}

fn store(token: u32, row: u32, part: Part, sums: vec4<f32>) {
    if (token >= step.count) {
        return;
    }
    let at = part_at(token, part);
    for (var i = 0u; i < 4u; i++) {
        if (row + 16u * i < N) {
            y[at + row + 16u * i] = sums[i];
        }
    }
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let first_token = TOKENS * group.y;
    let first_row = ROWS * group.x;
    let part = part_of(group, groups);
    if (first_token >= step.count) {
        return;
    }
    let tx = thread % 16u;
    let ty = thread / 16u;
    var sums0 = vec4<f32>();
    var sums1 = vec4<f32>();
    var sums2 = vec4<f32>();
    var sums3 = vec4<f32>();
    var sums4 = vec4<f32>();
    var sums5 = vec4<f32>();
    var sums6 = vec4<f32>();
    var sums7 = vec4<f32>();
    var next = fetch(first_token, first_row, part.begin, thread);
    for (var round = 0u; round < ROUNDS; round++) {
        if (part.begin + round >= part.end) {
            break;
        }
        stage(next, thread);
        workgroupBarrier();
        next = fetch(first_token, first_row, part.begin + round + 1u, thread);
        let a = row_of(tx);
        let b = row_of(tx + 16u);
        let c = row_of(tx + 32u);
        let d = row_of(tx + 48u);
        sums0 += products(8u * ty + 0u, a, b, c, d);
        sums1 += products(8u * ty + 1u, a, b, c, d);
        sums2 += products(8u * ty + 2u, a, b, c, d);
        sums3 += products(8u * ty + 3u, a, b, c, d);
        sums4 += products(8u * ty + 4u, a, b, c, d);
        sums5 += products(8u * ty + 5u, a, b, c, d);
        sums6 += products(8u * ty + 6u, a, b, c, d);
        sums7 += products(8u * ty + 7u, a, b, c, d);
        workgroupBarrier();
    }
    let token = first_token + 8u * ty;
    let row = first_row + tx;
    store(token + 0u, row, part, sums0);
    store(token + 1u, row, part, sums1);
    store(token + 2u, row, part, sums2);
    store(token + 3u, row, part, sums3);
    store(token + 4u, row, part, sums4);
    store(token + 5u, row, part, sums5);
    store(token + 6u, row, part, sums6);
    store(token + 7u, row, part, sums7);
}
