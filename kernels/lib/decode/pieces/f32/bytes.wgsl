// int8 pieces for the lane sweep.
// #include "decode/pieces/bytes.wgsl"

fn step_of(piece: Piece, scale: f32, w: u32, inputs: Staged) -> PerToken {
    return products(signed_bytes(piece[w], scale), inputs);
}
