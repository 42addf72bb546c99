// The input of a sweep, computed by every workgroup for itself:
//   sum = residual + rms_norm(pending) * pending_norm, where `pending` is the output of the sublayer before,
//   x = rms_norm(sum) * norm.
// The kernel says in `keep` what becomes of the sum, which all workgroups compute and one must write.
// A thread asks for all it needs at once and holds it in registers, where these are not too many: all workgroups begin
// at the same time, so that on a GPU nothing else would hide a load after each barrier.
// #include "decode/staged.wgsl"
// #include "decode/reduce.wgsl"
@group(0) @binding(2) var<storage, read> residual: array<vec4<f32>>;      // (T, K)
@group(0) @binding(3) var<storage, read> pending: array<vec4<f32>>;       // (T, K)
@group(0) @binding(4) var<storage, read> pending_norm: array<vec4<f32>>;  // (K)
@group(0) @binding(5) var<storage, read> norm: array<vec4<f32>>;          // (K)
override EPS: f32;
override QUADS: u32 = K / 4u;                                 // groups of four columns
override THREAD_QUADS: u32 = (QUADS + THREADS - 1u) / THREADS;  // of each thread, at most
override HOLDS: bool = PARTS == 1u && THREAD_QUADS <= MOST_HELD;

// Four columns of what x is made of.
struct Sources {
    residual: Values,
    pending: Values,
    pending_norm: vec4<f32>,
    norm: vec4<f32>,
}

var<private> held: array<Sources, MOST_HELD>;
var<private> pending_factor: PerToken;
var<private> factor: PerToken;

// Group i of the columns, the thread's j-th.
fn sum_of(t: u32, i: u32, j: u32) -> vec4<f32> {
    let scale = component(pending_factor, t);
    if (HOLDS) {
        return held[j].residual[t] + held[j].pending[t] * scale * held[j].pending_norm;
    }
    return residual[t * QUADS + i] + pending[t * QUADS + i] * scale * pending_norm[i];
}

fn prepare(group: u32, thread: u32) {
    var values: Values;
    var sum = PerToken();
    for (var j = 0u; j < THREAD_QUADS; j++) {
        let i = thread + j * THREADS;
        let at = min(i, QUADS - 1u);  // no branch, so that the loads of all rounds can be under way at once
        for (var t = 0u; t < TOKENS; t++) {
            values[t] = pending[t * QUADS + at];
            if (HOLDS) {
                held[j].pending[t] = values[t];
                held[j].residual[t] = residual[t * QUADS + at];
            }
        }
        if (HOLDS) {
            held[j].pending_norm = pending_norm[at];
            held[j].norm = norm[at];
        }
        sum += select(PerToken(), squares(values), i < QUADS);
    }
    pending_factor = inverseSqrt(sum_all(sum, thread) / f32(K) + EPS);
    sum = PerToken();
    for (var j = 0u; j < THREAD_QUADS; j++) {
        let i = thread + j * THREADS;
        if (i < QUADS) {
            for (var t = 0u; t < TOKENS; t++) {
                values[t] = sum_of(t, i, j);
                if (group == 0u && t < step.count) {
                    keep(t * QUADS + i, values[t]);
                }
                if (PARTS == 1u && HOLDS_SUM) {
                    put(t, i, arranged(values[t]));
                }
            }
            sum += squares(values);
        }
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
            var scale: vec4<f32>;
            if (HOLDS) {
                scale = held[j].norm;
            } else {
                scale = norm[from_here];
            }
            for (var t = 0u; t < TOKENS; t++) {
                var value: vec4<f32>;
                if (PARTS == 1u && HOLDS_SUM) {
                    value = restored(quad_of(t, i));  // this thread's own, from `prepare`
                } else {
                    value = sum_of(t, from_here, j);
                }
                put(t, i, arranged(value * component(factor, t) * scale));
            }
        }
    }
    workgroupBarrier();
    settle(part, thread);
}
