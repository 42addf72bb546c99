// Weights of 16 bits, two to a word; a piece is 8 columns.
alias Codes = vec4<u32>;

// Four columns in two words.
fn four(row: u32, column: u32) -> vec2<u32> {
    let index = piece_index(row, column >> 3u, 16u);
    let word = (column & 4u) >> 1u;
    return vec2<u32>(weights[index][word], weights[index][word + 1u]);
}

fn codes_of(row: u32, block: u32, w: u32) -> Codes {
    let column = 32u * block + 4u * w;
    return Codes(four(row, column), four(row, column + 16u));
}
