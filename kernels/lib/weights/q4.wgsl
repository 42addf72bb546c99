// int4, value = scale * (code - 8), one f16 scale for 32 columns. A piece is a block of 32: byte i holds
// columns i (low nibble) and 16 + i (high nibble), as in GGUF's Q4_0.
// #include "tile.wgsl"
// #include "scales16.wgsl"
// #include "nibbles.wgsl"
@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;

alias Codes = u32;

fn codes_of(row: u32, block: u32, w: u32) -> Codes {
    return weights[piece_index(row, block, 4u)][w];
}

fn values_of(word: Codes, scale: Scale) -> Pair {
    return Pair((low_nibbles(word) - 8.0) * scale, (high_nibbles(word) - 8.0) * scale);
}
