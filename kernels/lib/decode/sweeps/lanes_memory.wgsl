// The lane sweep where lanes see each other's sums in workgroup memory only.
// #include "decode/lanes.wgsl"
const APART: u32 = 4;  // sums of a row's four lanes that meet in workgroup memory

fn over_lanes(value: PerToken) -> PerToken {
    return value;
}
