// int4 pieces with a scale for a whole row for the lane sweep in int8.
// #include "weights/q4r.wgsl"
// #include "decode/pieces/int8/nibbles.wgsl"

alias PieceScale = f32;

fn piece_scale(row: u32, piece: u32) -> PieceScale {
    return scale_of(row, 0u).x;
}

fn step_of(piece: Piece, scale: PieceScale, w: u32, inputs: Staged) -> PerToken {
    return products(nibbles_of(piece, scale, 8.0 * scale), inputs);
}
