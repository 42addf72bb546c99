// int4 pieces with a scale for a whole row for the lane sweep in f16. The scale is applied to the products.
// #include "weights/q4r.wgsl"
// #include "decode/pieces/nibbles.wgsl"
// #include "decode/pieces/f16/codes.wgsl"

alias PieceScale = f32;

fn piece_scale(row: u32, piece: u32) -> PieceScale {
    return scale_of(row, 0u).x / X_UNIT;
}

fn step_of(piece: Piece, scale: PieceScale, w: u32, inputs: Inputs) -> PerToken {
    let low = products(nibbles16(piece[w], 8.0h), inputs.low);
    return scale * (low + products(nibbles16(piece[w] >> 4u, 8.0h), inputs.high));
}
