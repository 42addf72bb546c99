// y[t] = the index of the highest logit of token t; of equal ones the lowest index. Logits that are no numbers give
// 0xffffffff.
//   x (T, V) f32; y (T) u32. Grid: x over tokens.
// #include "step.wgsl"
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
override V: u32;

const NO_NUMBER: u32 = 0xffffffffu;
var<workgroup> values: array<f32, 64>;
var<workgroup> places: array<u32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let t = group.x;
    if (t >= step.count) {
        return;
    }
    var place = min(thread, V - 1u);
    var highest = x[t * V + place];
    for (var i = thread + 64u; i < V; i += 64u) {
        let value = x[t * V + i];
        if (value > highest) {
            highest = value;
            place = i;
        }
    }
    values[thread] = highest;
    places[thread] = place;
    workgroupBarrier();
    if (thread == 0u) {
        for (var i = 1u; i < 64u; i++) {
            if (values[i] > highest || (values[i] == highest && places[i] < place)) {
                highest = values[i];
                place = places[i];
            }
        }
        y[t] = select(place, NO_NUMBER, (bitcast<u32>(highest) & 0x7f800000u) == 0x7f800000u);
    }
}
