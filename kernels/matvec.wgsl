// y = W x for one token: the decode form of matmul.
//   weights (N, K) any format; x (K) f32; y f32, written at OFFSET .. OFFSET+N-1.
// Grid: x over groups of 4 rows, one thread each. No thread waits for another, so there is no barrier: on a
// software adapter barriers cost more than the arithmetic. Four rows share each load of x.
// #include "weights/{format}.wgsl"
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
override N: u32;
override OFFSET: u32;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = 4u * id.x;
    if (row >= N) {
        return;
    }
    var sum0 = 0.0;
    var sum1 = 0.0;
    var sum2 = 0.0;
    var sum3 = 0.0;
    for (var block = 0u; block < K / 32u; block++) {
        let scale0 = scale_of(row, block);
        let scale1 = scale_of(row + 1u, block);
        let scale2 = scale_of(row + 2u, block);
        let scale3 = scale_of(row + 3u, block);
        for (var w = 0u; w < 4u; w++) {
            let low = x[8u * block + w];
            let high = x[8u * block + 4u + w];
            let pair0 = pair_of(row, block, w, scale0);
            let pair1 = pair_of(row + 1u, block, w, scale1);
            let pair2 = pair_of(row + 2u, block, w, scale2);
            let pair3 = pair_of(row + 3u, block, w, scale3);
            sum0 += dot(pair0.low, low) + dot(pair0.high, high);
            sum1 += dot(pair1.low, low) + dot(pair1.high, high);
            sum2 += dot(pair2.low, low) + dot(pair2.high, high);
            sum3 += dot(pair3.low, low) + dot(pair3.high, high);
        }
    }
    y[OFFSET + row] = sum0;
    if (row + 1u < N) {
        y[OFFSET + row + 1u] = sum1;
    }
    if (row + 2u < N) {
        y[OFFSET + row + 2u] = sum2;
    }
    if (row + 3u < N) {
        y[OFFSET + row + 3u] = sum3;
    }
}
