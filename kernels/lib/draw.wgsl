// e^x for x <= 0, with the same steps on every processor: x = n ln 2 + r, |r| <= ln 2 / 2, ln 2 in two parts; e^r by
// its series to r^7 / 7!. What lies below -87 counts as -87.
fn exponential(x: f32) -> f32 {
    let y = max(x, -87.0);
    let n = round(y * 1.44269504);
    let r = (y - n * 0.693359375) - n * -2.12194440e-4;
    var p = 1.0 / 5040.0;
    p = p * r + 1.0 / 720.0;
    p = p * r + 1.0 / 120.0;
    p = p * r + 1.0 / 24.0;
    p = p * r + 1.0 / 6.0;
    p = p * r + 0.5;
    p = p * r + 1.0;
    p = p * r + 1.0;
    return p * bitcast<f32>(u32(i32(n) + 127) << 23u);
}

// The high word of a 64-bit product; the low word is a * b.
fn high_word(a: u32, b: u32) -> u32 {
    let low = (a & 0xffffu) * (b & 0xffffu);
    let middle = (a >> 16u) * (b & 0xffffu) + (low >> 16u);
    let other = (a & 0xffffu) * (b >> 16u) + (middle & 0xffffu);
    return (a >> 16u) * (b >> 16u) + (middle >> 16u) + (other >> 16u);
}

// A number in [0, 1), a multiple of 2^-24: the first word of Philox4x32-10 (Salmon et al., SC 2011, section 4.3).
fn uniform_draw(seed: vec2<u32>, counter: u32) -> f32 {
    var c = vec4<u32>(counter, 0u, 0u, 0u);
    var key = seed;
    for (var i = 0u; i < 10u; i++) {
        c = vec4<u32>(
            high_word(0xcd9e8d57u, c.z) ^ c.y ^ key.x,
            0xcd9e8d57u * c.z,
            high_word(0xd2511f53u, c.x) ^ c.w ^ key.y,
            0xd2511f53u * c.x,
        );
        key += vec2<u32>(0x9e3779b9u, 0xbb67ae85u);
    }
    return f32(c.x >> 8u) * 0x1p-24;
}
