// y[t] = x[t, target[t]] - log(sum(exp(x[t]))): the log-probability of a given next token.
//   x (T, V) f32 logits; targets (T) u32; y (T) f32.
// Grid: one workgroup for each token.
// #include "step.wgsl"
// #include "reduce.wgsl"
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read> targets: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<f32>;
override V: u32;

var<workgroup> peaks: array<f32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let t = group.x;
    if (t >= step.count) {
        return;
    }
    var peak = x[t * V + min(thread, V - 1u)];
    for (var i = thread; i < V; i += WORKGROUP) {
        peak = max(peak, x[t * V + i]);
    }
    peaks[thread] = peak;
    workgroupBarrier();
    for (var i = 0u; i < WORKGROUP; i++) {
        peak = max(peak, peaks[i]);
    }
    var sum = 0.0;
    for (var i = thread; i < V; i += WORKGROUP) {
        sum += exp(x[t * V + i] - peak);
    }
    let total = workgroup_sum(sum, thread);
    if (thread == 0u) {
        y[t] = x[t * V + targets[t]] - peak - log(total);
    }
}
