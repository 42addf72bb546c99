// Blocks with one scale, or a scale and a minimum: formats/simple_blocks.py, and of grid_blocks.py those with a table.
#pragma once
#include "plane.h"

INLINE void q4_0(const u8 *block, u32 at, u8 *weights, u8 *scales) {
    store(item(weights, at, PIECE), load(block + 2));  // the file's order is the plane's
    write_u16(item(scales, at, 2), read_u16(block));
}

INLINE void q4_1(const u8 *block, u32 at, u8 *weights, u8 *scales) {
    store(item(weights, at, PIECE), load(block + 4));
    u8 *to = item(scales, at, 8);
    write_f32(to, read_f16(block));
    write_f32(to + 4, -read_f16(block + 2));
}

// Sixteen elements' fifth bits, as 0 or 16.
INLINE v128 fifth_bits(const u8 *from) { return wasm_v128_and(byte_masks(read_u16(from)), bytes_of(16)); }

INLINE void q5_0(const u8 *block, u32 at, u8 *weights, u8 *scales) {
    v128 packed = load(block + 6);
    v128 low = wasm_v128_or(low_nibbles(packed), fifth_bits(block + 2));
    v128 high = wasm_v128_or(high_nibbles(packed), fifth_bits(block + 4));
    store(item(weights, 2 * at, PIECE), wasm_i8x16_sub(low, bytes_of(16)));
    store(item(weights, 2 * at + 1, PIECE), wasm_i8x16_sub(high, bytes_of(16)));
    write_u16(item(scales, at, 2), read_u16(block));
}

INLINE void q5_1(const u8 *block, u32 at, u8 *weights, u8 *scales) {
    v128 packed = load(block + 8), values[8];
    f32 scale = read_f16(block), minimum = -read_f16(block + 2);
    values_of(wasm_v128_or(low_nibbles(packed), fifth_bits(block + 4)), scale, minimum, values);
    values_of(wasm_v128_or(high_nibbles(packed), fifth_bits(block + 6)), scale, minimum, values + 4);
    rounded(values, at, weights, scales);
}

INLINE void q8_0(const u8 *block, u32 at, u8 *weights, u8 *scales) {
    store(item(weights, 2 * at, PIECE), load(block + 2));
    store(item(weights, 2 * at + 1, PIECE), load(block + 18));
    write_u16(item(scales, at, 2), read_u16(block));
}

// 32 codes of four bits become what a table of 16 bytes says.
INLINE void looked_up(v128 table, v128 packed, u32 at, u8 *weights) {
    store(item(weights, 2 * at, PIECE), wasm_i8x16_swizzle(table, low_nibbles(packed)));
    store(item(weights, 2 * at + 1, PIECE), wasm_i8x16_swizzle(table, high_nibbles(packed)));
}

INLINE v128 uneven(void) {
    return wasm_i8x16_const(-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113);
}

INLINE void iq4_nl(const u8 *block, u32 at, u8 *weights, u8 *scales) {
    looked_up(uneven(), load(block + 2), at, weights);
    write_u16(item(scales, at, 2), read_u16(block));
}

INLINE void iq4_xs(const u8 *block, u32 at, u8 *weights, u8 *scales) {
    f32 d = read_f16(block);
    u32 upper = read_u16(block + 2);
    for (u32 i = 0; i < 8; i++) {
        u32 scale = (block[4 + i / 2] >> 4 * (i % 2) & 15u) | (upper >> 2 * i & 3u) << 4;
        u8 *to = item(scales, 8 * at + i, 8);
        write_f32(to, d * (f32)((i32)scale - 32));
        write_f32(to + 4, d * (f32)((i32)scale - 32));
        looked_up(uneven(), load(block + 8 + 16 * i), 8 * at + i, weights);
    }
}

INLINE void mxfp4(const u8 *block, u32 at, u8 *weights, u8 *scales) {
    const v128 e2m1 = wasm_i8x16_const(0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12);
    u32 scale = block[0] < 2 ? 0x00200000u << block[0] : (block[0] - 1u) << 23;  // 2^(e - 128)
    looked_up(e2m1, load(block + 1), at, weights);
    u8 *to = item(scales, at, 8);
    __builtin_memcpy(to, &scale, 4);
    __builtin_memcpy(to + 4, &scale, 4);
}

// Sixteen elements each, numbers 0 .. 2 or 3 that stand for one less, as four bits from -8 on.
INLINE void ternary(v128 first, v128 second, u32 at, u8 *weights) {
    v128 low = wasm_i8x16_add(first, bytes_of(7)), high = wasm_i8x16_add(second, bytes_of(7));
    store(item(weights, at, PIECE), wasm_v128_or(low, wasm_i8x16_shl(high, 4)));
}

// The first digit of 16 fractions of 256 in base 3: minus the masks of 1/3 and 2/3 reached.
INLINE v128 digits(v128 fractions) {
    v128 third = wasm_u8x16_ge(fractions, bytes_of(86)), two = wasm_u8x16_ge(fractions, bytes_of(171));
    return wasm_i8x16_sub(zero(), wasm_i8x16_add(third, two));
}

INLINE v128 times_3(v128 bytes) { return wasm_i8x16_add(bytes, wasm_i8x16_add(bytes, bytes)); }

INLINE void tq1_0(const u8 *block, u32 at, u8 *weights, u8 *scales) {
    v128 first = load(block), second = load(block + 16), third = load(block + 32), runs[6];
    v128 last[4] = {wasm_v128_load32_splat(block + 48)};
    UNROLLED for (u32 i = 0; i < 5; i++) {
        ternary(digits(first), digits(second), 8 * at + i, weights);
        runs[i] = digits(third);
        first = times_3(first), second = times_3(second), third = times_3(third);
    }
    UNROLLED for (u32 i = 1; i < 4; i++) last[i] = times_3(last[i - 1]);
    v128 low = wasm_i32x4_shuffle(last[0], last[1], 0, 5, 0, 5), high = wasm_i32x4_shuffle(last[2], last[3], 0, 5, 0, 5);
    runs[5] = digits(wasm_i64x2_shuffle(low, high, 0, 2));
    UNROLLED for (u32 i = 0; i < 3; i++) ternary(runs[2 * i], runs[2 * i + 1], 8 * at + 5 + i, weights);
    for (u32 i = 0; i < 8; i++) write_u16(item(scales, 8 * at + i, 2), read_u16(block + 52));
}

INLINE void tq2_0(const u8 *block, u32 at, u8 *weights, u8 *scales) {
    for (u32 i = 0; i < 8; i++) {
        const u8 *from = block + i / 4 * 32;
        v128 first = wasm_u8x16_shr(load(from), 2 * (i % 4)), second = wasm_u8x16_shr(load(from + 16), 2 * (i % 4));
        ternary(wasm_v128_and(first, bytes_of(3)), wasm_v128_and(second, bytes_of(3)), 8 * at + i, weights);
        write_u16(item(scales, 8 * at + i, 2), read_u16(block + 64));
    }
}

INLINE void floats(const u8 *block, u32 at, u8 *weights) { store(item(weights, at, PIECE), load(block)); }
