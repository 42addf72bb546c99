// x[t] += rms_norm(y[t]): Gemma's norm after a sublayer, and the residual sum, in place.
//   x (T, D) f32, the residual stream; y (T, D) f32, the sublayer's output; weight (D) f32.
// Grid: one workgroup for each token. The sum stays f32: Gemma 3's residual passes the range of f16.
// #include "step.wgsl"
// #include "reduce.wgsl"
@group(0) @binding(0) var<storage, read_write> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> y: array<vec4<f32>>;
@group(0) @binding(2) var<storage, read> weight: array<vec4<f32>>;
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
            squares += y[t * QUADS + d] * y[t * QUADS + d];
        }
    }
    let sum = workgroup_sum(dot(squares, vec4<f32>(1.0)), thread);
    let factor = inverseSqrt(sum / f32(D) + EPS);
    for (var i = 0u; i < EACH; i++) {
        let d = i * WORKGROUP + thread;
        if (d < QUADS) {
            x[t * QUADS + d] += y[t * QUADS + d] * factor * weight[d];
        }
    }
}
