// qkv = W x for one to four tokens, with the norm before the sublayer computed on the way in.
//   weights (N, K) any format; residual (T, K) f32, and with input "sum" the output of the sublayer before, its norm
//   and the new residual; y (T, STRIDE) f32: this piece's rows begin at OFFSET.
// Grid: workgroups of rows.
// #include "step.wgsl"
// #include "weights/{format}.wgsl"
// #include "decode/tokens/{tokens}.wgsl"
// #include "decode/inputs/{input}.wgsl"
// #include "decode/sweeps/{sweep}.wgsl"
// #include "decode/store.wgsl"

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    sweep(group.x, thread);
}
