// A part of a matmul's columns: few tiles would leave most of a GPU idle, so z of the grid divides their columns among
// workgroups, and sum_parts adds up what they give, y (T, PARTS, STRIDE). How many parts there are is no constant, so
// that chunks of different lengths share what is compiled.
struct Part {
    number: u32,
    count: u32,
    begin: u32,  // in blocks of 32 columns
    end: u32,
}

fn part_of(group: vec3<u32>, groups: vec3<u32>) -> Part {
    let blocks = K / 32u;
    return Part(group.z, groups.z, group.z * blocks / groups.z, (group.z + 1u) * blocks / groups.z);
}

// Where a token's sums of this part begin.
fn part_at(token: u32, part: Part) -> u32 {
    return (token * part.count + part.number) * STRIDE + OFFSET;
}
