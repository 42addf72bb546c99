// y = gelu(gate) * up, with the tanh form of GELU       (GeGLU, Shazeer 2020, arXiv:2002.05202)
//   gate_up (T, 2F) f32: a token's gate values, then its up values; y (T, F) f32.
// Grid: x over F/4, y over tokens. The argument of tanh is clamped: some devices overflow inside tanh.
// #include "step.wgsl"
@group(0) @binding(0) var<storage, read> gate_up: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read_write> y: array<vec4<f32>>;
override F: u32;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let quads = F / 4u;
    let t = id.y;
    if (id.x >= quads || t >= step.count) {
        return;
    }
    let gate = gate_up[2u * t * quads + id.x];
    let up = gate_up[(2u * t + 1u) * quads + id.x];
    let inner = clamp(0.7978845608028654 * (gate + 0.044715 * gate * gate * gate), vec4<f32>(-15.0), vec4<f32>(15.0));
    y[t * quads + id.x] = 0.5 * gate * (1.0 + tanh(inner)) * up;
}
