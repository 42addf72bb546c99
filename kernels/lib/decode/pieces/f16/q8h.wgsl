// int8 for the lane sweep in f16: each piece has its own scale.
// #include "weights/q8h.wgsl"
// #include "decode/pieces/f16/bytes.wgsl"

alias PieceScale = f32;

fn piece_scale(row: u32, piece: u32) -> PieceScale {
    let scale = scale_of(row, piece >> 1u);
    return select(scale.x, scale.y, (piece & 1u) == 1u) / X_UNIT;
}
