// Next to nothing, but in order: each dispatch adds 1 to what the one before it wrote.
//   y (1) u32. Grid: one workgroup.
@group(0) @binding(0) var<storage, read_write> y: array<u32>;

@compute @workgroup_size(1)
fn main() {
    y[0] += 1u;
}
