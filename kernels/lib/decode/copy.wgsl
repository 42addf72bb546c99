// The input of a sweep: x as it is, staged, where the sweep reads it in another form than memory has it.
// #include "decode/staged.wgsl"
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;  // (T, K)
override THREADS: u32 = 64;

fn prepare(group: u32, thread: u32) {
}

fn stage(part: u32, thread: u32) {
    if (part > 0u) {
        workgroupBarrier();  // the part before has been read
    }
    for (var i = thread; i < quads_of(part); i += THREADS) {
        for (var t = 0u; t < TOKENS; t++) {
            put(t, i, arranged(x[t * (K / 4u) + part * (PART / 4u) + i]));
        }
    }
    workgroupBarrier();
    settle(part, thread);
}
