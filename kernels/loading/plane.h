// Where the conversion writes to: items of a plane (layout.py), and what the formats of blocks share.
#pragma once
#include "../cpu/simd.h"

#define PIECE 16u
#define ITEMS 4u  // items of a row in a tile
#define UNROLLED _Pragma("clang loop unroll(full)")  // so that arrays of vectors are registers: there is no stack

// The place of item number i of a row, whose first item is at `row`.
INLINE u8 *item(u8 *row, u32 i, u32 bytes) { return row + (i / ITEMS) * (TILE_ROWS * ITEMS * bytes) + i % ITEMS * bytes; }

INLINE v128 low_nibbles(v128 bytes) { return wasm_v128_and(bytes, wasm_i8x16_const_splat(15)); }
INLINE v128 high_nibbles(v128 bytes) { return wasm_u8x16_shr(bytes, 4); }
INLINE v128 bytes_of(u8 value) { return wasm_i8x16_splat((i8)value); }


// Of 16 bits the lowest first: a byte all ones where it is set, zero where it is not.
INLINE v128 byte_masks(u32 set) {
    const v128 bits = wasm_i8x16_const(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
    v128 pair = wasm_i16x8_splat((short)set);
    v128 each = wasm_i8x16_shuffle(pair, pair, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    return wasm_i8x16_eq(wasm_v128_and(each, bits), bits);
}

INLINE u16 read_u16(const u8 *at) { return (u16)(at[0] | at[1] << 8); }
INLINE void write_u16(u8 *at, u16 value) { __builtin_memcpy(at, &value, 2); }
INLINE void write_f32(u8 *at, f32 value) { __builtin_memcpy(at, &value, 4); }

// An f16 as f32, infinities and NaN included (a damaged file's scales are kept as they are).
INLINE f32 f16_value(u32 half) {
    u32 sign = (half & 0x8000u) << 16, rest = half & 0x7fffu;
    u32 bits = rest << 13;
    f32 value;
    if (rest >= 0x7c00u) bits |= 0x7f800000u;
    __builtin_memcpy(&value, &bits, 4);
    if (rest < 0x7c00u) value *= 0x1p112f;  // corrects the exponent's bias, of denormal numbers too
    __builtin_memcpy(&bits, &value, 4);
    bits |= sign;
    __builtin_memcpy(&value, &bits, 4);
    return value;
}

INLINE f32 read_f16(const u8 *at) { return f16_value(read_u16(at)); }

// The smallest f16 that is not below a number from 0 on; infinity where there is none.
INLINE u16 f16_from(f32 value) {
    u32 bits;
    if (value < 0x1p-14f) return (u16)__builtin_ceilf(value * 0x1p24f);
    __builtin_memcpy(&bits, &value, 4);
    return (u16)min_u32(((bits + 0x1fffu) >> 13) - (112u << 10), 0x7c00u);
}

// 16 bytes 0 .. 127 as numbers: value = scale * code - minimum.
INLINE void values_of(v128 codes, f32 scale, f32 minimum, v128 *values) {
    v128 low = wasm_u16x8_extend_low_u8x16(codes), high = wasm_u16x8_extend_high_u8x16(codes);
    v128 quads[4] = {wasm_u32x4_extend_low_u16x8(low), wasm_u32x4_extend_high_u16x8(low),
                     wasm_u32x4_extend_low_u16x8(high), wasm_u32x4_extend_high_u16x8(high)};
    UNROLLED for (u32 i = 0; i < 4; i++) values[i] = sub(mul(to_f32(quads[i]), splat(scale)), splat(minimum));
}

// 32 numbers as block number `at` of a plane of the format q8: layout.py's `rounded`.
INLINE void rounded(const v128 *values, u32 at, u8 *weights, u8 *scales) {
    v128 peaks = zero();  // as bits, whose order is that of positive numbers, with what is no number last
    UNROLLED for (u32 i = 0; i < 8; i++) peaks = wasm_i32x4_max(peaks, wasm_f32x4_abs(values[i]));
    peaks = wasm_i32x4_max(peaks, wasm_i32x4_shuffle(peaks, peaks, 2, 3, 0, 1));
    peaks = wasm_i32x4_max(peaks, wasm_i32x4_shuffle(peaks, peaks, 1, 0, 3, 2));
    u8 *to = item(scales, at, 2);
    write_u16(to, f16_from(wasm_f32x4_extract_lane(peaks, 0) / 127.0f));
    f32 scale = read_f16(to);
    v128 inverse = splat(scale == 0.0f ? 0.0f : 1.0f / scale);
    UNROLLED for (u32 half = 0; half < 2; half++) {
        v128 codes[4];
        UNROLLED for (u32 i = 0; i < 4; i++) {  // beside so large a number, the sum's last bit is a one
            codes[i] = wasm_i32x4_sub(add(mul(values[4 * half + i], inverse), splat(0x1.8p23f)), splat(0x1.8p23f));
        }
        v128 low = wasm_i16x8_narrow_i32x4(codes[0], codes[1]), high = wasm_i16x8_narrow_i32x4(codes[2], codes[3]);
        store(item(weights, 2 * at + half, PIECE), wasm_i8x16_narrow_i16x8(low, high));
    }
}
