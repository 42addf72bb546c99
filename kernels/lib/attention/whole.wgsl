// What becomes of a row's sums: the row of y (T, H, E) f32.
@group(0) @binding(3) var<storage, read_write> y: array<vec4<f32>>;

fn keep_stats(split: Split, row: u32, g: u32, highest: f32, total: f32) {
}

fn keep_sums(split: Split, row: u32, g: u32, quad: u32, total: f32, sum: vec4<f32>) {
    y[row_begin(row, g) + quad] = sum / total;
}
