// int8 for the lane sweep in f16: all pieces of a row share a scale.
// #include "weights/q8r.wgsl"
// #include "decode/pieces/f16/bytes.wgsl"

alias PieceScale = f32;

fn piece_scale(row: u32, piece: u32) -> PieceScale {
    return scale_of(row, 0u).x / X_UNIT;
}
