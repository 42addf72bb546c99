// Rows of a product, and what adapters add to them, written into a row of STRIDE values for each token.
// #include "decode/low_rank/{low_rank}.wgsl"
@group(0) @binding(7) var<storage, read_write> y: array<f32>;  // (T, STRIDE)
override OFFSET: u32;  // where this piece of the matrix begins
override STRIDE: u32;

fn store(row: u32, sums: PerToken) {
    if (row < N) {
        let total = adapted(OFFSET + row, sums);
        for (var t = 0u; t < TOKENS; t++) {
            if (t < step.count) {
                y[t * STRIDE + OFFSET + row] = component(total, t);
            }
        }
    }
}

fn finish(row: u32, sums: PerToken, second: u32, second_sums: PerToken) {
    store(row, sums);
    store(second, second_sums);
}
