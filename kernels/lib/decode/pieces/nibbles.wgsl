// What int4 pieces share: 32 columns, in a step for each word.
const PIECE_QUADS: u32 = 8;
const STEPS: u32 = 4;
alias Piece = vec4<u32>;

struct Inputs {
    low: Staged,   // columns 4w..4w+3
    high: Staged,  // columns 16+4w..16+4w+3
}

fn inputs_of(x: u32, w: u32) -> Inputs {
    return Inputs(x_at(x + w), x_at(x + 4u + w));
}
