// f16 as in the file, two to a word. A piece is 8 columns.
// #include "tile.wgsl"
@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;

alias Scale = f32;

fn scale_of(row: u32, block: u32) -> Scale {
    return 1.0;
}

fn four(row: u32, column: u32) -> vec4<f32> {
    let index = piece_index(row, column >> 3u, 16u);
    let word = (column & 4u) >> 1u;
    return vec4<f32>(unpack2x16float(weights[index][word]), unpack2x16float(weights[index][word + 1u]));
}

fn pair_of(row: u32, block: u32, w: u32, scale: Scale) -> Pair {
    let column = 32u * block + 4u * w;
    return Pair(four(row, column), four(row, column + 16u));
}
