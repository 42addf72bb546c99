// int8 pieces against int8 activations: half a block, 16 columns with one scale, in one step.
// #include "decode/pieces/int8/dot16.wgsl"
const PIECE_QUADS: u32 = 4;
const STEPS: u32 = 1;
alias Piece = vec4<u32>;

struct WeightPart {
    codes: vec4<u32>,  // four to a word
    scale: f32,
}

alias InputPart = WeightPart;

fn x_of(t: u32, i: u32) -> InputPart {
    let block = i / 8u * 8u;
    return InputPart(quad_of(t, block + i % 8u / 4u), bitcast<f32>(quad_of(t, block + 2u).x));
}

fn product(w: WeightPart, x: InputPart) -> f32 {
    return w.scale * x.scale * f32(dot16(w.codes, x.codes));
}

fn inputs_of(x: u32, w: u32) -> Staged {
    return x_at(x);
}

fn step_of(piece: Piece, scale: f32, w: u32, inputs: Staged) -> PerToken {
    return products(WeightPart(piece, scale), inputs);
}
