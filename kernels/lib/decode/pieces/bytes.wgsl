// What int8 pieces share: 16 columns with one scale, in a step for each word.
const PIECE_QUADS: u32 = 4;
const STEPS: u32 = 4;
alias Piece = vec4<u32>;

fn inputs_of(x: u32, w: u32) -> Staged {
    return x_at(x + w);
}
