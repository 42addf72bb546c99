// y = gelu(W_gate x) * (W_up x) for one to four tokens, with the norms before it computed on the way in; the tanh form
// of GELU as in geglu.wgsl.
//   weights (2N, K) any format: gate rows, then up rows; residual, norm, and with input "sum" pending, pending_norm and
//   sum, as in decode_qkv.wgsl; y (T, N) f32.
// Grid: workgroups of rows. Rows r and N+r are swept together.
// #include "step.wgsl"
// #include "weights/{format}.wgsl"
// #include "decode/tokens/{tokens}.wgsl"
// #include "decode/inputs/{input}.wgsl"
// #include "decode/sweeps/{sweep}.wgsl"
// #include "decode/low_rank/{low_rank}.wgsl"
@group(0) @binding(7) var<storage, read_write> y: array<f32>;

fn finish(row: u32, gate_sums: PerToken, second: u32, up_sums: PerToken) {
    if (row < N) {
        let gate = adapted(row, gate_sums);
        let up = adapted(N + row, up_sums);
        let inner = 0.7978845608028654 * (gate + 0.044715 * gate * gate * gate);
        let product = 0.5 * gate * (1.0 + tanh(clamp(inner, PerToken(-15.0), PerToken(15.0)))) * up;
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
