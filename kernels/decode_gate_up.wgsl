// y = gelu(W_gate x) * (W_up x) for one to four tokens, with the norms before it computed on the way in; the tanh form
// of GELU as in geglu.wgsl.
//   weights (2N, K) any format: gate rows, then up rows; residual, pending, pending_norm, norm, sum as in
//   decode/inputs/sum.wgsl; y (T, N) f32.
// Grid: workgroups of rows. Rows r and N+r are swept together.
// #include "step.wgsl"
// #include "weights/{format}.wgsl"
// #include "decode/tokens/{tokens}.wgsl"
// #include "decode/inputs/sum.wgsl"
// #include "decode/sweeps/{sweep}.wgsl"
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

fn finish(row: u32, gate: PerToken, second: u32, up: PerToken) {
    let inner = 0.7978845608028654 * (gate + 0.044715 * gate * gate * gate);
    let product = 0.5 * gate * (1.0 + tanh(clamp(inner, PerToken(-15.0), PerToken(15.0)))) * up;
    if (row < N) {
        for (var t = 0u; t < TOKENS; t++) {
            if (t < step.count) {
                y[t * N + row] = component(product, t);
            }
        }
    }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    sweep(group.x, thread);
}
