// What pieces of 16-bit floats share: 8 columns, in one step.
const PIECE_QUADS: u32 = 2;
const STEPS: u32 = 1;
alias Piece = vec4<u32>;

struct Inputs {
    low: Staged,
    high: Staged,
}

fn inputs_of(x: u32, w: u32) -> Inputs {
    return Inputs(x_at(x), x_at(x + 1u));
}
