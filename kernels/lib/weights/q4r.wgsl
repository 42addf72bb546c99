// int4, value = scale * (code - 8), one f32 scale for a whole row: LiteRT's, and what floats are rounded to when they
// are loaded. Pieces as in q4.
// #include "tile.wgsl"
// #include "row_scales.wgsl"
// #include "nibbles.wgsl"
@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;

alias Codes = u32;

fn codes_of(row: u32, block: u32, w: u32) -> Codes {
    return weights[piece_index(row, block, 4u)][w];
}

fn values_of(word: Codes, scale: Scale) -> Pair {
    return Pair((low_nibbles(word) - 8.0) * scale.x, (high_nibbles(word) - 8.0) * scale.x);
}
