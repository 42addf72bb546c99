// int4 pieces with a minimum for the lane sweep in int8.
// #include "weights/q4m.wgsl"
// #include "decode/pieces/int8/nibbles.wgsl"

alias PieceScale = vec2<f32>;

fn piece_scale(row: u32, piece: u32) -> PieceScale {
    return scale_of(row, piece);
}

fn step_of(piece: Piece, scale: PieceScale, w: u32, inputs: Staged) -> PerToken {
    return products(nibbles_of(piece, scale.x, scale.y), inputs);
}
