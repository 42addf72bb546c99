// The sweep's activations in workgroup memory: PART columns of all tokens at a time, by default the whole row.
override PART: u32 = K;  // a multiple of 32
override PARTS: u32 = (K + PART - 1u) / PART;
override STAGED: u32 = PART / 4u * TOKENS;
const QUAD: u32 = 4;
var<workgroup> staged: array<vec4<f32>, STAGED>;

fn x_of(t: u32, i: u32) -> vec4<f32> {
    return staged[i * TOKENS + t];
}

fn stage_one(t: u32, i: u32, value: vec4<f32>) {
    staged[i * TOKENS + t] = value;
}

// Groups of four columns in a part; the last one may be shorter.
fn quads_of(part: u32) -> u32 {
    return min(PART, K - part * PART) / QUAD;
}
