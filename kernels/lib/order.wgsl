// Numbers in an order: of equal ones the one with the lower index first. They are read as their bits: compilers may take
// it for granted that a float is finite, and leave out what asks whether it is.
const EVERY: u32 = 0xffffffffu;
const ABSENT: Item = Item(0u, EVERY);
const NOT_A_NUMBER: u32 = 0x7fc00000u;  // the bits of one

// A value, as a number that is higher where it is, and its index.
struct Item {
    key: u32,
    place: u32,
}

// The key of an f32. 0 is equal to -0, and what is not finite comes first, with the key EVERY: it must not be overlooked.
fn key_of(bits: u32) -> u32 {
    let magnitude = bits & 0x7fffffffu;
    if (magnitude == 0u) {
        return 0x80000000u;
    }
    return select(select(bits | 0x80000000u, ~bits, bits > magnitude), EVERY, magnitude >= 0x7f800000u);
}

// The bits of an f32 with that key.
fn bits_of(key: u32) -> u32 {
    return select(select(~key, key & 0x7fffffffu, key >= 0x80000000u), NOT_A_NUMBER, key == EVERY);
}
