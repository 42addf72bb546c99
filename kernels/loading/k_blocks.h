// Blocks of 256 columns with smaller ones in them: formats/k_blocks.py.
#pragma once
#include "plane.h"

INLINE void q2_k(const u8 *block, u32 at, u8 *weights, u8 *scales) {
    f32 d = read_f16(block + 80), least = read_f16(block + 82);
    for (u32 i = 0; i < 8; i++) {  // 32 columns each
        v128 values[8];
        UNROLLED for (u32 half = 0; half < 2; half++) {
            u32 packed = block[2 * i + half];
            v128 codes = wasm_u8x16_shr(load(block + 16 + i / 4 * 32 + 16 * half), 2 * (i % 4));
            f32 scale = d * (f32)(packed & 15u), minimum = least * (f32)(packed >> 4);
            values_of(wasm_v128_and(codes, bytes_of(3)), scale, minimum, values + 4 * half);
        }
        rounded(values, 8 * at + i, weights, scales);
    }
}

INLINE void q3_k(const u8 *block, u32 at, u8 *weights, u8 *scales) {
    const u8 *six = block + 96;
    f32 d = read_f16(block + 108);
    for (u32 i = 0; i < 16; i++) {  // 16 columns each
        u32 scale = (i < 8 ? six[i] & 15u : six[i - 8] >> 4) | (six[8 + i % 4] >> 2 * (i / 4) & 3u) << 4;
        write_f32(item(scales, 8 * at + i / 2, 8) + 4 * (i % 2), d * (f32)((i32)scale - 32));
        u32 run = i / 2, part = 16 * (i % 2);
        v128 low = wasm_v128_and(wasm_u8x16_shr(load(block + 32 + run / 4 * 32 + part), 2 * (run % 4)), bytes_of(3));
        v128 kept = wasm_v128_and(wasm_u8x16_shr(load(block + part), run), bytes_of(1));
        v128 code = wasm_v128_or(low, wasm_i8x16_shl(kept, 2));
        store(item(weights, 16 * at + i, PIECE), wasm_i8x16_sub(code, bytes_of(4)));
    }
}

INLINE u32 six_bits_scale(const u8 *six, u32 i) {
    return i < 4 ? six[i] & 63u : (six[i + 4] & 15u) | (six[i - 4] >> 6) << 4;
}

INLINE u32 six_bits_minimum(const u8 *six, u32 i) {
    return i < 4 ? six[i + 4] & 63u : (six[i + 4] >> 4) | (six[i] >> 6) << 4;
}

INLINE void q4_k(const u8 *block, u32 at, u8 *weights, u8 *scales) {
    const u8 *six = block + 4, *codes = block + 16;
    f32 d = read_f16(block), least = read_f16(block + 2);
    for (u32 i = 0; i < 8; i++) {
        u8 *to = item(scales, 8 * at + i, 8);
        write_f32(to, d * (f32)six_bits_scale(six, i));
        write_f32(to + 4, least * (f32)six_bits_minimum(six, i));
    }
    for (u32 pair = 0; pair < 4; pair++) {
        v128 first = load(codes + 32 * pair), second = load(codes + 32 * pair + 16);
        v128 even = wasm_v128_or(low_nibbles(first), wasm_i8x16_shl(second, 4));
        v128 odd = wasm_v128_or(high_nibbles(first), wasm_v128_and(second, bytes_of(0xf0)));
        store(item(weights, 8 * at + 2 * pair, PIECE), even);
        store(item(weights, 8 * at + 2 * pair + 1, PIECE), odd);
    }
}

INLINE void q5_k(const u8 *block, u32 at, u8 *weights, u8 *scales) {
    f32 d = read_f16(block), least = read_f16(block + 2);
    for (u32 i = 0; i < 8; i++) {  // 32 columns each
        f32 scale = d * (f32)six_bits_scale(block + 4, i), minimum = least * (f32)six_bits_minimum(block + 4, i);
        v128 values[8];
        UNROLLED for (u32 half = 0; half < 2; half++) {
            v128 packed = load(block + 48 + i / 2 * 32 + 16 * half);
            v128 low = i % 2 ? high_nibbles(packed) : low_nibbles(packed);
            v128 fifth = wasm_v128_and(wasm_u8x16_shr(load(block + 16 + 16 * half), i), bytes_of(1));
            values_of(wasm_v128_or(low, wasm_i8x16_shl(fifth, 4)), scale, minimum, values + 4 * half);
        }
        rounded(values, 8 * at + i, weights, scales);
    }
}

INLINE void q6_k(const u8 *block, u32 at, u8 *weights, u8 *scales) {
    f32 d = read_f16(block + 208);
    for (u32 i = 0; i < 16; i++) {
        write_f32(item(scales, 8 * at + i / 2, 8) + 4 * (i % 2), d * (f32)(i8)block[192 + i]);
    }
    for (u32 half = 0; half < 2; half++) {
        for (u32 part = 0; part < 2; part++) {  // 16 of the 32 columns of each of the half's four runs
            const u8 *low = block + 64 * half + 16 * part;
            v128 first = load(low), second = load(low + 32), high = load(block + 128 + 32 * half + 16 * part);
            v128 runs[4] = {low_nibbles(first), low_nibbles(second), high_nibbles(first), high_nibbles(second)};
            for (u32 run = 0; run < 4; run++) {
                v128 top = wasm_v128_and(wasm_u8x16_shr(high, 2 * run), bytes_of(3));
                v128 code = wasm_v128_or(runs[run], wasm_i8x16_shl(top, 4));
                store(item(weights, 16 * at + 8 * half + 2 * run + part, PIECE), wasm_i8x16_sub(code, bytes_of(32)));
            }
        }
    }
}
