// bf16 as in the file, two to a word: the high half of an f32. A piece is 8 columns.
// #include "tile.wgsl"
@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;

alias Codes = vec4<u32>;
alias StoredScale = f32;
alias Scale = f32;

fn stored_scale(row: u32, block: u32) -> StoredScale {
    return 1.0;
}

fn scale_in(stored: StoredScale, block: u32) -> Scale {
    return stored;
}

fn two(word: u32) -> vec2<f32> {
    return bitcast<vec2<f32>>(vec2<u32>(word << 16u, word & 0xffff0000u));
}

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

fn values_of(words: Codes, scale: Scale) -> Pair {
    let low = vec4<f32>(two(words.x), two(words.y));
    let high = vec4<f32>(two(words.z), two(words.w));
    return Pair(low, high);
}

fn scale_of(row: u32, block: u32) -> Scale {
    return 1.0;
}

fn pair_of(row: u32, block: u32, w: u32, scale: Scale) -> Pair {
    return values_of(codes_of(row, block, w), scale);
}
