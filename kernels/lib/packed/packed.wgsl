// A row's block of 32 columns as bytes, four to a word, and what they mean:
// value = code * scale - minimum, with a scale for each half of the block.
struct Packed {
    low: vec4<u32>,   // columns 0..15
    high: vec4<u32>,  // columns 16..31
    scales: vec2<f32>,
    minimum: f32,
}
