// What becomes of a row's sums, where workgroups share its keys: partials (T, SPLITS, H, E) f32, not normalised;
// stats (T, SPLITS, H): the maximum score and the sum of exp(score - maximum). See attention_merge.wgsl.
@group(0) @binding(3) var<storage, read_write> partials: array<vec4<f32>>;
@group(0) @binding(4) var<storage, read_write> stats: array<vec2<f32>>;

fn head_of_split(split: Split, row: u32, g: u32) -> u32 {
    let head = row_begin(row, g) / (E / 4u);
    return (head / H * split.count + split.number) * H + head % H;
}

fn keep_stats(split: Split, row: u32, g: u32, highest: f32, total: f32) {
    stats[head_of_split(split, row, g)] = vec2<f32>(highest, total);
}

fn keep_sums(split: Split, row: u32, g: u32, quad: u32, total: f32, sum: vec4<f32>) {
    partials[head_of_split(split, row, g) * (E / 4u) + quad] = sum;
}
