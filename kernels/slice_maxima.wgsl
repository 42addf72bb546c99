// y[s] = max of x[s*SLICE .. (s+1)*SLICE): what `sample` looks at first. A slice with a value that is not finite has a
// maximum that is no number.
//   x (V) f32, as bits; y (ceil(V / SLICE)) f32, as bits. Grid: one thread for each slice.
// #include "order.wgsl"
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
override V: u32;
override SLICE: u32;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let begin = id.x * SLICE;
    if (begin >= V) {
        return;
    }
    var highest = 0u;
    for (var i = begin; i < min(begin + SLICE, V); i++) {
        highest = max(highest, key_of(x[i]));
    }
    y[id.x] = bits_of(highest);
}
