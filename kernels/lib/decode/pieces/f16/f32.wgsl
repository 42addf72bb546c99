// f32 pieces for the lane sweep in f16: 4 columns.
// #include "weights/f32.wgsl"
const PIECE_QUADS: u32 = 1;
alias Piece = vec4<f32>;

fn piece_scale(row: u32, piece: u32) -> f32 {
    return 1.0 / X_UNIT;
}

fn dots(a: Piece, b: Piece, scale_a: f32, scale_b: f32, x: u32) -> Two {
    let values = x_at(x);
    return Two(products(vec4<f16>(a.xzyw), values) * scale_a, products(vec4<f16>(b.xzyw), values) * scale_b);
}
