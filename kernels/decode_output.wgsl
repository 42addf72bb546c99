// y = W x for one to four tokens, where x is attention's output, merged from its splits on the way in.
//   weights (N, K) any format; partials, stats from decode_attention; y (T, STRIDE) f32, rows from OFFSET.
// Grid: workgroups of rows.
// #include "step.wgsl"
// #include "weights/{format}.wgsl"
// #include "decode/tokens/{tokens}.wgsl"
// #include "decode/merge.wgsl"
// #include "decode/sweeps/{sweep}.wgsl"
// #include "decode/store.wgsl"

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    sweep(group.x, thread);
}
