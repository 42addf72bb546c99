// The input of a sweep: attention's output, merged from the splits of the cache by every workgroup for itself.
//   x[h] = sum_s exp(max_s - max) partial[s, h] / sum_s exp(max_s - max) total_s, a split without keys left out: its
//   partial is zero, and read nevertheless, so that no load waits behind a branch for the one before.
// Splits are read in batches, whose loads are asked for together. Only those that the text has reached: fewer early in
// a long context, and no compiler can unroll all of them, for which one took 17 s.
// #include "decode/staged.wgsl"
@group(0) @binding(2) var<storage, read> partials: array<vec4<f32>>;  // (T, SPLITS, H, E), unnormalised
@group(0) @binding(3) var<storage, read> stats: array<vec2<f32>>;     // (T, SPLITS, H): maximum, sum of weights
override THREADS: u32 = 64;
override H: u32;
override SPLITS: u32;
override TILE: u32;  // positions; tile j belongs to split j mod SPLITS
override BATCHES: u32 = (SPLITS + MOST - 1u) / MOST;
override BATCH: u32 = (SPLITS + BATCHES - 1u) / BATCHES;  // the last may lack some: it repeats the last split, unused
override SHARES: u32 = TOKENS * SPLITS * H;
override SHARE_ROUNDS: u32 = (SHARES + THREADS - 1u) / THREADS;
override MERGE_ROUNDS: u32 = (min(PART, K) / 4u + THREADS - 1u) / THREADS;
const MOST: u32 = 8;  // splits in a batch
const LOWEST: f32 = -3.0e38;
var<workgroup> shares: array<f32, SHARES>;  // the factor of each partial; 0, as memory begins, without keys

// Splits that can have keys: those behind have none.
fn reached() -> u32 {
    return min(SPLITS, (step.position + step.count - 1u) / TILE + 1u);
}

fn prepare(group: u32, thread: u32) {
    for (var r = 0u; r < SHARE_ROUNDS; r++) {
        let i = r * THREADS + thread;
        if (i < SHARES) {
            let first = i / (SPLITS * H) * (SPLITS * H) + i % H;  // of this token and head
            var highest = LOWEST;
            var total = 0.0;
            for (var s = 0u; s < reached(); s += BATCH) {
                var some: array<vec2<f32>, MOST>;
                for (var j = 0u; j < BATCH; j++) {
                    let stat = stats[first + min(s + j, SPLITS - 1u) * H];
                    some[j] = select(vec2<f32>(LOWEST, 0.0), stat, s + j < SPLITS && stat.y > 0.0);
                }
                var peak = highest;
                for (var j = 0u; j < BATCH; j++) {
                    peak = max(peak, some[j].x);
                }
                total *= exp(highest - peak);
                for (var j = 0u; j < BATCH; j++) {
                    total += exp(some[j].x - peak) * some[j].y;
                }
                highest = peak;
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
                for (var s = 0u; s < reached(); s += BATCH) {
                    for (var j = 0u; j < BATCH; j++) {
                        let split = t * SPLITS + min(s + j, SPLITS - 1u);
                        let share = select(0.0, shares[split * H + from_here / quads], s + j < SPLITS);
                        value += share * partials[split * (K / 4u) + from_here];
                    }
                }
                put(t, i, arranged(value));
            }
        }
    }
    workgroupBarrier();
    settle(part, thread);
}
