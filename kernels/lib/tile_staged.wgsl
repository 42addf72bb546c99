// A stage of a matmul by tiles: WORDS*8 columns of a workgroup's tokens and, dequantised once, of its rows, as vectors of
// four in workgroup memory. A stage takes the columns pair_of gives: 4w.. and 16+4w.., of x as of the weights.
// The kernel says where its vectors are: x_at(token, vector) in xs and w_at(row, vector) in ws, with VECTORS to a row.
// #include "step.wgsl"
// #include "weights/{format}.wgsl"
// #include "staged/{stage}.wgsl"
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
override N: u32;
override TOKENS: u32;
override ROWS: u32;
override WORDS: u32;                  // 2 or 4
override VECTORS: u32 = 2u * WORDS;  // of a row in a stage

fn stage(first_token: u32, first_row: u32, block: u32, first_word: u32, thread: u32) {
    // Tokens past the count and rows past N repeat the last ones: in bounds, and their sums are not stored.
    let last = step.count - 1u;
    for (var i = thread; i < TOKENS * VECTORS; i += THREADS) {
        let t = i / VECTORS;
        let v = i % VECTORS;
        let column = 8u * block + first_word + v % WORDS + 4u * (v / WORDS);
        xs[x_at(t, v)] = staged(x[min(first_token + t, last) * (K / 4u) + column]);
    }
    for (var i = thread; i < ROWS * WORDS; i += THREADS) {
        let r = i / WORDS;
        let w = i % WORDS;
        let row = min(first_row + r, N - 1u);
        let pair = pair_of(row, block, first_word + w, scale_of(row, block));
        ws[w_at(r, w)] = staged(pair.low);
        ws[w_at(r, WORDS + w)] = staged(pair.high);
    }
}
