// logits = W x for one to four tokens, with the last norms computed on the way in, and the maximum of each workgroup's
// rows for top_k.
//   weights (N, K) any format: rows OFFSET.. of V; residual, pending, pending_norm, norm as in decode/add_norm.wgsl;
//   y (T, STRIDE = V) f32; maxima (T, SLICES) f32.
// Grid: workgroups of SLICE rows. The maxima mean something if OFFSET is a multiple of SLICE in every piece.
// #include "step.wgsl"
// #include "weights/{format}.wgsl"
// #include "decode/tokens/{tokens}.wgsl"
// #include "decode/add_norm.wgsl"
// #include "decode/{sweep}.wgsl"
@group(0) @binding(6) var<storage, read_write> maxima: array<f32>;
@group(0) @binding(7) var<storage, read_write> y: array<f32>;
override OFFSET: u32;
override STRIDE: u32;
override SLICE: u32;
override SLICES: u32 = (STRIDE + SLICE - 1u) / SLICE;

const LOWEST: f32 = -3.4028234e38;
var<private> highest: PerToken;

fn keep(i: u32, value: vec4<f32>) {
}

fn store(row: u32, sums: PerToken) {
    if (row < N) {
        highest = max(highest, sums);
        for (var t = 0u; t < TOKENS; t++) {
            if (t < step.count) {
                y[t * STRIDE + OFFSET + row] = component(sums, t);
            }
        }
    }
}

fn finish(row: u32, sums: PerToken, second: u32, second_sums: PerToken) {
    store(row, sums);
    store(second, second_sums);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    highest = PerToken(LOWEST);
    sweep(group.x, thread);
    let peak = max_all(highest, thread);
    let slice = OFFSET / SLICE + group.x;
    if (thread < min(TOKENS, step.count) && slice < SLICES) {
        maxima[thread * SLICES + slice] = component(peak, thread);
    }
}
