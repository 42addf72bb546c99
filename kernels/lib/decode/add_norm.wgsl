// The input of a sweep, computed by every workgroup for itself:
//   sum = residual + rms_norm(pending) * pending_norm, where `pending` is the output of the sublayer before,
//   x = rms_norm(sum) * norm.
// The kernel says in `keep` what becomes of the sum, which all workgroups compute and one must write.
// #include "decode/staged.wgsl"
// #include "decode/reduce.wgsl"
@group(0) @binding(2) var<storage, read> residual: array<vec4<f32>>;      // (T, K)
@group(0) @binding(3) var<storage, read> pending: array<vec4<f32>>;       // (T, K)
@group(0) @binding(4) var<storage, read> pending_norm: array<vec4<f32>>;  // (K)
@group(0) @binding(5) var<storage, read> norm: array<vec4<f32>>;          // (K)
override EPS: f32;

var<private> pending_factor: PerToken;
var<private> factor: PerToken;

fn sum_of(t: u32, i: u32) -> vec4<f32> {
    let at = t * (K / 4u) + i;
    return residual[at] + pending[at] * component(pending_factor, t) * pending_norm[i];
}

fn prepare(group: u32, thread: u32) {
    var values: Values;
    var sum = PerToken();
    for (var i = thread; i < K / 4u; i += THREADS) {
        for (var t = 0u; t < TOKENS; t++) {
            values[t] = pending[t * (K / 4u) + i];
        }
        sum += squares(values);
    }
    pending_factor = inverseSqrt(sum_all(sum, thread) / f32(K) + EPS);
    sum = PerToken();
    for (var i = thread; i < K / 4u; i += THREADS) {
        for (var t = 0u; t < TOKENS; t++) {
            values[t] = sum_of(t, i);
            if (group == 0u && t < step.count) {
                keep(t * (K / 4u) + i, values[t]);
            }
            if (PARTS == 1u && HOLDS_SUM) {
                put(t, i, arranged(values[t]));
            }
        }
        sum += squares(values);
    }
    factor = inverseSqrt(sum_all(sum, thread) / f32(K) + EPS);
}

fn stage(part: u32, thread: u32) {
    if (part > 0u) {
        workgroupBarrier();  // the part before has been read
    }
    for (var i = thread; i < quads_of(part); i += THREADS) {
        let from_here = part * (PART / 4u) + i;
        for (var t = 0u; t < TOKENS; t++) {
            var value: vec4<f32>;
            if (PARTS == 1u && HOLDS_SUM) {
                value = restored(quad_of(t, i));  // this thread's own, from `prepare`
            } else {
                value = sum_of(t, from_here);
            }
            put(t, i, arranged(value * component(factor, t) * norm[from_here]));
        }
    }
    workgroupBarrier();
    settle(part, thread);
}
