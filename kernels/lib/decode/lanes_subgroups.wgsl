// The lane sweep, a row's four lanes added up by shuffles: two steps within any subgroup of 4 or more, and no barrier
// where columns are not split.
enable subgroups;
// #include "decode/lanes.wgsl"
override ROW_SUMS: u32 = THREADS / 4u;
var<workgroup> row_sums: array<Two, ROW_SUMS>;

fn across(sums: Two, thread: u32) -> Two {
    var total = sums;
    total.first += subgroupShuffleXor(total.first, 1u);
    total.first += subgroupShuffleXor(total.first, 2u);
    total.second += subgroupShuffleXor(total.second, 1u);
    total.second += subgroupShuffleXor(total.second, 2u);
    if (SPLIT > 1u) {
        if (thread % 4u == 0u) {
            row_sums[thread / 4u] = total;
        }
        workgroupBarrier();
        if (thread % 4u == 0u && thread / LANES % SPLIT == 0u) {
            for (var s = 1u; s < SPLIT; s++) {
                let other = row_sums[(thread + s * LANES) / 4u];
                total.first += other.first;
                total.second += other.second;
            }
        }
        if (TURNS > 1u) {
            workgroupBarrier();  // before the next turn overwrites them
        }
    }
    return total;
}
