// #include "packed/packed.wgsl"
// #include "weights/q4.wgsl"
fn packed_of(row: u32, block: u32) -> Packed {
    let words = weights[piece_index(row, block, 4u)];
    let scale = scale_of(row, block);
    return Packed(words & vec4<u32>(0x0f0f0f0fu), (words >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu), vec2<f32>(scale), 8.0 * scale);
}
