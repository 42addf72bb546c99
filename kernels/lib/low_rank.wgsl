// What adapters add to a matrix's rows: B u, where u = A x was computed before (LoRA, Hu et al. 2021, arXiv:2106.09685).
//   low (T, WIDTH) f32: u, RANK values for each of the matrices that are stacked; b (N, RANK) f16, two to a word, by rows
//   of the whole matrix. Rows from BEGIN_1 on are the second matrix's, those from BEGIN_2 on the third's.
@group(0) @binding(9) var<storage, read> low: array<vec4<f32>>;
@group(0) @binding(10) var<storage, read> b: array<vec4<u32>>;
override RANK: u32;  // a multiple of 8
override WIDTH: u32;
override BEGIN_1: u32 = 0xffffffffu;
override BEGIN_2: u32 = 0xffffffffu;

// Eight neighbouring values of a row of b.
struct Eight {
    low: vec4<f32>,
    high: vec4<f32>,
}

fn eight_of(row: u32, i: u32) -> Eight {
    let words = b[row * (RANK / 8u) + i];
    return Eight(
        vec4<f32>(unpack2x16float(words.x), unpack2x16float(words.y)),
        vec4<f32>(unpack2x16float(words.z), unpack2x16float(words.w)));
}

// Where a token's values for a row are in `low`.
fn low_at(token: u32, row: u32) -> u32 {
    let stacked = u32(row >= BEGIN_1) + u32(row >= BEGIN_2);
    return (token * WIDTH + stacked * RANK) / 4u;
}
