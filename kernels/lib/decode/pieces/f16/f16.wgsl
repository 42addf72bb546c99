// f16 pieces for the lane sweep in f16: 8 columns.
// #include "weights/f16.wgsl"
const PIECE_QUADS: u32 = 2;
alias Piece = vec4<u32>;

fn piece_scale(row: u32, piece: u32) -> f32 {
    return 1.0 / X_UNIT;
}

fn four16(first: u32, second: u32) -> vec4<f16> {
    return vec4<f16>(vec4<f32>(unpack2x16float(first), unpack2x16float(second)).xzyw);
}

fn dots(a: Piece, b: Piece, scale_a: f32, scale_b: f32, x: u32) -> Two {
    let low = x_at(x);
    let high = x_at(x + 1u);
    return Two(
        (products(four16(a.x, a.y), low) + products(four16(a.z, a.w), high)) * scale_a,
        (products(four16(b.x, b.y), low) + products(four16(b.z, b.w), high)) * scale_b);
}
