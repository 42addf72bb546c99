// int4 pieces with a minimum for the lane sweep in f16: 32 columns. The scale is applied to the piece's sum, the minimum
// to the sum of its activations: neither fits f16.
// #include "weights/q4m.wgsl"
// #include "decode/pieces/f16/codes.wgsl"
const PIECE_QUADS: u32 = 8;
alias Piece = vec4<u32>;

fn piece_scale(row: u32, piece: u32) -> vec2<f32> {
    return scale_of(row, piece) / X_UNIT;
}

fn dots(a: Piece, b: Piece, scale_a: vec2<f32>, scale_b: vec2<f32>, x: u32) -> Two {
    var sums = Two();
    var total = PerToken();
    for (var w = 0u; w < 4u; w++) {
        let low = x_at(x + w);
        let high = x_at(x + 4u + w);
        total += products(vec4<f16>(1.0h), low) + products(vec4<f16>(1.0h), high);
        sums.first += products(nibbles16(a[w], 0.0h), low) + products(nibbles16(a[w] >> 4u, 0.0h), high);
        sums.second += products(nibbles16(b[w], 0.0h), low) + products(nibbles16(b[w] >> 4u, 0.0h), high);
    }
    return Two(sums.first * scale_a.x - total * scale_a.y, sums.second * scale_b.x - total * scale_b.y);
}
