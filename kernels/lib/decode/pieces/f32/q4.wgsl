// int4 pieces for the lane sweep: 32 columns. One multiply-add makes a weight of a masked nibble: unit and scale are one
// factor, the offset of 8 and the top nibble's flipped sign one summand (see nibbles.wgsl).
// #include "weights/q4.wgsl"
const PIECE_QUADS: u32 = 8;
alias Piece = vec4<u32>;

fn piece_scale(row: u32, piece: u32) -> f32 {
    return scale_of(row, piece);
}

fn dots(a: Piece, b: Piece, scale_a: f32, scale_b: f32, x: u32) -> Two {
    var sums = Two();
    for (var w = 0u; w < 4u; w++) {
        let low = x_at(x + w);
        let high = x_at(x + 4u + w);
        let a_low = masked(a[w], LOW_MASK) * (NIBBLE_UNIT * scale_a) - 8.0 * scale_a;
        let a_high = masked(a[w] ^ 0x80000000u, HIGH_MASK) * (HIGH_UNIT * scale_a) + (TOP - 8.0) * scale_a;
        sums.first += products(a_low, low) + products(a_high, high);
        let b_low = masked(b[w], LOW_MASK) * (NIBBLE_UNIT * scale_b) - 8.0 * scale_b;
        let b_high = masked(b[w] ^ 0x80000000u, HIGH_MASK) * (HIGH_UNIT * scale_b) + (TOP - 8.0) * scale_b;
        sums.second += products(b_low, low) + products(b_high, high);
    }
    return sums;
}
