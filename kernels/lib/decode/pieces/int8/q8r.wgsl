// int8 for the lane sweep in int8: all pieces of a row share a scale.
// #include "weights/q8r.wgsl"
// #include "decode/pieces/int8/bytes.wgsl"

alias PieceScale = f32;

fn piece_scale(row: u32, piece: u32) -> PieceScale {
    return scale_of(row, 0u).x;
}
