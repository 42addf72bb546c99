// Integer codes as f16 without a conversion: 0x6400 is 1024, and the low bits of its mantissa count by one. A word's
// codes come out with the second and the third in each other's place, as the activations are staged (elements/f16.wgsl).
const MAGIC: u32 = 0x64006400u;

fn nibbles16(word: u32, offset: f16) -> vec4<f16> {
    let even = bitcast<vec2<f16>>((word & 0x000f000fu) | MAGIC);
    let odd = bitcast<vec2<f16>>(((word >> 8u) & 0x000f000fu) | MAGIC);
    return vec4<f16>(even, odd) - (1024.0h + offset);
}

fn bytes16(word: u32) -> vec4<f16> {
    let flipped = word ^ 0x80808080u;  // value + 128
    let even = bitcast<vec2<f16>>((flipped & 0x00ff00ffu) | MAGIC);
    let odd = bitcast<vec2<f16>>(((flipped >> 8u) & 0x00ff00ffu) | MAGIC);
    return vec4<f16>(even, odd) - 1152.0h;
}
