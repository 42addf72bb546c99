// int8 for the lane sweep: two pieces share a scale.
// #include "weights/q8.wgsl"
// #include "decode/pieces/f32/bytes.wgsl"

fn piece_scale(row: u32, piece: u32) -> f32 {
    return scale_of(row, piece >> 1u);
}
