// #include "weights/q4r.wgsl"
// #include "packed/four_bits.wgsl"
fn packed(words: Bytes, scale: Scale) -> Packed {
    return packed_four(words, vec3<f32>(scale.xx, scale.y));
}
