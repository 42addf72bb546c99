// x[t] += rms_norm(y[t]): Gemma's norm after a sublayer, and the residual sum, in place.
//   x (T, D) f32, the residual stream; y (T, D) f32, the sublayer's output; weight (D) f32.
// Grid: one workgroup for each token. The sum stays f32: Gemma 3's residual passes the range of f16.
// #include "step.wgsl"
// #include "reduce.wgsl"
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read> y: array<f32>;
@group(0) @binding(2) var<storage, read> weight: array<f32>;
override D: u32;
override EPS: f32;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let t = group.x;
    if (t >= step.count) {
        return;
    }
    var squares = 0.0;
    for (var d = thread; d < D; d += WORKGROUP) {
        squares += y[t * D + d] * y[t * D + d];
    }
    let factor = inverseSqrt(workgroup_sum(squares, thread) / f32(D) + EPS);
    for (var d = thread; d < D; d += WORKGROUP) {
        x[t * D + d] += y[t * D + d] * factor * weight[d];
    }
}
