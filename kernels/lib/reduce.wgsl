// Sum over a workgroup of 64 threads. Every thread gets the total. Call from uniform control flow.
const WORKGROUP: u32 = 64;
var<workgroup> partial: array<f32, WORKGROUP>;

fn workgroup_sum(value: f32, thread: u32) -> f32 {
    partial[thread] = value;
    workgroupBarrier();
    for (var stride = WORKGROUP / 2u; stride > 0u; stride /= 2u) {
        if (thread < stride) {
            partial[thread] += partial[thread + stride];
        }
        workgroupBarrier();
    }
    let total = partial[0];
    workgroupBarrier();  // so that the next call may overwrite partial[0]
    return total;
}
