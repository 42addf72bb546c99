// The input of a sweep: x = rms_norm(residual) * norm, computed by every workgroup for itself.
// #include "decode/staged.wgsl"
// #include "decode/reduce.wgsl"
@group(0) @binding(2) var<storage, read> residual: array<vec4<f32>>;  // (T, K)
@group(0) @binding(5) var<storage, read> norm: array<vec4<f32>>;      // (K)
override EPS: f32;

var<private> factor: PerToken;

fn prepare(group: u32, thread: u32) {
    var sum = PerToken();
    for (var j = 0u; j < (K / 4u + THREADS - 1u) / THREADS; j++) {
        let i = thread + j * THREADS;
        var values: Values;
        for (var t = 0u; t < TOKENS; t++) {
            values[t] = residual[t * (K / 4u) + min(i, K / 4u - 1u)];
        }
        sum += select(PerToken(), squares(values), i < K / 4u);
    }
    factor = inverseSqrt(sum_all(sum, thread) / f32(K) + EPS);
}

fn stage(part: u32, thread: u32) {
    if (part > 0u) {
        workgroupBarrier();  // the part before has been read
    }
    for (var j = 0u; j < STAGE_ROUNDS; j++) {
        let i = thread + j * THREADS;
        if (i < quads_of(part)) {
            let from_here = part * (PART / 4u) + i;
            for (var t = 0u; t < TOKENS; t++) {
                put(t, i, arranged(residual[t * (K / 4u) + from_here] * component(factor, t) * norm[from_here]));
            }
        }
    }
    workgroupBarrier();
    settle(part, thread);
}
