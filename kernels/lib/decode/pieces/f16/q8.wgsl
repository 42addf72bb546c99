// int8 for the lane sweep in f16: two pieces share a scale.
// #include "weights/q8.wgsl"
// #include "decode/pieces/f16/bytes.wgsl"

alias PieceScale = f32;

fn piece_scale(row: u32, piece: u32) -> PieceScale {
    return scale_of(row, piece >> 1u) / X_UNIT;
}
