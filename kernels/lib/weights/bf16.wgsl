// bf16 as in the file, two to a word: the high half of an f32. A piece is 8 columns.
// #include "tile.wgsl"
@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;

alias Scale = f32;

fn scale_of(row: u32, block: u32) -> Scale {
    return 1.0;
}

fn two(word: u32) -> vec2<f32> {
    return bitcast<vec2<f32>>(vec2<u32>(word << 16u, word & 0xffff0000u));
}

fn four(row: u32, column: u32) -> vec4<f32> {
    let index = piece_index(row, column >> 3u, 16u);
    let word = (column & 4u) >> 1u;
    return vec4<f32>(two(weights[index][word]), two(weights[index][word + 1u]));
}

fn pair_of(row: u32, block: u32, w: u32, scale: Scale) -> Pair {
    let column = 32u * block + 4u * w;
    return Pair(four(row, column), four(row, column + 16u));
}
