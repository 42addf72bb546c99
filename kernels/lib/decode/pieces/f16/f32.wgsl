// f32 pieces for the lane sweep in f16: 4 columns, in one step.
// #include "weights/f32.wgsl"
const PIECE_QUADS: u32 = 1;
const STEPS: u32 = 1;
alias Piece = vec4<f32>;

alias PieceScale = f32;

fn piece_scale(row: u32, piece: u32) -> PieceScale {
    return 1.0 / X_UNIT;
}

fn inputs_of(x: u32, w: u32) -> Staged {
    return x_at(x);
}

fn step_of(piece: Piece, scale: PieceScale, w: u32, inputs: Staged) -> PerToken {
    return scale * products(vec4<f16>(piece.xzyw), inputs);
}
