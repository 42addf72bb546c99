// The lane sweep, a row's four lanes added up by shuffles: two steps within any subgroup of 4 or more, and no barrier
// where columns are not split.
enable subgroups;
// #include "decode/lanes.wgsl"
const APART: u32 = 1;  // sums of a row's four lanes that meet in workgroup memory

fn over_lanes(value: PerToken) -> PerToken {
    let pair = value + subgroupShuffleXor(value, 1u);
    return pair + subgroupShuffleXor(pair, 2u);
}
