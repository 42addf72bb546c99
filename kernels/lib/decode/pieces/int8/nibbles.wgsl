// int4 pieces against int8 activations: a block of 32 columns in one step. The minimum counts with the sum of the
// token's block.
// #include "decode/pieces/int8/dot16.wgsl"
const PIECE_QUADS: u32 = 8;
const STEPS: u32 = 1;
alias Piece = vec4<u32>;

// value = code * scale - minimum
struct WeightPart {
    low: vec4<u32>,   // codes of columns 0..15, four to a word
    high: vec4<u32>,  // columns 16..31
    scale: f32,
    minimum: f32,
}

struct InputPart {
    low: vec4<u32>,
    high: vec4<u32>,
    scale: f32,
    sum: f32,  // of the block's values
}

fn x_of(t: u32, i: u32) -> InputPart {
    let scale = bitcast<vec2<f32>>(quad_of(t, i + 2u).xy);
    return InputPart(quad_of(t, i), quad_of(t, i + 1u), scale.x, scale.y);
}

fn product(w: WeightPart, x: InputPart) -> f32 {
    let sum = f32(dot16(w.low, x.low) + dot16(w.high, x.high));
    return w.scale * x.scale * sum - w.minimum * x.sum;
}

fn inputs_of(x: u32, w: u32) -> Staged {
    return x_at(x);
}

fn nibbles_of(piece: Piece, scale: f32, minimum: f32) -> WeightPart {
    let mask = vec4<u32>(0x0f0f0f0fu);
    return WeightPart(piece & mask, (piece >> vec4<u32>(4u)) & mask, scale, minimum);
}
