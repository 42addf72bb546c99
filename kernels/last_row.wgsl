// y = x[count - 1]: the last real token of the chunk, the only one the head needs.
//   x (T, D) f32; y (D) f32. Grid: x over D.
// #include "step.wgsl"
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
override D: u32;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x < D) {
        y[id.x] = x[(step.count - 1u) * D + id.x];
    }
}
