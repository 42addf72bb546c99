// How fast memory can be read: COUNT pieces of 16 bytes once each, neighbouring threads next to each other.
//   x (COUNT) 16-byte pieces; y (1) u32. Grid: 1-D, THREADS threads; COUNT is a multiple of 4 * THREADS.
// Four loads are in flight at a time. The store never happens on random data, but no compiler knows that.
@group(0) @binding(0) var<storage, read> x: array<vec4<u32>>;
@group(0) @binding(1) var<storage, read_write> y: array<u32>;
override COUNT: u32;
override THREADS: u32;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    var sum = vec4<u32>();
    for (var i = id.x; i < COUNT; i += 4u * THREADS) {
        sum ^= (x[i] ^ x[i + THREADS]) + (x[i + 2u * THREADS] ^ x[i + 3u * THREADS]);
    }
    if (all(sum == vec4(0x9e3779b9u, 0x7f4a7c15u, 0xf39cc060u, 0x5cedc834u))) {
        y[0] = id.x;
    }
}
