// 128-bit vectors: the few helpers that all kernels share, and the one instruction with two forms.
#pragma once
#include <wasm_simd128.h>

typedef signed char i8;
typedef unsigned char u8;
typedef unsigned short u16;
typedef int i32;
typedef unsigned int u32;
typedef float f32;
typedef double f64;
typedef v128_t v128;

#define INLINE static inline __attribute__((always_inline))
#define BLOCK 32u          // columns with one activation scale
#define TILE_COLUMNS 128u  // planes are padded to a multiple of this (layout.py)
#define TILE_ROWS 8u       // rows of a tile
#define NOT_FINITE 0x7f800000u  // an f32's exponent that infinity has, and what is no number
#define NOT_A_NUMBER 0x7fc00000u  // the bits of one

INLINE u32 up(u32 length, u32 unit) { return (length + unit - 1) / unit * unit; }
INLINE u32 min_u32(u32 a, u32 b) { return a < b ? a : b; }

INLINE v128 load(const void *at) { return wasm_v128_load(at); }
INLINE void store(void *at, v128 v) { wasm_v128_store(at, v); }
INLINE v128 zero(void) { return wasm_i32x4_const_splat(0); }
INLINE v128 splat(f32 x) { return wasm_f32x4_splat(x); }
INLINE v128 add(v128 a, v128 b) { return wasm_f32x4_add(a, b); }
INLINE v128 sub(v128 a, v128 b) { return wasm_f32x4_sub(a, b); }
INLINE v128 mul(v128 a, v128 b) { return wasm_f32x4_mul(a, b); }
INLINE v128 to_f32(v128 a) { return wasm_f32x4_convert_i32x4(a); }
#define LANE(v, i) wasm_i32x4_shuffle(v, v, i, i, i, i)

// The larger of two numbers; for numbers without NaN, one instruction on every machine.
INLINE v128 max4(v128 a, v128 b) { return wasm_f32x4_pmax(a, b); }

// Whether the f32 with these bits is not finite; of four, all ones in the lanes that are not.
INLINE u32 is_not_finite(u32 bits) { return (bits & NOT_FINITE) == NOT_FINITE; }
INLINE v128 not_finite(v128 v) {
    const v128 exponent = wasm_u32x4_const_splat(NOT_FINITE);
    return wasm_i32x4_eq(wasm_v128_and(v, exponent), exponent);
}

// Lanes added in a fixed order.
INLINE f32 sum_of(v128 v) {
    v = add(v, wasm_i32x4_shuffle(v, v, 2, 3, 0, 1));
    return wasm_f32x4_extract_lane(v, 0) + wasm_f32x4_extract_lane(v, 1);
}

INLINE f32 max_of(v128 v) {
    v = max4(v, wasm_i32x4_shuffle(v, v, 2, 3, 0, 1));
    f32 a = wasm_f32x4_extract_lane(v, 0), b = wasm_f32x4_extract_lane(v, 1);
    return a > b ? a : b;
}

// sums + for each of 4 lanes the four products of its bytes: `bytes` are signed, `codes` are 0..127.
// In that range the relaxed instruction has one meaning everywhere: no operand's sign is in doubt, and two
// products (at most 2 * 128 * 127) fit the 16 bits of machines that add in pairs first.
INLINE v128 dot(v128 bytes, v128 codes, v128 sums) {
#ifdef __wasm_relaxed_simd__
    return wasm_i32x4_relaxed_dot_i8x16_i7x16_add(bytes, codes, sums);
#else
    v128 low = wasm_i16x8_extmul_low_i8x16(bytes, codes);
    v128 high = wasm_i16x8_extmul_high_i8x16(bytes, codes);
    v128 even = wasm_i16x8_shuffle(low, high, 0, 2, 4, 6, 8, 10, 12, 14);
    v128 odd = wasm_i16x8_shuffle(low, high, 1, 3, 5, 7, 9, 11, 13, 15);
    return wasm_i32x4_add(sums, wasm_i32x4_extadd_pairwise_i16x8(wasm_i16x8_add(even, odd)));
#endif
}

// Four f16, as the sign-extended 32-bit lanes of `halves`, to f32: the exponent and mantissa are moved into
// place and the exponent's bias is corrected by a multiplication, which also makes denormal numbers right.
INLINE v128 f16_lanes(v128 halves) {
    v128 moved = wasm_v128_and(wasm_i32x4_shl(halves, 13), wasm_u32x4_const_splat(0x8fffe000u));
    return mul(moved, wasm_f32x4_const_splat(0x1p112f));
}
INLINE v128 f16_low(v128 halves) { return f16_lanes(wasm_i32x4_extend_low_i16x8(halves)); }
INLINE v128 f16_high(v128 halves) { return f16_lanes(wasm_i32x4_extend_high_i16x8(halves)); }
INLINE v128 load_f16(const void *at) { return f16_lanes(wasm_i32x4_load16x4(at)); }
