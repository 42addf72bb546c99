// f16 pieces for the lane sweep in f16.
// #include "weights/f16.wgsl"
// #include "decode/pieces/float.wgsl"

alias PieceScale = f32;

fn piece_scale(row: u32, piece: u32) -> PieceScale {
    return 1.0 / X_UNIT;
}

fn four16(first: u32, second: u32) -> vec4<f16> {
    return vec4<f16>(vec4<f32>(unpack2x16float(first), unpack2x16float(second)).xzyw);
}

fn step_of(piece: Piece, scale: PieceScale, w: u32, inputs: Inputs) -> PerToken {
    let low = products(four16(piece.x, piece.y), inputs.low);
    return scale * (low + products(four16(piece.z, piece.w), inputs.high));
}
