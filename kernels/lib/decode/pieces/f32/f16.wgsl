// f16 pieces for the lane sweep.
// #include "weights/f16.wgsl"
// #include "decode/pieces/float.wgsl"

alias PieceScale = f32;

fn piece_scale(row: u32, piece: u32) -> PieceScale {
    return 1.0;
}

fn step_of(piece: Piece, scale: PieceScale, w: u32, inputs: Inputs) -> PerToken {
    let low = vec4<f32>(unpack2x16float(piece.x), unpack2x16float(piece.y));
    let high = vec4<f32>(unpack2x16float(piece.z), unpack2x16float(piece.w));
    return products(low, inputs.low) + products(high, inputs.high);
}
