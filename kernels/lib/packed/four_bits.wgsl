// #include "packed/packed.wgsl"
alias Bytes = vec4<u32>;

fn bytes_of(row: u32, block: u32) -> Bytes {
    return weights[piece_index(row, block, 4u)];
}

// Two codes are in a byte: those of the first half of the columns in the low bits.
fn packed_four(words: Bytes, scales: vec3<f32>) -> Packed {
    return Packed(words & vec4<u32>(0x0f0f0f0fu), (words >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu), scales);
}
