// #include "packed/packed.wgsl"
alias Bytes = array<vec4<u32>, 2>;

fn bytes_of(row: u32, block: u32) -> Bytes {
    let index = piece_index(row, 2u * block, 8u);
    return Bytes(weights[index], weights[index + 1u]);
}
