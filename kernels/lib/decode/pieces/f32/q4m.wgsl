// int4 pieces with a minimum for the lane sweep (see q4.wgsl).
// #include "weights/q4m.wgsl"
// #include "decode/pieces/nibbles.wgsl"

alias PieceScale = vec2<f32>;

fn piece_scale(row: u32, piece: u32) -> PieceScale {
    return scale_of(row, piece);
}

fn step_of(piece: Piece, scale: PieceScale, w: u32, inputs: Inputs) -> PerToken {
    let low = masked(piece[w], LOW_MASK) * (NIBBLE_UNIT * scale.x) - scale.y;
    let high = masked(piece[w] ^ 0x80000000u, HIGH_MASK) * (HIGH_UNIT * scale.x) + (TOP * scale.x - scale.y);
    return products(low, inputs.low) + products(high, inputs.high);
}
