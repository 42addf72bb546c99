// int8 pieces for the lane sweep in f16: 16 columns, with one scale, which is applied to the piece's sum.
// #include "decode/pieces/f16/codes.wgsl"
const PIECE_QUADS: u32 = 4;
alias Piece = vec4<u32>;

fn dots(a: Piece, b: Piece, scale_a: f32, scale_b: f32, x: u32) -> Two {
    var sums = Two();
    for (var w = 0u; w < 4u; w++) {
        let values = x_at(x + w);
        sums.first += products(bytes16(a[w]), values);
        sums.second += products(bytes16(b[w]), values);
    }
    return Two(sums.first * scale_a, sums.second * scale_b);
}
