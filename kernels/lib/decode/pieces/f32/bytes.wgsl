// int8 pieces for the lane sweep: 16 columns, with one scale.
const PIECE_QUADS: u32 = 4;
alias Piece = vec4<u32>;

fn dots(a: Piece, b: Piece, scale_a: f32, scale_b: f32, x: u32) -> Two {
    var sums = Two();
    for (var w = 0u; w < 4u; w++) {
        let values = x_at(x + w);
        sums.first += products(signed_bytes(a[w], scale_a), values);
        sums.second += products(signed_bytes(b[w], scale_b), values);
    }
    return sums;
}
