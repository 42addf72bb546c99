// exp and log without a C library, and f32 to f16.
#pragma once
#include "simd.h"

// e^x: x = n ln 2 + r, |r| <= ln 2 / 2, ln 2 in two parts; e^r by its series to r^7 / 7!; 2^n by the exponent
// bits. Relative error below 2e-7 for -87 <= x <= 88; x is clamped to that range.
INLINE v128 exp4(v128 x) {
    x = wasm_f32x4_pmin(wasm_f32x4_pmax(x, splat(-87.0f)), splat(88.0f));
    v128 n = wasm_f32x4_nearest(mul(x, splat(1.44269504088896341f)));
    v128 r = sub(sub(x, mul(n, splat(0.693359375f))), mul(n, splat(-2.12194440e-4f)));
    v128 p = splat(1.0f / 5040);
    p = add(mul(p, r), splat(1.0f / 720));
    p = add(mul(p, r), splat(1.0f / 120));
    p = add(mul(p, r), splat(1.0f / 24));
    p = add(mul(p, r), splat(1.0f / 6));
    p = add(mul(p, r), splat(0.5f));
    p = add(mul(p, r), splat(1.0f));
    p = add(mul(p, r), splat(1.0f));
    v128 power = wasm_i32x4_shl(wasm_i32x4_add(wasm_i32x4_trunc_sat_f32x4(n), wasm_i32x4_const_splat(127)), 23);
    return mul(p, power);
}

// ln x for normal x > 0: x = 2^n m, sqrt(1/2) <= m < sqrt(2); ln m = 2 atanh z, z = (m - 1) / (m + 1), by its
// series to z^15 (|z| < 0.172: the rest is below 1e-13).
INLINE f64 natural_log(f64 x) {
    union { f64 value; unsigned long long bits; } u = {x};
    i32 n = (i32)(u.bits >> 52) - 1023;
    u.bits = (u.bits & 0x000fffffffffffffull) | 0x3ff0000000000000ull;
    if (u.value > 1.4142135623730951) u.value *= 0.5, n++;
    f64 z = (u.value - 1) / (u.value + 1), zz = z * z, series = 0;
    for (i32 i = 15; i > 0; i -= 2) series = series * zz + 1.0 / i;
    return n * 0.6931471805599453 + 2 * z * series;
}

// Four f32 to f16, rounded half to even, in the low halves of the lanes. Numbers below the normal f16 range are
// rounded by adding 0.5, whose lowest bit is f16's; those above it become infinite.
INLINE v128 to_f16(v128 x) {
    v128 sign = wasm_u32x4_shr(wasm_v128_and(x, wasm_u32x4_const_splat(0x80000000u)), 16);
    v128 size = wasm_v128_and(x, wasm_u32x4_const_splat(0x7fffffffu));
    v128 odd = wasm_v128_and(wasm_u32x4_shr(size, 13), wasm_i32x4_const_splat(1));
    v128 normal = wasm_i32x4_add(size, wasm_i32x4_add(odd, wasm_u32x4_const_splat(0xc8000fffu)));
    normal = wasm_u32x4_shr(normal, 13);
    v128 half = wasm_f32x4_const_splat(0.5f);
    v128 small = wasm_i32x4_sub(add(size, half), half);
    v128 result = wasm_v128_bitselect(small, normal, wasm_u32x4_lt(size, wasm_u32x4_const_splat(113u << 23)));
    v128 big = wasm_u32x4_ge(size, wasm_u32x4_const_splat(0x477ff000u));
    return wasm_v128_or(wasm_v128_bitselect(wasm_u32x4_const_splat(0x7c00u), result, big), sign);
}

INLINE void store_f16(u16 *to, v128 x) {
    wasm_v128_store64_lane(to, wasm_u16x8_narrow_i32x4(to_f16(x), zero()), 0);
}
