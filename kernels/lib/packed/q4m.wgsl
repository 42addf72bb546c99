// #include "packed/packed.wgsl"
// #include "weights/q4m.wgsl"
alias Bytes = vec4<u32>;

fn bytes_of(row: u32, block: u32) -> Bytes {
    return weights[piece_index(row, block, 4u)];
}

fn packed(words: Bytes, scale: Scale) -> Packed {
    let low = words & vec4<u32>(0x0f0f0f0fu);
    let high = (words >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu);
    return Packed(low, high, vec3<f32>(scale.xx, scale.y));
}
