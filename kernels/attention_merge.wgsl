// y[t, h] = the sums of attention over all splits of the keys, normalised.
//   partials (T, SPLITS, H, E) f32; stats (T, SPLITS, H): the maximum score of a split and the sum of
//   exp(score - maximum), which is 0 without keys; y (T, H, E) f32. Grid: x over four dimensions of all heads, y over
//   tokens.
// #include "step.wgsl"
@group(0) @binding(0) var<storage, read> partials: array<vec4<f32>>;
@group(0) @binding(1) var<storage, read> stats: array<vec2<f32>>;
@group(0) @binding(2) var<storage, read_write> y: array<vec4<f32>>;
override H: u32;
override E: u32;
override SPLITS: u32;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let t = id.y;
    if (id.x >= H * (E / 4u) || t >= step.count) {
        return;
    }
    let head = t * SPLITS * H + id.x / (E / 4u);
    var peak = stats[head].x;
    for (var split = 1u; split < SPLITS; split++) {
        peak = max(peak, stats[split * H + head].x);
    }
    let at = t * SPLITS * H * (E / 4u) + id.x;
    var total = 0.0;
    var sum = vec4<f32>();
    for (var split = 0u; split < SPLITS; split++) {
        let part = stats[split * H + head];
        let share = exp(part.x - peak);
        total += share * part.y;
        sum += share * partials[split * H * (E / 4u) + at];
    }
    y[t * H * (E / 4u) + id.x] = sum / total;
}
