// bf16 pieces for the lane sweep: 8 columns.
// #include "weights/bf16.wgsl"
const PIECE_QUADS: u32 = 2;
alias Piece = vec4<u32>;

fn piece_scale(row: u32, piece: u32) -> f32 {
    return 1.0;
}

fn dots(a: Piece, b: Piece, scale_a: f32, scale_b: f32, x: u32) -> Two {
    let low = x_at(x);
    let high = x_at(x + 1u);
    return Two(
        products(vec4<f32>(two(a.x), two(a.y)), low) + products(vec4<f32>(two(a.z), two(a.w)), high),
        products(vec4<f32>(two(b.x), two(b.y)), low) + products(vec4<f32>(two(b.z), two(b.w)), high));
}
