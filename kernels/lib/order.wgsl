// Numbers in an order: of equal ones the one with the lower index first.
const EVERY: u32 = 0xffffffffu;
const ABSENT: Item = Item(0u, EVERY);

// A value, as a number that is higher where it is, and its index.
struct Item {
    key: u32,
    place: u32,
}

// 0 is equal to -0, and what is no number comes first: it must not be overlooked.
fn key_of(value: f32) -> u32 {
    let bits = bitcast<u32>(value);
    let magnitude = bits & 0x7fffffffu;
    if (magnitude == 0u) {
        return 0x80000000u;
    }
    return select(select(bits | 0x80000000u, ~bits, bits > magnitude), EVERY, magnitude > 0x7f800000u);
}
