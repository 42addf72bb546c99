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
    for (var j = 0u; j < STAGE_ROUNDS; j++) {
        let i = thread + j * THREADS;
        let from_here = min(part * (PART / 4u) + i, K / 4u - 1u);  // no branch, so that loads of several rounds overlap
        for (var t = 0u; t < TOKENS; t++) {
            let value = x[t * (K / 4u) + from_here];
            if (i < quads_of(part)) {
                put(t, i, arranged(value));
            }
        }
    }
    workgroupBarrier();
    settle(part, thread);
}
