// int8, value = scale * code, one f32 scale for 16 columns, half a block (Q6_K widened). A piece is 16 columns.
// #include "tile.wgsl"
// #include "bytes.wgsl"
@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read> scales: array<vec2<f32>>;

alias Codes = vec2<u32>;
alias StoredScale = vec2<f32>;
alias Scale = vec2<f32>;

fn stored_scale(row: u32, block: u32) -> StoredScale {
    return scales[piece_index(row, block, 4u)];
}

fn scale_in(stored: StoredScale, block: u32) -> Scale {
    return stored;
}

fn codes_of(row: u32, block: u32, w: u32) -> Codes {
    let index = piece_index(row, 2u * block, 8u);
    return Codes(weights[index][w], weights[index + 1u][w]);
}

fn values_of(words: Codes, scale: Scale) -> Pair {
    return Pair(signed_bytes(words.x, scale.x), signed_bytes(words.y, scale.y));
}

fn scale_of(row: u32, block: u32) -> Scale {
    return scales[piece_index(row, block, 4u)];
}

fn pair_of(row: u32, block: u32, w: u32, scale: Scale) -> Pair {
    let index = piece_index(row, 2u * block, 8u);
    return Pair(signed_bytes(weights[index][w], scale.x), signed_bytes(weights[index + 1u][w], scale.y));
}
