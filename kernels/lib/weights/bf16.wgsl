// bf16 as in the file, two to a word: the high half of an f32. A piece is 8 columns.
// #include "tile.wgsl"
// #include "no_scales.wgsl"
// #include "two_to_a_word.wgsl"
@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;

fn two(word: u32) -> vec2<f32> {
    return bitcast<vec2<f32>>(vec2<u32>(word << 16u, word & 0xffff0000u));
}

fn values_of(words: Codes, scale: Scale) -> Pair {
    let low = vec4<f32>(two(words.x), two(words.y));
    let high = vec4<f32>(two(words.z), two(words.w));
    return Pair(low, high);
}
