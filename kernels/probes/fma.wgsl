// How fast multiply-adds can be: ITERATIONS times 32 of them a thread, as eight independent vectors of four.
//   x (2) f32: a factor below 1 and a summand, not known to the compiler; y (1) f32. Grid: 1-D.
// The values go to a fixed point that is not the one asked for: the store never happens.
// #include "probes/{format}.wgsl"
@group(0) @binding(0) var<storage, read> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> y: array<f32>;
override ITERATIONS: u32;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let factor = Vector(Element(x[0]));
    let summand = Vector(Element(x[1]));
    let start = Element(f32(id.x % 64u) / 64.0);
    var a = Vector(start);
    var b = Vector(start + 1.0);
    var c = Vector(start + 2.0);
    var d = Vector(start + 3.0);
    var e = Vector(start + 4.0);
    var f = Vector(start + 5.0);
    var g = Vector(start + 6.0);
    var h = Vector(start + 7.0);
    for (var i = 0u; i < ITERATIONS; i++) {
        a = fma(a, factor, summand);
        b = fma(b, factor, summand);
        c = fma(c, factor, summand);
        d = fma(d, factor, summand);
        e = fma(e, factor, summand);
        f = fma(f, factor, summand);
        g = fma(g, factor, summand);
        h = fma(h, factor, summand);
    }
    let sum = a + b + c + d + e + f + g + h;
    if (dot(sum, sum) == 1.0) {
        y[0] = 1.0;
    }
}
