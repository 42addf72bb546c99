// What becomes of a row's sums, where SPLITS workgroups share its keys: partials (SPLITS, T, H, E) f32, not normalised;
// stats (SPLITS, T, H): the maximum score and the sum of exp(score - maximum). See attention_merge.wgsl.
@group(0) @binding(3) var<storage, read_write> partials: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> stats: array<vec2<f32>>;
override SPLITS: u32;
override TOKENS: u32;

fn keep_stats(split: u32, row: u32, g: u32, highest: f32, total: f32) {
    stats[split * TOKENS * H + row_begin(row, g) / (E / 4u)] = vec2<f32>(highest, total);
}

fn keep_sums(split: u32, row: u32, g: u32, quad: u32, total: f32, sum: vec4<f32>) {
    partials[split * TOKENS * H * (E / 4u) + row_begin(row, g) + quad] = sum;
}
