// y += B u, in place: what adapters add to a product with a matrix.
//   low (T, WIDTH) f32, u; b (N, RANK) f16: see lib/low_rank.wgsl; y (T, N) f32.
// Grid: x over groups of 8 rows, y over groups of 4 tokens, one thread each, as in matmul.wgsl: a value of b is unpacked
// once for four tokens, one of u loaded once for eight rows. BEGIN_1 and BEGIN_2 are multiples of 8.
// #include "step.wgsl"
// #include "low_rank.wgsl"
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
override N: u32;

const ROWS: u32 = 8;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = ROWS * id.x;
    let token = 4u * id.y;
    if (row >= N || token >= step.count) {
        return;
    }
    let last = step.count - 1u;
    let low0 = low_at(min(token, last), row);
    let low1 = low_at(min(token + 1u, last), row);
    let low2 = low_at(min(token + 2u, last), row);
    let low3 = low_at(min(token + 3u, last), row);
    var sums: array<vec4<f32>, ROWS>;  // of a row, a component for each token
    for (var i = 0u; i < RANK / 8u; i++) {
        let k = 2u * i;
        let first = mat4x4<f32>(low[low0 + k], low[low1 + k], low[low2 + k], low[low3 + k]);
        let second = mat4x4<f32>(low[low0 + k + 1u], low[low1 + k + 1u], low[low2 + k + 1u], low[low3 + k + 1u]);
        for (var r = 0u; r < ROWS; r++) {
            let weights = eight_of(min(row + r, N - 1u), i);
            sums[r] += weights.low * first + weights.high * second;
        }
    }
    for (var t = 0u; t < 4u; t++) {
        if (token + t < step.count) {
            for (var r = 0u; r < min(ROWS, N - row); r++) {
                y[(token + t) * N + row + r] += sums[r][t];
            }
        }
    }
}
