// y[t] = x[t] / sqrt(mean(x[t]^2) + EPS) * weight        (RMSNorm, Zhang & Sennrich 2019, arXiv:1910.07467)
//   x (T, D) f32; weight (D) f32; y (T, D) f32.
// Grid: one workgroup for each token. The weight already contains Gemma's "1 +".
// #include "step.wgsl"
// #include "reduce.wgsl"
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> weight: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
override D: u32;  // a multiple of 4
override EPS: f32;
override QUADS: u32 = D / 4u;
override EACH: u32 = (QUADS + WORKGROUP - 1u) / WORKGROUP;  // a thread's, at most

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let t = group.x;
    if (t >= step.count) {
        return;
    }
    var squares = vec4<f32>();
    for (var i = 0u; i < EACH; i++) {
        let d = i * WORKGROUP + thread;
        if (d < QUADS) {
            squares += x[t * QUADS + d] * x[t * QUADS + d];
        }
    }
    let sum = workgroup_sum(dot(squares, vec4<f32>(1.0)), thread);
    let factor = inverseSqrt(sum / f32(D) + EPS);
    for (var i = 0u; i < EACH; i++) {
        let d = i * WORKGROUP + thread;
        if (d < QUADS) {
            y[t * QUADS + d] = x[t * QUADS + d] * factor * weight[d];
        }
    }
}
