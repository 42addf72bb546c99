// #include "weights/q8.wgsl"
// #include "packed/eight_bits.wgsl"
fn packed(pieces: Bytes, scale: Scale) -> Packed {
    return Packed(pieces[0], pieces[1], vec3<f32>(scale, scale, 0.0));
}
