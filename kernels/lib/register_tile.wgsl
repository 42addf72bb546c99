// Y = X W^T in registers: a thread owns 8 rows x 8 tokens, so that a weight is dequantised once for eight tokens and
// a value of x is fetched once for eight rows. Four tokens' values are a matrix whose columns are tokens:
// (a row's four weights) * matrix gives its four products. No barriers (see matvec). Groups of tokens past the
// run's count return at once.
// The including file defines `rows_of_x`: 32 columns of four tokens, as eight such matrices.
// #include "step.wgsl"
// #include "weights/{format}.wgsl"
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
override N: u32;
override OFFSET: u32;
override STRIDE: u32;

alias Columns = array<mat4x4<f32>, 8>;  // [c]: columns 4c..4c+3 of a block of 32
alias Weights = array<vec4<f32>, 8>;

fn row_of_weights(row: u32, block: u32) -> Weights {
    let scale = scale_of(row, block);
    let a = pair_of(row, block, 0u, scale);
    let b = pair_of(row, block, 1u, scale);
    let c = pair_of(row, block, 2u, scale);
    let d = pair_of(row, block, 3u, scale);
    return Weights(a.low, b.low, c.low, d.low, a.high, b.high, c.high, d.high);
}

fn products(w: Weights, x: Columns) -> vec4<f32> {
    return w[0] * x[0] + w[1] * x[1] + w[2] * x[2] + w[3] * x[3] + w[4] * x[4] + w[5] * x[5] + w[6] * x[6] + w[7] * x[7];
}

fn store(row: u32, token: u32, first: vec4<f32>, second: vec4<f32>) {
    if (row >= N) {
        return;
    }
    for (var t = 0u; t < 4u; t++) {
        if (token + t < step.count) {
            y[(token + t) * STRIDE + OFFSET + row] = first[t];
        }
        if (token + 4u + t < step.count) {
            y[(token + 4u + t) * STRIDE + OFFSET + row] = second[t];
        }
    }
}

// The sums of rows row .. row+7 with tokens token .. token+7, which it stores. `row` may pass N in quad form.
fn tile(row: u32, token: u32) {
    var first0 = vec4<f32>();
    var second0 = vec4<f32>();
    var first1 = vec4<f32>();
    var second1 = vec4<f32>();
    var first2 = vec4<f32>();
    var second2 = vec4<f32>();
    var first3 = vec4<f32>();
    var second3 = vec4<f32>();
    var first4 = vec4<f32>();
    var second4 = vec4<f32>();
    var first5 = vec4<f32>();
    var second5 = vec4<f32>();
    var first6 = vec4<f32>();
    var second6 = vec4<f32>();
    var first7 = vec4<f32>();
    var second7 = vec4<f32>();
    for (var block = 0u; block < K / 32u; block++) {
        let first = rows_of_x(token, block);
        let second = rows_of_x(token + 4u, block);
        let w0 = row_of_weights(row + 0u, block);
        first0 += products(w0, first);
        second0 += products(w0, second);
        let w1 = row_of_weights(row + 1u, block);
        first1 += products(w1, first);
        second1 += products(w1, second);
        let w2 = row_of_weights(row + 2u, block);
        first2 += products(w2, first);
        second2 += products(w2, second);
        let w3 = row_of_weights(row + 3u, block);
        first3 += products(w3, first);
        second3 += products(w3, second);
        let w4 = row_of_weights(row + 4u, block);
        first4 += products(w4, first);
        second4 += products(w4, second);
        let w5 = row_of_weights(row + 5u, block);
        first5 += products(w5, first);
        second5 += products(w5, second);
        let w6 = row_of_weights(row + 6u, block);
        first6 += products(w6, first);
        second6 += products(w6, second);
        let w7 = row_of_weights(row + 7u, block);
        first7 += products(w7, first);
        second7 += products(w7, second);
    }
    store(row + 0u, token, first0, second0);
    store(row + 1u, token, first1, second1);
    store(row + 2u, token, first2, second2);
    store(row + 3u, token, first3, second3);
    store(row + 4u, token, first4, second4);
    store(row + 5u, token, first5, second5);
    store(row + 6u, token, first6, second6);
    store(row + 7u, token, first7, second7);
}
