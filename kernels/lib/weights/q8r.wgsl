// int8, value = scale * code, one f32 scale for a whole row: LiteRT's, and what floats are rounded to when they are loaded. A
// piece is 16 columns.
// #include "tile.wgsl"
// #include "row_scales.wgsl"
// #include "bytes.wgsl"
@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;

alias Codes = vec2<u32>;

fn codes_of(row: u32, block: u32, w: u32) -> Codes {
    let index = piece_index(row, 2u * block, 8u);
    return Codes(weights[index][w], weights[index + 1u][w]);
}

fn values_of(words: Codes, scale: Scale) -> Pair {
    return Pair(signed_bytes(words.x, scale.x), signed_bytes(words.y, scale.x));
}
