// add_norm, whose sum goes into a second residual buffer: the workgroups that still read the first are not disturbed.
// #include "decode/add_norm.wgsl"
@group(0) @binding(6) var<storage, read_write> sum: array<vec4<f32>>;  // (T, K)

fn keep(i: u32, value: vec4<f32>) {
    sum[i] = value;
}
