// y[t] = x[t, target[t]] - log(sum(exp(x[t]))): the log-probability of a given next token. Where a logit is not
// finite, y[t] is no number.
//   x (T, V) f32 logits, as bits; targets (T) u32; y (T) f32, as bits.
// Grid: one workgroup for each token.
// #include "step.wgsl"
// #include "reduce.wgsl"
// #include "order.wgsl"
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
override V: u32;

var<workgroup> peaks: array<u32, WORKGROUP>;  // as keys

fn logit(i: u32) -> f32 {
    return bitcast<f32>(x[i]);
}

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let t = group.x;
    if (t >= step.count) {
        return;
    }
    var highest = 0u;
    for (var i = thread; i < V; i += WORKGROUP) {
        highest = max(highest, key_of(x[t * V + i]));
    }
    peaks[thread] = highest;
    workgroupBarrier();
    for (var i = 0u; i < WORKGROUP; i++) {
        highest = max(highest, peaks[i]);
    }
    let peak = bitcast<f32>(bits_of(highest));
    var sum = 0.0;
    for (var i = thread; i < V; i += WORKGROUP) {
        sum += exp(logit(t * V + i) - peak);
    }
    let total = workgroup_sum(sum, thread);
    if (thread == 0u) {
        let value = logit(t * V + targets[t]) - peak - log(total);
        y[t] = select(bitcast<u32>(value), NOT_A_NUMBER, highest == EVERY);
    }
}
