// y += B u, in place: what adapters add to a product with a matrix.
//   low (T, WIDTH) f32, u; b (N, RANK) f16: see lib/low_rank.wgsl; y (T, N) f32.
// Grid: x over rows, y over groups of 4 tokens, one thread each: a value of b is unpacked once for four tokens.
// #include "step.wgsl"
// #include "low_rank.wgsl"
@group(0) @binding(0) var<storage, read_write> y: array<f32>;
override N: u32;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = id.x;
    let token = 4u * id.y;
    if (row >= N || token >= step.count) {
        return;
    }
    let last = step.count - 1u;
    var sums = vec4<f32>();
    for (var i = 0u; i < RANK / 8u; i++) {
        let weights = eight_of(row, i);
        for (var t = 0u; t < 4u; t++) {
            let at = low_at(min(token + t, last), row) + 2u * i;
            sums[t] += dot(weights.low, low[at]) + dot(weights.high, low[at + 1u]);
        }
    }
    for (var t = 0u; t < 4u; t++) {
        if (token + t < step.count) {
            y[(token + t) * N + row] += sums[t];
        }
    }
}
