// y[t] = SCALE * W[token[t]]: the rows of the embedding table, dequantised.
//   weights (rows FIRST .. FIRST+ROWS-1 of V, K) any format; tokens (T) u32; y (T, K) f32.
// Grid: x over the blocks of 32 columns, y over tokens. A table cut into shards is embedded by one dispatch for
// each shard: a token whose row lies elsewhere is left to the other dispatch.
// #include "step.wgsl"
// #include "weights/{format}.wgsl"
@group(0) @binding(2) var<storage, read> tokens: array<u32>;
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;
override FIRST: u32;
override ROWS: u32;
override SCALE: f32;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>) {
    let block = id.x;
    let t = id.y;
    if (block >= K / 32u || t >= step.count) {
        return;
    }
    let token = tokens[t];
    if (token < FIRST || token >= FIRST + ROWS) {
        return;
    }
    let row = token - FIRST;
    let scale = scale_of(row, block);
    let out = (t * K) / 4u + 8u * block;
    for (var w = 0u; w < 4u; w++) {
        let values = pair_of(row, block, w, scale);
        y[out + w] = values.low * SCALE;
        y[out + 4u + w] = values.high * SCALE;
    }
}
