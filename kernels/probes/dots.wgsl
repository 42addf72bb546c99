// How fast products of int8 can be summed: ITERATIONS times 32 of them a thread, in eight independent chains.
//   x (2) u32: four factors of 0..127, and a summand, not known to the compiler; y (1) u32.
//   Grid: 1-D, THREADS threads; THREADS is a multiple of 256.
// The store happens for a sum that no factors but zeros lead to.
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
override ITERATIONS: u32;
override THREADS: u32;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    if (id.x >= THREADS) {
        return;
    }
    let factors = x[0];
    let summand = x[1];
    var a = id.x;
    var b = id.x + 1u;
    var c = id.x + 2u;
    var d = id.x + 3u;
    var e = id.x + 4u;
    var f = id.x + 5u;
    var g = id.x + 6u;
    var h = id.x + 7u;
    for (var i = 0u; i < ITERATIONS; i++) {
        a = bitcast<u32>(dot4I8Packed(a, factors)) + summand;
        b = bitcast<u32>(dot4I8Packed(b, factors)) + summand;
        c = bitcast<u32>(dot4I8Packed(c, factors)) + summand;
        d = bitcast<u32>(dot4I8Packed(d, factors)) + summand;
        e = bitcast<u32>(dot4I8Packed(e, factors)) + summand;
        f = bitcast<u32>(dot4I8Packed(f, factors)) + summand;
        g = bitcast<u32>(dot4I8Packed(g, factors)) + summand;
        h = bitcast<u32>(dot4I8Packed(h, factors)) + summand;
    }
    if (a + b + c + d + e + f + g + h == 0x9e3779b8u) {
        y[0] = 1u;
    }
}
