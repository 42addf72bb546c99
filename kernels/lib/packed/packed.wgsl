// A row's block of 32 columns as bytes, four to a word, and what they mean: value = code * scale - minimum.
// A format (beside) says how it is stored, Bytes and bytes_of(row, block), and what that means, packed(bytes, scale).
struct Packed {
    low: vec4<u32>,     // columns 0..15
    high: vec4<u32>,    // columns 16..31
    scales: vec3<f32>,  // of each half, and the minimum
}
