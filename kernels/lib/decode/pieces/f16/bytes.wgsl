// int8 pieces for the lane sweep in f16. The scale is applied to the products.
// #include "decode/pieces/bytes.wgsl"
// #include "decode/pieces/f16/codes.wgsl"

fn step_of(piece: Piece, scale: f32, w: u32, inputs: Staged) -> PerToken {
    return scale * products(bytes16(piece[w]), inputs);
}
