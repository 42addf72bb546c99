// f16 pieces for the lane sweep: 8 columns.
// #include "weights/f16.wgsl"
const PIECE_QUADS: u32 = 2;
alias Piece = vec4<u32>;

fn piece_scale(row: u32, piece: u32) -> f32 {
    return 1.0;
}

fn dots(a: Piece, b: Piece, scale_a: f32, scale_b: f32, x: u32) -> Two {
    let low = x_at(x);
    let high = x_at(x + 1u);
    return Two(
        products(vec4<f32>(unpack2x16float(a.x), unpack2x16float(a.y)), low) + products(vec4<f32>(unpack2x16float(a.z), unpack2x16float(a.w)), high),
        products(vec4<f32>(unpack2x16float(b.x), unpack2x16float(b.y)), low) + products(vec4<f32>(unpack2x16float(b.z), unpack2x16float(b.w)), high));
}
