// Activations as int8: blocks of 32 columns share a scale, x = scale * code, code = round(x * 127 / max|x|).
// For one row of K columns, padded with zeros to a multiple of 128:
//   codes (K) int8, -127..127
//   scales (K/32) f32
//   sums (K/16) i32: the sum of the codes of 16 columns; weights stored with an offset subtract offset * sum
//   dips (K/16) i32: the sum of -code over the negative codes of 16 columns, for signed weights, below
//
// Signed bytes times signed bytes with an instruction that wants one operand in 0..127: with m = -1 where the
// code x is negative and 0 elsewhere, (w ^ m) * |x| is w * x where x >= 0 and (-w - 1) * |x| = w * x - |x| where
// it is negative, so   sum(w * x) = sum((w ^ m) * |x|) + sum(|x| where x < 0),   and the last sum, `dips`, does
// not depend on the weights. Exact for every w in -128..127, with one XOR for 16 products.
#pragma once
#include "simd.h"

struct activations {
    i8 *codes;
    f32 *scales;
    i32 *sums;
    i32 *dips;
};

// Bytes of one row: K codes, K/32 scales, twice K/16 sums.
INLINE u32 activation_bytes(u32 K) { return up(K, TILE_COLUMNS) / 8 * 13; }

INLINE struct activations activation_row(u8 *base, u32 K, u32 row) {
    u32 padded = up(K, TILE_COLUMNS);
    u8 *at = base + row * activation_bytes(K);
    return (struct activations){
        (i8 *)at, (f32 *)(at + padded), (i32 *)(at + padded / 8 * 9), (i32 *)(at + padded / 8 * 11)};
}

void quantize(const f32 *x, u32 K, struct activations to);
