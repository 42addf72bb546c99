// #include "packed/packed.wgsl"
// #include "weights/q8h.wgsl"
fn packed_of(row: u32, block: u32) -> Packed {
    let index = piece_index(row, 2u * block, 8u);
    return Packed(weights[index], weights[index + 1u], scale_of(row, block), 0.0);
}
