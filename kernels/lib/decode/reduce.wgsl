// Sums over a workgroup in two levels of about sqrt(THREADS): two barriers each. Every thread gets the
// result. Call from uniform control flow.
override THREADS: u32 = 64;
const LEVEL: u32 = 16;  // THREADS is a multiple
var<workgroup> level1: array<PerToken, THREADS>;
var<workgroup> level2: array<PerToken, LEVEL>;

fn sum_all(value: PerToken, thread: u32) -> PerToken {
    level1[thread] = value;
    workgroupBarrier();
    if (thread < LEVEL) {
        var sum = level1[thread];
        for (var i = 1u; i < THREADS / LEVEL; i++) {
            sum += level1[thread + i * LEVEL];
        }
        level2[thread] = sum;
    }
    workgroupBarrier();
    var total = level2[0];
    for (var i = 1u; i < LEVEL; i++) {
        total += level2[i];
    }
    return total;
}
