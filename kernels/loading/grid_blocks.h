// Blocks whose codes are points of a grid (formats/grids.py), 8 or 4 columns each: those of formats/grid_blocks.py.
#pragma once
#include "plane.h"

INLINE u32 read_u32(const u8 *at) {
    u32 value;
    __builtin_memcpy(&value, at, 4);
    return value;
}

// Of two points of 8 columns, or four of 4, the bytes.
INLINE v128 two_points(const u8 *grid, u32 first, u32 second) {
    return wasm_v128_load64_lane(grid + 8 * second, wasm_v128_load64_zero(grid + 8 * first), 1);
}

INLINE v128 four_points(const u8 *grid, u32 a, u32 b, u32 c, u32 d) {
    v128 points = wasm_v128_load32_zero(grid + 4 * a);
    points = wasm_v128_load32_lane(grid + 4 * b, points, 1);
    points = wasm_v128_load32_lane(grid + 4 * c, points, 2);
    return wasm_v128_load32_lane(grid + 4 * d, points, 3);
}

// Sixteen columns with their signs; a set bit is a minus.
INLINE v128 with_signs(v128 points, u32 minus) {
    v128 masks = byte_masks(minus);
    return wasm_i8x16_sub(wasm_v128_xor(points, masks), masks);
}

// Eight signs by seven: an even number of them is negative.
INLINE u32 even_signs(u32 seven) { return seven | (__builtin_popcount(seven) & 1u) << 7; }

// Twice eight signs, of two fields of seven bits.
INLINE u32 signs_of(u32 packed) { return even_signs(packed & 127u) | even_signs(packed >> 7 & 127u) << 8; }

INLINE void write_scales(u8 *scales, u32 at, f32 first, f32 second) {
    u8 *to = item(scales, at, 8);
    write_f32(to, first);
    write_f32(to + 4, second);
}

INLINE void iq2_xxs(const u8 *block, u32 at, u8 *weights, u8 *scales, const u8 *grid) {
    f32 d = read_f16(block);
    for (u32 i = 0; i < 8; i++) {
        const u8 *index = block + 2 + 8 * i;
        u32 packed = read_u32(index + 4);
        f32 scale = d * (0.5f + (f32)(packed >> 28)) * 0.25f;
        write_scales(scales, 8 * at + i, scale, scale);
        for (u32 half = 0; half < 2; half++) {
            v128 points = two_points(grid, index[2 * half], index[2 * half + 1]);
            store(item(weights, 16 * at + 2 * i + half, PIECE), with_signs(points, signs_of(packed >> 14 * half)));
        }
    }
}

// The scales of IQ2_XS and IQ2_S: a nibble for 16 columns.
INLINE void iq2_scales(f32 d, const u8 *from, u32 at, u8 *scales) {
    for (u32 i = 0; i < 8; i++) {
        f32 first = d * (0.5f + (f32)(from[i] & 15u)) * 0.25f, second = d * (0.5f + (f32)(from[i] >> 4)) * 0.25f;
        write_scales(scales, 8 * at + i, first, second);
    }
}

INLINE void iq2_xs(const u8 *block, u32 at, u8 *weights, u8 *scales, const u8 *grid) {
    iq2_scales(read_f16(block), block + 66, at, scales);
    for (u32 i = 0; i < 16; i++) {
        u32 a = read_u16(block + 2 + 4 * i), b = read_u16(block + 4 + 4 * i);
        v128 points = two_points(grid, a & 511u, b & 511u);
        store(item(weights, 16 * at + i, PIECE), with_signs(points, even_signs(a >> 9) | even_signs(b >> 9) << 8));
    }
}

INLINE void iq2_s(const u8 *block, u32 at, u8 *weights, u8 *scales, const u8 *grid) {
    const u8 *low = block + 2, *minus = block + 34, *high = block + 66;
    iq2_scales(read_f16(block), block + 74, at, scales);
    for (u32 i = 0; i < 16; i++) {
        u32 upper = (u32)high[i / 2] >> 4 * (i % 2);
        v128 points = two_points(grid, low[2 * i] | (upper & 3u) << 8, low[2 * i + 1] | (upper >> 2 & 3u) << 8);
        store(item(weights, 16 * at + i, PIECE), with_signs(points, read_u16(minus + 2 * i)));
    }
}

