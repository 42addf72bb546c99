// int4 pieces for the lane sweep in f16: 32 columns. The scale is applied to the piece's sum.
// #include "weights/q4.wgsl"
// #include "decode/pieces/f16/codes.wgsl"
const PIECE_QUADS: u32 = 8;
alias Piece = vec4<u32>;

fn piece_scale(row: u32, piece: u32) -> f32 {
    return scale_of(row, piece) / X_UNIT;
}

fn dots(a: Piece, b: Piece, scale_a: f32, scale_b: f32, x: u32) -> Two {
    var sums = Two();
    for (var w = 0u; w < 4u; w++) {
        let low = x_at(x + w);
        let high = x_at(x + 4u + w);
        sums.first += products(nibbles16(a[w], 8.0h), low) + products(nibbles16(a[w] >> 4u, 8.0h), high);
        sums.second += products(nibbles16(b[w], 8.0h), low) + products(nibbles16(b[w] >> 4u, 8.0h), high);
    }
    return Two(sums.first * scale_a, sums.second * scale_b);
}
