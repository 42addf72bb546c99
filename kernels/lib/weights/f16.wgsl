// f16 as in the file, two to a word. A piece is 8 columns.
// #include "tile.wgsl"
// #include "no_scales.wgsl"
// #include "two_to_a_word.wgsl"
@group(0) @binding(0) var<storage, read> weights: array<vec4<u32>>;

fn values_of(words: Codes, scale: Scale) -> Pair {
    let low = vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y));
    let high = vec4<f32>(unpack2x16float(words.z), unpack2x16float(words.w));
    return Pair(low, high);
}