INLINE void iq3_xxs(const u8 *block, u32 at, u8 *weights, u8 *scales, const u8 *grid) {
    f32 d = read_f16(block);
    for (u32 i = 0; i < 8; i++) {
        u32 packed = read_u32(block + 66 + 4 * i);
        f32 scale = d * (0.5f + (f32)(packed >> 28)) * 0.5f;
        write_scales(scales, 8 * at + i, scale, scale);
        for (u32 half = 0; half < 2; half++) {
            const u8 *index = block + 2 + 8 * i + 4 * half;
            v128 points = four_points(grid, index[0], index[1], index[2], index[3]);
            store(item(weights, 16 * at + 2 * i + half, PIECE), with_signs(points, signs_of(packed >> 14 * half)));
        }
    }
}

INLINE void iq3_s(const u8 *block, u32 at, u8 *weights, u8 *scales, const u8 *grid) {
    f32 d = read_f16(block);
    for (u32 i = 0; i < 8; i++) {
        f32 scale = d * (f32)(1u + 2u * (block[106 + i / 2] >> 4 * (i % 2) & 15u));
        write_scales(scales, 8 * at + i, scale, scale);
        for (u32 half = 0; half < 2; half++) {
            const u8 *index = block + 2 + 8 * i + 4 * half;
            u32 upper = (u32)block[66 + i] >> 4 * half;
            v128 points = four_points(
                grid, index[0] | (upper & 1u) << 8, index[1] | (upper & 2u) << 7, index[2] | (upper & 4u) << 6,
                index[3] | (upper & 8u) << 5);
            u32 minus = read_u16(block + 74 + 4 * i + 2 * half);
            store(item(weights, 16 * at + 2 * i + half, PIECE), with_signs(points, minus));
        }
    }
}

// Two points with an eighth added to each element, or taken off where the bit is set; the grid is in eighths.
INLINE v128 shifted(v128 points, u32 first_minus, u32 second_minus) {
    u32 minus = (first_minus ? 0xffu : 0u) | (second_minus ? 0xff00u : 0u);
    return wasm_i8x16_add(points, wasm_v128_or(byte_masks(minus), bytes_of(1)));
}

INLINE void iq1_s(const u8 *block, u32 at, u8 *weights, u8 *scales, const u8 *grid) {
    f32 d = read_f16(block);
    for (u32 i = 0; i < 8; i++) {
        u32 packed = read_u16(block + 34 + 2 * i), minus = packed >> 15;
        f32 scale = d * (f32)(2u * (packed >> 12 & 7u) + 1u) * 0.125f;
        write_scales(scales, 8 * at + i, scale, scale);
        for (u32 half = 0; half < 2; half++) {
            const u8 *index = block + 2 + 4 * i + 2 * half;
            u32 upper = packed >> 6 * half;
            v128 points = two_points(grid, index[0] | (upper & 7u) << 8, index[1] | (upper >> 3 & 7u) << 8);
            store(item(weights, 16 * at + 2 * i + half, PIECE), shifted(points, minus, minus));
        }
    }
}

INLINE void iq1_m(const u8 *block, u32 at, u8 *weights, u8 *scales, const u8 *grid) {
    f32 d = f16_value((block[49] >> 4) | (block[51] & 0xf0u) | (block[53] & 0xf0u) << 4 | (block[55] & 0xf0u) << 8);
    for (u32 i = 0; i < 16; i++) {  // 16 columns each
        u32 steps = (u32)read_u16(block + 48 + i / 4 * 2) >> 3 * (i % 4) & 7u, high = block[32 + i];
        write_f32(item(scales, 8 * at + i / 2, 8) + 4 * (i % 2), d * (f32)(2u * steps + 1u) * 0.125f);
        v128 points = two_points(grid, block[2 * i] | (high & 7u) << 8, block[2 * i + 1] | (high >> 4 & 7u) << 8);
        store(item(weights, 16 * at + i, PIECE), shifted(points, high & 8u, high & 128u));
    }
}
