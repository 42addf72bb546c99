// Four values 0..15 from the low or the high nibbles of a word's bytes. The top nibble would make the i32
// negative: its sign bit is flipped first, which subtracts 8, and TOP adds it back.
const LOW_MASK: vec4<u32> = vec4<u32>(0xfu, 0xf00u, 0xf0000u, 0xf000000u);
const HIGH_MASK: vec4<u32> = vec4<u32>(0xf0u, 0xf000u, 0xf00000u, 0xf0000000u);
const NIBBLE_UNIT: vec4<f32> = vec4<f32>(1.0, 0x1p-8, 0x1p-16, 0x1p-24);
const HIGH_UNIT: vec4<f32> = vec4<f32>(0x1p-4, 0x1p-12, 0x1p-20, 0x1p-28);
const TOP: vec4<f32> = vec4<f32>(0.0, 0.0, 0.0, 8.0);

fn masked(word: u32, mask: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(bitcast<vec4<i32>>(vec4<u32>(word) & mask));
}

fn low_nibbles(word: u32) -> vec4<f32> {
    return masked(word, LOW_MASK) * NIBBLE_UNIT;
}

fn high_nibbles(word: u32) -> vec4<f32> {
    return masked(word ^ 0x80000000u, HIGH_MASK) * HIGH_UNIT + TOP;
}
