// #variant-of "matmul"
// Y = X W^T: rows of W against a chunk of tokens, for adapters whose loads are slow beside their arithmetic: SwiftShader
// fetches a vector of addresses one by one, but broadcasts within a quad in a step.
//   weights (N, K) any format; x (T, K) f32; y f32: token t's row begins at t*STRIDE + OFFSET.
// Grid: x over groups of 8 rows, y over groups of 8 tokens, one thread each: 8 x 8 sums in registers, renewed once in
// 32 columns. The four threads of a quad own the same tokens and other rows: each fetches every fourth value of x, and
// the others have it from there. Four tokens' values are a matrix whose columns are tokens, as in matmul. No barriers.
// #include "step.wgsl"
// #include "weights/{format}.wgsl"
enable subgroups;
@group(0) @binding(2) var<storage, read> x: array<f32>;
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

var<private> column: u32;  // of four: the one this thread fetches

fn shared_columns(x0: u32, x1: u32, x2: u32, x3: u32) -> mat4x4<f32> {
    return mat4x4<f32>(of_quad(x[x0]), of_quad(x[x1]), of_quad(x[x2]), of_quad(x[x3]));
}

fn of_quad(mine: f32) -> vec4<f32> {
    return vec4<f32>(quadBroadcast(mine, 0u), quadBroadcast(mine, 1u), quadBroadcast(mine, 2u), quadBroadcast(mine, 3u));
}

fn rows_of_x(token: u32, block: u32) -> Columns {
    let last = step.count - 1u;
    let x0 = min(token, last) * K + 32u * block + column;
    let x1 = min(token + 1u, last) * K + 32u * block + column;
    let x2 = min(token + 2u, last) * K + 32u * block + column;
    let x3 = min(token + 3u, last) * K + 32u * block + column;
    return Columns(
        shared_columns(x0, x1, x2, x3),
        shared_columns(x0 + 4u, x1 + 4u, x2 + 4u, x3 + 4u),
        shared_columns(x0 + 8u, x1 + 8u, x2 + 8u, x3 + 8u),
        shared_columns(x0 + 12u, x1 + 12u, x2 + 12u, x3 + 12u),
        shared_columns(x0 + 16u, x1 + 16u, x2 + 16u, x3 + 16u),
        shared_columns(x0 + 20u, x1 + 20u, x2 + 20u, x3 + 20u),
        shared_columns(x0 + 24u, x1 + 24u, x2 + 24u, x3 + 24u),
        shared_columns(x0 + 28u, x1 + 28u, x2 + 28u, x3 + 28u),
    );
}

// The sums of rows row .. row+7 with tokens token .. token+7, which it stores.
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

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let token = 8u * group.y;
    if (token < step.count) {
        column = lane & 3u;
        // A thread without rows of its own repeats the last ones: its quad needs it.
        tile(min(8u * id.x, (N - 1u) & ~7u), token);
    }
}
