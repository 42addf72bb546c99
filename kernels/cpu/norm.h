// 1 / sqrt(mean(x^2) + eps) of n numbers; four lanes in four sums, then a tail.
#pragma once
#include "simd.h"

INLINE f32 norm_factor(const f32 *x, u32 n, f32 eps) {
    v128 s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
    u32 i = 0;
    for (; i + 16 <= n; i += 16) {
        v128 a = load(x + i), b = load(x + i + 4), c = load(x + i + 8), d = load(x + i + 12);
        s0 = add(s0, mul(a, a)), s1 = add(s1, mul(b, b)), s2 = add(s2, mul(c, c)), s3 = add(s3, mul(d, d));
    }
    f32 squares = sum_of(add(add(s0, s1), add(s2, s3)));
    for (; i < n; i++) squares += x[i] * x[i];
    return 1.0f / __builtin_sqrtf(squares / (f32)n + eps);
}
