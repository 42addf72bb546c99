// int4 pieces with a minimum for the lane sweep: 32 columns (see q4.wgsl).
// #include "weights/q4m.wgsl"
const PIECE_QUADS: u32 = 8;
alias Piece = vec4<u32>;

fn piece_scale(row: u32, piece: u32) -> vec2<f32> {
    return scale_of(row, piece);
}

fn dots(a: Piece, b: Piece, scale_a: vec2<f32>, scale_b: vec2<f32>, x: u32) -> Two {
    var sums = Two();
    for (var w = 0u; w < 4u; w++) {
        let low = x_at(x + w);
        let high = x_at(x + 4u + w);
        let a_low = masked(a[w], LOW_MASK) * (NIBBLE_UNIT * scale_a.x) - scale_a.y;
        let a_high = masked(a[w] ^ 0x80000000u, HIGH_MASK) * (HIGH_UNIT * scale_a.x) + (TOP * scale_a.x - scale_a.y);
        sums.first += products(a_low, low) + products(a_high, high);
        let b_low = masked(b[w], LOW_MASK) * (NIBBLE_UNIT * scale_b.x) - scale_b.y;
        let b_high = masked(b[w] ^ 0x80000000u, HIGH_MASK) * (HIGH_UNIT * scale_b.x) + (TOP * scale_b.x - scale_b.y);
        sums.second += products(b_low, low) + products(b_high, high);
    }
    return sums;
}
