// y[t] = x[t] / sqrt(mean(x[t]^2) + EPS) * weight        (RMSNorm, Zhang & Sennrich 2019, arXiv:1910.07467)
//   x (T, D) f32; weight (D) f32; y (T, D) f32.
// Grid: one workgroup for each token. The weight already contains Gemma's "1 +".
// #include "step.wgsl"
// #include "reduce.wgsl"
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> weight: array<f32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
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
        squares += x[t * D + d] * x[t * D + d];
    }
    let factor = inverseSqrt(workgroup_sum(squares, thread) / f32(D) + EPS);
    for (var d = thread; d < D; d += WORKGROUP) {
        y[t * D + d] = x[t * D + d] * factor * weight[d];
    }
}
