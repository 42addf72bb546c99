// y[s] = max of x[s*SLICE .. (s+1)*SLICE): the first level of top_k.
//   x (V) f32; y (ceil(V / SLICE)) f32. Grid: one thread for each slice.
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
override V: u32;
override SLICE: u32;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let begin = id.x * SLICE;
    if (begin >= V) {
        return;
    }
    var highest = x[begin];
    for (var i = begin + 1u; i < min(begin + SLICE, V); i++) {
        highest = max(highest, x[i]);
    }
    y[id.x] = highest;
}
