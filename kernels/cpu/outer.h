// The f32 kernel under matmul of float weights and attention: sums[i][0..7] += sum over k of a[i][k] * b[k][0..7]
// for four rows of a at once, b in rows of `stride` floats. Eight sums of four lanes stay in registers.
#pragma once
#include "simd.h"

INLINE void outer(const f32 *const *a, const f32 *b, u32 stride, u32 n, v128 sums[4][2]) {
    v128 s00 = sums[0][0], s01 = sums[0][1], s10 = sums[1][0], s11 = sums[1][1];
    v128 s20 = sums[2][0], s21 = sums[2][1], s30 = sums[3][0], s31 = sums[3][1];
    const f32 *a0 = a[0], *a1 = a[1], *a2 = a[2], *a3 = a[3];
    for (u32 k = 0; k < n; k++, b += stride) {
        v128 b0 = load(b), b1 = load(b + 4), x = wasm_v128_load32_splat(a0 + k);
        s00 = add(s00, mul(x, b0)), s01 = add(s01, mul(x, b1));
        x = wasm_v128_load32_splat(a1 + k);
        s10 = add(s10, mul(x, b0)), s11 = add(s11, mul(x, b1));
        x = wasm_v128_load32_splat(a2 + k);
        s20 = add(s20, mul(x, b0)), s21 = add(s21, mul(x, b1));
        x = wasm_v128_load32_splat(a3 + k);
        s30 = add(s30, mul(x, b0)), s31 = add(s31, mul(x, b1));
    }
    sums[0][0] = s00, sums[0][1] = s01, sums[1][0] = s10, sums[1][1] = s11;
    sums[2][0] = s20, sums[2][1] = s21, sums[3][0] = s30, sums[3][1] = s31;
}
