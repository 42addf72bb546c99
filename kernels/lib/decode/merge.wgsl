// The input of a sweep: attention's output, merged from the splits of the cache by every workgroup for itself.
//   x[h] = sum_s exp(max_s - max) partial[s, h] / sum_s exp(max_s - max) total_s, a split without keys left out: its
//   partial is zero, and read nevertheless, so that no load waits behind a branch for the one before.
// #include "decode/staged.wgsl"
@group(0) @binding(2) var<storage, read> partials: array<vec4<f32>>;  // (T, SPLITS, H, E), unnormalised
@group(0) @binding(3) var<storage, read> stats: array<vec2<f32>>;     // (T, SPLITS, H): maximum, sum of weights
override THREADS: u32 = 64;
override H: u32;
override SPLITS: u32;
override SHARES: u32 = TOKENS * SPLITS * H;
override SHARE_ROUNDS: u32 = (SHARES + THREADS - 1u) / THREADS;
override MERGE_ROUNDS: u32 = (min(PART, K) / 4u + THREADS - 1u) / THREADS;
const LOWEST: f32 = -3.0e38;
var<workgroup> shares: array<f32, SHARES>;  // the factor of each partial; 0, as memory begins, without keys

fn prepare(group: u32, thread: u32) {
    for (var r = 0u; r < SHARE_ROUNDS; r++) {
        let i = r * THREADS + thread;
        if (i < SHARES) {
            let first = i / (SPLITS * H) * (SPLITS * H) + i % H;  // of this token and head
            var highest = LOWEST;
            for (var s = 0u; s < SPLITS; s++) {
                let stat = stats[first + s * H];
                highest = max(highest, select(LOWEST, stat.x, stat.y > 0.0));
            }
            var total = 0.0;
            for (var s = 0u; s < SPLITS; s++) {
                let stat = stats[first + s * H];
                total += select(0.0, exp(stat.x - highest) * stat.y, stat.y > 0.0);
            }
            if (stats[i].y > 0.0) {
                shares[i] = exp(stats[i].x - highest) / total;
            }
        }
    }
    workgroupBarrier();
}

fn stage(part: u32, thread: u32) {
    if (part > 0u) {
        workgroupBarrier();  // the part before has been read
    }
    let quads = K / H / 4u;  // of a head
    for (var r = 0u; r < MERGE_ROUNDS; r++) {
        let i = r * THREADS + thread;
        if (i < quads_of(part)) {
            let from_here = part * (PART / 4u) + i;
            for (var t = 0u; t < TOKENS; t++) {
                var value = vec4<f32>();
                for (var s = 0u; s < SPLITS; s++) {
                    let split = t * SPLITS + s;
                    value += shares[split * H + from_here / quads] * partials[split * (K / 4u) + from_here];
                }
                put(t, i, arranged(value));
            }
        }
    }
    workgroupBarrier();
    settle(part, thread);
}
