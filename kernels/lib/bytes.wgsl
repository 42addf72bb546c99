// Four values from the bytes of a word without a shift: masked in place, converted, and scaled by a power of
// two. Shifts are slow on some devices, and the mask costs nothing more on the others. Conversion from i32 is
// used because u32 to f32 is slow on CPUs; the sign of the top byte then comes for free.
const BYTE_MASK: vec4<u32> = vec4<u32>(0xffu, 0xff00u, 0xff0000u, 0xff000000u);
const BYTE_UNIT: vec4<f32> = vec4<f32>(1.0, 0x1p-8, 0x1p-16, 0x1p-24);

fn masked(word: u32, mask: vec4<u32>) -> vec4<f32> {
    return vec4<f32>(bitcast<vec4<i32>>(vec4<u32>(word) & mask));
}

// int8: bytes 0..2 are made unsigned by flipping their sign bits (value + 128), byte 3 is signed as it stands.
fn signed_bytes(word: u32, scale: f32) -> vec4<f32> {
    return masked(word ^ 0x00808080u, BYTE_MASK) * (BYTE_UNIT * scale) - vec4<f32>(128.0, 128.0, 128.0, 0.0) * scale;
}
