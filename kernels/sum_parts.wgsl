// y[t, n] = the sum of PARTS partial sums, for matmuls whose columns were divided.
//   parts (T, PARTS, N) f32; y (T, N) f32.
// Grid: x over N, y over tokens.
// #include "step.wgsl"
@group(0) @binding(0) var<storage, read> parts: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
override N: u32;
override PARTS: u32;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let t = id.y;
    if (id.x >= N || t >= step.count) {
        return;
    }
    var sum = 0.0;
    for (var part = 0u; part < PARTS; part++) {
        sum += parts[(t * PARTS + part) * N + id.x];
    }
    y[t * N + id.x] = sum;
}
