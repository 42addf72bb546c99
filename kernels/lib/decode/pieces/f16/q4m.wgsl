// int4 pieces with a minimum for the lane sweep in f16. The scale is applied to the products, the minimum to the sum of
// the activations: neither fits f16.
// #include "weights/q4m.wgsl"
// #include "decode/pieces/nibbles.wgsl"
// #include "decode/pieces/f16/codes.wgsl"

alias PieceScale = vec2<f32>;

fn piece_scale(row: u32, piece: u32) -> PieceScale {
    return scale_of(row, piece) / X_UNIT;
}

fn step_of(piece: Piece, scale: PieceScale, w: u32, inputs: Inputs) -> PerToken {
    let total = products(vec4<f16>(1.0h), inputs.low) + products(vec4<f16>(1.0h), inputs.high);
    let low = products(nibbles16(piece[w], 0.0h), inputs.low);
    return scale.x * (low + products(nibbles16(piece[w] >> 4u, 0.0h), inputs.high)) - scale.y * total;
}
