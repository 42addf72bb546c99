// Y = X W^T: rows of W against a chunk of tokens, for prefill.
//   weights (N, K) any format; x (T, K) f32; y f32: token t's row begins at t*STRIDE + OFFSET.
// Grid: x over groups of 8 rows, y over groups of 8 tokens, one thread each.
// #include "register_tile.wgsl"
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;

fn rows_of_x(token: u32, block: u32) -> Columns {
    // Tokens past the count read the last real one: in bounds, and their sums are not stored.
    let last = step.count - 1u;
    let x0 = min(token, last) * (K / 4u) + 8u * block;
    let x1 = min(token + 1u, last) * (K / 4u) + 8u * block;
    let x2 = min(token + 2u, last) * (K / 4u) + 8u * block;
    let x3 = min(token + 3u, last) * (K / 4u) + 8u * block;
    return Columns(
        mat4x4<f32>(x[x0], x[x1], x[x2], x[x3]),
        mat4x4<f32>(x[x0 + 1u], x[x1 + 1u], x[x2 + 1u], x[x3 + 1u]),
        mat4x4<f32>(x[x0 + 2u], x[x1 + 2u], x[x2 + 2u], x[x3 + 2u]),
        mat4x4<f32>(x[x0 + 3u], x[x1 + 3u], x[x2 + 3u], x[x3 + 3u]),
        mat4x4<f32>(x[x0 + 4u], x[x1 + 4u], x[x2 + 4u], x[x3 + 4u]),
        mat4x4<f32>(x[x0 + 5u], x[x1 + 5u], x[x2 + 5u], x[x3 + 5u]),
        mat4x4<f32>(x[x0 + 6u], x[x1 + 6u], x[x2 + 6u], x[x3 + 6u]),
        mat4x4<f32>(x[x0 + 7u], x[x1 + 7u], x[x2 + 7u], x[x3 + 7u]),
    );
}

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let row = 8u * id.x;
    let token = 8u * id.y;
    if (row < N && token < step.count) {
        tile(row, token);
    }
}
