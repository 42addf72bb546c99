// #include "weights/q8r.wgsl"
// #include "packed/eight_bits.wgsl"
fn packed(pieces: Bytes, scale: Scale) -> Packed {
    return Packed(pieces[0], pieces[1], vec3<f32>(scale.xx, 0.0));
}
