// #variant-of "matmul"
// Y = X W^T in registers, as in matmul, with x shared by the four threads of a quad: they own the same tokens and
// other rows, each fetches every fourth value of x, and the others have it from there. For adapters whose loads are
// slow beside their arithmetic: SwiftShader fetches a vector of addresses one by one, but broadcasts in a step.
// Grid: x over groups of 8 rows, y over groups of 8 tokens, one thread each.
// #include "register_tile.wgsl"
enable subgroups;
@group(0) @binding(2) var<storage, read> x: array<f32>;

var<private> column: u32;  // of four: the one this thread fetches

fn shared_columns(x0: u32, x1: u32, x2: u32, x3: u32) -> mat4x4<f32> {
    return mat4x4<f32>(of_quad(x[x0]), of_quad(x[x1]), of_quad(x[x2]), of_quad(x[x3]));
}

fn of_quad(mine: f32) -> vec4<f32> {
    return vec4<f32>(quadBroadcast(mine, 0u), quadBroadcast(mine, 1u), quadBroadcast(mine, 2u), quadBroadcast(mine, 3u));
}

fn rows_of_x(token: u32, block: u32) -> Columns {
    let last = step.count - 1u;
    let x0 = min(token, last) * K + 32u * block + column;
    let x1 = min(token + 1u, last) * K + 32u * block + column;
    let x2 = min(token + 2u, last) * K + 32u * block + column;
    let x3 = min(token + 3u, last) * K + 32u * block + column;
    return Columns(
        shared_columns(x0, x1, x2, x3),
        shared_columns(x0 + 4u, x1 + 4u, x2 + 4u, x3 + 4u),
        shared_columns(x0 + 8u, x1 + 8u, x2 + 8u, x3 + 8u),
        shared_columns(x0 + 12u, x1 + 12u, x2 + 12u, x3 + 12u),
        shared_columns(x0 + 16u, x1 + 16u, x2 + 16u, x3 + 16u),
        shared_columns(x0 + 20u, x1 + 20u, x2 + 20u, x3 + 20u),
        shared_columns(x0 + 24u, x1 + 24u, x2 + 24u, x3 + 24u),
        shared_columns(x0 + 28u, x1 + 28u, x2 + 28u, x3 + 28u),
    );
}

@compute @workgroup_size(64)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(global_invocation_id) id: vec3<u32>,
    @builtin(subgroup_invocation_id) lane: u32,
) {
    let token = 8u * group.y;
    if (token < step.count) {
        column = lane & 3u;
        // A thread without rows of its own repeats the last ones: its quad needs it.
        tile(min(8u * id.x, (N - 1u) & ~7u), token);
    }
}
