// Y = X W^T: rows of W against a chunk of tokens, for prefill.
//   weights (N, K) any format; x (T, K) f32; y f32: token t's row begins at t*STRIDE + OFFSET.
// Grid: x over groups of 8 rows, y over groups of 4 tokens, one thread each: 8 x 4 sums in registers, so a
// weight is dequantised once for four tokens and a value of x is loaded once for eight rows. Four tokens'
// values are a matrix whose columns are tokens; (a row's four weights) * matrix gives its four products.
// No barriers (see matvec). Groups of tokens past the run's count return at once.
// With ACROSS x is over the tokens and y over the rows: of a matrix of few rows, neighbouring threads have all work.
// #include "step.wgsl"
// #include "weights/{format}.wgsl"
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
override N: u32;
override OFFSET: u32;
override STRIDE: u32;
override ACROSS: bool = false;

fn store(row: u32, token: u32, sums: vec4<f32>) {
    if (row >= N) {
        return;
    }
    for (var t = 0u; t < 4u; t++) {
        if (token + t < step.count) {
            y[(token + t) * STRIDE + OFFSET + row] = sums[t];
        }
    }
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = 8u * select(id.x, id.y, ACROSS);
    let token = 4u * select(id.y, id.x, ACROSS);
    if (row >= N || token >= step.count) {
        return;
    }
    // Tokens past the count read the last real one: in bounds, and their sums are not stored.
    let last = step.count - 1u;
    let x0 = min(token, last) * (K / 4u);
    let x1 = min(token + 1u, last) * (K / 4u);
    let x2 = min(token + 2u, last) * (K / 4u);
    let x3 = min(token + 3u, last) * (K / 4u);
    var sums0 = vec4<f32>();
    var sums1 = vec4<f32>();
    var sums2 = vec4<f32>();
    var sums3 = vec4<f32>();
    var sums4 = vec4<f32>();
    var sums5 = vec4<f32>();
    var sums6 = vec4<f32>();
    var sums7 = vec4<f32>();
    for (var block = 0u; block < K / 32u; block++) {
        let scale0 = scale_of(row + 0u, block);
        let scale1 = scale_of(row + 1u, block);
        let scale2 = scale_of(row + 2u, block);
        let scale3 = scale_of(row + 3u, block);
        let scale4 = scale_of(row + 4u, block);
        let scale5 = scale_of(row + 5u, block);
        let scale6 = scale_of(row + 6u, block);
        let scale7 = scale_of(row + 7u, block);
        for (var w = 0u; w < 4u; w++) {
            let k = 8u * block + w;
            let low = mat4x4<f32>(x[x0 + k], x[x1 + k], x[x2 + k], x[x3 + k]);
            let high = mat4x4<f32>(x[x0 + k + 4u], x[x1 + k + 4u], x[x2 + k + 4u], x[x3 + k + 4u]);
            let pair0 = pair_of(row + 0u, block, w, scale0);
            sums0 += pair0.low * low + pair0.high * high;
            let pair1 = pair_of(row + 1u, block, w, scale1);
            sums1 += pair1.low * low + pair1.high * high;
            let pair2 = pair_of(row + 2u, block, w, scale2);
            sums2 += pair2.low * low + pair2.high * high;
            let pair3 = pair_of(row + 3u, block, w, scale3);
            sums3 += pair3.low * low + pair3.high * high;
            let pair4 = pair_of(row + 4u, block, w, scale4);
            sums4 += pair4.low * low + pair4.high * high;
            let pair5 = pair_of(row + 5u, block, w, scale5);
            sums5 += pair5.low * low + pair5.high * high;
            let pair6 = pair_of(row + 6u, block, w, scale6);
            sums6 += pair6.low * low + pair6.high * high;
            let pair7 = pair_of(row + 7u, block, w, scale7);
            sums7 += pair7.low * low + pair7.high * high;
        }
    }
    store(row + 0u, token, sums0);
    store(row + 1u, token, sums1);
    store(row + 2u, token, sums2);
    store(row + 3u, token, sums3);
    store(row + 4u, token, sums4);
    store(row + 5u, token, sums5);
    store(row + 6u, token, sums6);
    store(row + 7u, token, sums7);
}
