// f32 pieces for the lane sweep: 4 columns.
// #include "weights/f32.wgsl"
const PIECE_QUADS: u32 = 1;
alias Piece = vec4<f32>;

fn piece_scale(row: u32, piece: u32) -> f32 {
    return 1.0;
}

fn dots(a: Piece, b: Piece, scale_a: f32, scale_b: f32, x: u32) -> Two {
    let values = x_at(x);
    return Two(products(a, values), products(b, values));
}
