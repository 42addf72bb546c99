// Activations as int8, for matmul_int8: every block of 32 columns of a token has its own scale.
//   x (T, K) f32; codes (T, K) i8, four to a word; scales (T, K/32) vec2: the scale, and the sum of the block's values.
// Grid: x over blocks, y over tokens.
// #include "step.wgsl"
// #include "peak.wgsl"
@group(0) @binding(0) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> codes: array<u32>;
@group(0) @binding(2) var<storage, read_write> scales: array<vec2<f32>>;
override K: u32;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let block = id.x;
    let t = id.y;
    if (block >= K / 32u || t >= step.count) {
        return;
    }
    let at = (t * (K / 32u) + block) * 8u;
    var peaks = vec4<u32>();
    for (var w = 0u; w < 8u; w++) {
        peaks = max(peaks, bitcast<vec4<u32>>(x[at + w]) & vec4<u32>(MAGNITUDE));
    }
    let peak = peak_of(peaks);
    var sum = 0.0;
    for (var w = 0u; w < 8u; w++) {
        let values = round(x[at + w] * (127.0 / peak));
        sum += dot(values, vec4<f32>(1.0));
        codes[at + w] = pack4xI8(vec4<i32>(values));
    }
    scales[t * (K / 32u) + block] = vec2<f32>(peak / 127.0, sum * (peak / 127.0));
}
