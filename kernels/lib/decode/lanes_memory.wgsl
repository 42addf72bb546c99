// The lane sweep, its sums added up in workgroup memory.
// #include "decode/lanes.wgsl"
var<workgroup> lane_sums: array<Two, THREADS>;

// The sums of a row's four lanes in all groups that share it, for the first of these lanes.
fn across(sums: Two, thread: u32) -> Two {
    lane_sums[thread] = sums;
    workgroupBarrier();
    var total = Two();
    if (thread % 4u == 0u && thread / LANES % SPLIT == 0u) {
        for (var s = 0u; s < SPLIT; s++) {
            for (var lane = 0u; lane < 4u; lane++) {
                let other = lane_sums[thread + s * LANES + lane];
                total.first += other.first;
                total.second += other.second;
            }
        }
    }
    if (TURNS > 1u) {
        workgroupBarrier();  // before the next turn overwrites them
    }
    return total;
}
