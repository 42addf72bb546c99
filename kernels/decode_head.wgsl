// logits = W x for one to four tokens, with the last norms computed on the way in, and the maximum of each workgroup's
// rows, a slice, for `sample` and `best`: no number where a logit of the slice is not finite.
//   weights (N, K) any format: rows OFFSET.. of V; residual, pending, pending_norm, norm as in decode/add_norm.wgsl;
//   y (T, STRIDE = V) f32 and maxima (T, SLICES) f32, as bits.
// Grid: workgroups of SLICE rows. The maxima mean something if OFFSET is a multiple of SLICE in every piece.
// #include "step.wgsl"
// #include "weights/{format}.wgsl"
// #include "decode/tokens/{tokens}.wgsl"
// #include "decode/add_norm.wgsl"
// #include "decode/sweeps/{sweep}.wgsl"
// #include "order.wgsl"
@group(0) @binding(6) var<storage, read_write> maxima: array<u32>;
@group(0) @binding(7) var<storage, read_write> y: array<u32>;
override OFFSET: u32;
override STRIDE: u32;
override SLICE: u32;
override SLICES: u32 = (STRIDE + SLICE - 1u) / SLICE;

var<workgroup> peaks: array<atomic<u32>, TOKENS>;  // as keys

fn keep(i: u32, value: vec4<f32>) {
}

fn store(row: u32, sums: PerToken) {
    if (row < N) {
        for (var t = 0u; t < TOKENS; t++) {
            if (t < step.count) {
                y[t * STRIDE + OFFSET + row] = bitcast<u32>(component(sums, t));
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
    sweep(group.x, thread);
    storageBarrier();
    // From memory and not from registers: of a float in a register a compiler may take it for granted that it is finite.
    let begin = group.x * SLICE;
    let tokens = min(TOKENS, step.count);
    for (var t = 0u; t < tokens; t++) {
        var highest = 0u;
        for (var row = begin + thread; row < min(begin + SLICE, N); row += THREADS) {
            highest = max(highest, key_of(y[t * STRIDE + OFFSET + row]));
        }
        atomicMax(&peaks[t], highest);
    }
    workgroupBarrier();
    let slice = OFFSET / SLICE + group.x;
    if (thread < tokens && slice < SLICES) {
        maxima[thread * SLICES + slice] = bits_of(atomicLoad(&peaks[thread]));
    }
}
