// A stage of a matmul by tiles: WORDS*8 columns of a workgroup's tokens and, dequantised once, of its rows, as vectors
// of four in workgroup memory. A stage takes the columns pair_of gives: 4w.. and 16+4w.., of x as of the weights.
// The kernel says where its vectors are: x_at(token, vector) in xs and w_at(row, vector) in ws, with VECTORS to a row.
// A stage is loaded (`fetch`) before the products of the one before it and stored (`stage`) after them, so that memory
// works while the workgroup multiplies. What is on its way is written out, not in arrays, so that it stays in registers
// with a compiler that does not unroll.
// #include "step.wgsl"
// #include "weights/{format}.wgsl"
// #include "staged/{stage}.wgsl"
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
override N: u32;
override TOKENS: u32;  // 32 or 64
override ROWS: u32;    // 64 or 128
override WORDS: u32;   // 2 or 4
override VECTORS: u32 = 2u * WORDS;  // of a row in a stage
override STAGES: u32 = 4u / WORDS;   // in a block of 32 columns
override X_EACH: u32 = TOKENS * VECTORS / THREADS;  // a thread loads so many vectors: 1, 2 or 4,
override W_EACH: u32 = ROWS * WORDS / THREADS;      // and words: 1, 2, 4 or 8

struct Weight {
    codes: Codes,
    scale: StoredScale,
}

struct Fetched {
    block: u32,
    x0: vec4<f32>,
    x1: vec4<f32>,
    x2: vec4<f32>,
    x3: vec4<f32>,
    w0: Weight,
    w1: Weight,
    w2: Weight,
    w3: Weight,
    w4: Weight,
    w5: Weight,
    w6: Weight,
    w7: Weight,
}

// Tokens past the count and rows past N repeat the last ones: in bounds, and their sums are not stored.
fn fetched_x(first_token: u32, block: u32, first_word: u32, i: u32) -> vec4<f32> {
    let v = i % VECTORS;
    let column = 8u * block + first_word + v % WORDS + 4u * (v / WORDS);
    return x[min(first_token + i / VECTORS, step.count - 1u) * (K / 4u) + column];
}

fn fetched_w(first_row: u32, block: u32, first_word: u32, i: u32) -> Weight {
    let row = min(first_row + i / WORDS, N - 1u);
    return Weight(codes_of(row, block, first_word + i % WORDS), stored_scale(row, block));
}

// A stage past the last one repeats its block: in bounds, and never stored.
fn fetch(first_token: u32, first_row: u32, number: u32, thread: u32) -> Fetched {
    let block = min(number / STAGES, K / 32u - 1u);
    let word = number % STAGES * WORDS;
    var on_way: Fetched;
    on_way.block = block;
    on_way.x0 = fetched_x(first_token, block, word, thread);
    if (X_EACH > 1u) {
        on_way.x1 = fetched_x(first_token, block, word, thread + THREADS);
    }
    if (X_EACH > 2u) {
        on_way.x2 = fetched_x(first_token, block, word, thread + 2u * THREADS);
        on_way.x3 = fetched_x(first_token, block, word, thread + 3u * THREADS);
    }
    on_way.w0 = fetched_w(first_row, block, word, thread);
    if (W_EACH > 1u) {
        on_way.w1 = fetched_w(first_row, block, word, thread + THREADS);
    }
    if (W_EACH > 2u) {
        on_way.w2 = fetched_w(first_row, block, word, thread + 2u * THREADS);
        on_way.w3 = fetched_w(first_row, block, word, thread + 3u * THREADS);
    }
    if (W_EACH > 4u) {
        on_way.w4 = fetched_w(first_row, block, word, thread + 4u * THREADS);
        on_way.w5 = fetched_w(first_row, block, word, thread + 5u * THREADS);
        on_way.w6 = fetched_w(first_row, block, word, thread + 6u * THREADS);
        on_way.w7 = fetched_w(first_row, block, word, thread + 7u * THREADS);
    }
    return on_way;
}

fn stage_x(values: vec4<f32>, i: u32) {
    xs[x_at(i / VECTORS, i % VECTORS)] = staged(values);
}

fn stage_w(weight: Weight, block: u32, i: u32) {
    let pair = values_of(weight.codes, scale_in(weight.scale, block));
    ws[w_at(i / WORDS, i % WORDS)] = staged(pair.low);
    ws[w_at(i / WORDS, WORDS + i % WORDS)] = staged(pair.high);
}

fn stage(fetched: Fetched, thread: u32) {
    stage_x(fetched.x0, thread);
    if (X_EACH > 1u) {
        stage_x(fetched.x1, thread + THREADS);
    }
    if (X_EACH > 2u) {
        stage_x(fetched.x2, thread + 2u * THREADS);
        stage_x(fetched.x3, thread + 3u * THREADS);
    }
    stage_w(fetched.w0, fetched.block, thread);
    if (W_EACH > 1u) {
        stage_w(fetched.w1, fetched.block, thread + THREADS);
    }
    if (W_EACH > 2u) {
        stage_w(fetched.w2, fetched.block, thread + 2u * THREADS);
        stage_w(fetched.w3, fetched.block, thread + 3u * THREADS);
    }
    if (W_EACH > 4u) {
        stage_w(fetched.w4, fetched.block, thread + 4u * THREADS);
        stage_w(fetched.w5, fetched.block, thread + 5u * THREADS);
        stage_w(fetched.w6, fetched.block, thread + 6u * THREADS);
        stage_w(fetched.w7, fetched.block, thread + 7u * THREADS);
    }
}
