// int4 pieces with a scale for a whole row for the lane sweep. One multiply-add makes a weight of a masked nibble: unit and scale are one factor, the
// offset of 8 and the top nibble's flipped sign one summand (see nibbles.wgsl).
// #include "weights/q4r.wgsl"
// #include "decode/pieces/nibbles.wgsl"

alias PieceScale = f32;

fn piece_scale(row: u32, piece: u32) -> PieceScale {
    return scale_of(row, 0u).x;
}

fn step_of(piece: Piece, scale: PieceScale, w: u32, inputs: Inputs) -> PerToken {
    let low = masked(piece[w], LOW_MASK) * (NIBBLE_UNIT * scale) - 8.0 * scale;
    let high = masked(piece[w] ^ 0x80000000u, HIGH_MASK) * (HIGH_UNIT * scale) + (TOP - 8.0) * scale;
    return products(low, inputs.low) + products(high, inputs.high);
}
