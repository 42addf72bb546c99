// Sum over a workgroup of 64 threads, in two levels of 8: few barriers, and loops a compiler unrolls. Every thread gets
// the total. Call from uniform control flow.
const WORKGROUP: u32 = 64;
const LEVEL: u32 = 8;
var<workgroup> partial: array<f32, WORKGROUP>;

fn workgroup_sum(value: f32, thread: u32) -> f32 {
    partial[thread] = value;
    workgroupBarrier();
    if (thread < LEVEL) {
        var sum = partial[thread];
        for (var i = 1u; i < WORKGROUP / LEVEL; i++) {
            sum += partial[LEVEL * i + thread];
        }
        partial[thread] = sum;
    }
    workgroupBarrier();
    var total = partial[0];
    for (var i = 1u; i < LEVEL; i++) {
        total += partial[i];
    }
    workgroupBarrier();  // so that the next call may overwrite them
    return total;
}
