// f32 as in the file. A piece is 4 columns.
// #include "tile.wgsl"
// #include "no_scales.wgsl"
@group(0) @binding(0) var<storage, read> weights: array<vec4<f32>>;

alias Codes = Pair;

fn codes_of(row: u32, block: u32, w: u32) -> Codes {
    let piece = 8u * block + w;
    return Pair(weights[piece_index(row, piece, 32u)], weights[piece_index(row, piece + 4u, 32u)]);
}

fn values_of(values: Codes, scale: Scale) -> Pair {
    return values;
}
