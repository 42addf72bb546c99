// int4 with a minimum, value = scale * code - minimum, both f32, for 32 columns (Q4_K's sub-blocks, whose
// scales do not fit f16). Pieces as in q4.
// #include "tile.wgsl"
// #include "scale_pairs.wgsl"
// #include "nibbles.wgsl"
@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;

alias Codes = u32;

fn codes_of(row: u32, block: u32, w: u32) -> Codes {
    return weights[piece_index(row, block, 4u)][w];
}

fn values_of(word: Codes, scale: Scale) -> Pair {
    return Pair(low_nibbles(word) * scale.x - scale.y, high_nibbles(word) * scale.x - scale.y);
}
