// The sweep's activations in workgroup memory: PART columns of all tokens at a time, by default the whole row.
// After every eight groups of four columns one place stays empty: lanes that read neighbouring blocks of 32 columns
// at the same time then meet in different banks.
override PART: u32 = K;  // a multiple of 32, and of 128 where there are several
override PARTS: u32 = (K + PART - 1u) / PART;
override STAGE_ROUNDS: u32 = (PART / 4u + THREADS - 1u) / THREADS;  // of groups of four columns, one for each thread
override STAGED: u32 = (PART + 127u) / 128u * 36u * TOKENS;
var<workgroup> staged: array<vec4<Element>, STAGED>;

fn quad_of(t: u32, i: u32) -> vec4<Element> {
    return staged[(i + i / 8u) * TOKENS + t];
}

fn put(t: u32, i: u32, value: vec4<Element>) {
    staged[(i + i / 8u) * TOKENS + t] = value;
}

// Groups of four columns in a part; the last one may be shorter.
fn quads_of(part: u32) -> u32 {
    return min(PART, K - part * PART) / 4u;
}
