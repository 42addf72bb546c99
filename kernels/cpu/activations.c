// See activations.h.
#include "activations.h"

// Adding 1.5 * 2^23 leaves an f32's integer part, rounded half to even, in its lowest bits.
INLINE v128 rounded(v128 x, v128 factor) {
    const v128 magic = wasm_f32x4_const_splat(12582912.0f);
    return wasm_i32x4_sub(add(mul(x, factor), magic), magic);
}

// Four sums of 16 bytes.
INLINE i32 sum_bytes(v128 bytes) {
    v128 four = wasm_i32x4_extadd_pairwise_i16x8(wasm_i16x8_extadd_pairwise_i8x16(bytes));
    four = wasm_i32x4_add(four, wasm_i32x4_shuffle(four, four, 2, 3, 0, 1));
    return wasm_i32x4_extract_lane(four, 0) + wasm_i32x4_extract_lane(four, 1);
}

void quantize(const f32 *x, u32 K, struct activations to) {
    for (u32 block = 0; block < up(K, TILE_COLUMNS) / BLOCK; block++) {
        // As integers, magnitudes are in the same order, with what is no number at its end: a maximum of floats may
        // leave that out, and codes have none.
        v128 v[8], peak = zero();
        for (u32 i = 0; i < 8; i++) {
            v[i] = block * BLOCK < K ? load(x + block * BLOCK + 4 * i) : zero();
            peak = wasm_i32x4_max(peak, wasm_f32x4_abs(v[i]));
        }
        peak = wasm_i32x4_max(peak, wasm_i32x4_shuffle(peak, peak, 2, 3, 0, 1));
        peak = wasm_i32x4_max(peak, wasm_i32x4_shuffle(peak, peak, 1, 0, 3, 2));
        f32 highest = wasm_f32x4_extract_lane(peak, 0);
        u32 none = highest < 1e-30f;
        v128 factor = splat(none ? 0.0f : 127.0f / highest);
        to.scales[block] = none ? 0.0f : highest / 127.0f;
        for (u32 half = 0; half < 2; half++) {
            v128 *h = v + 4 * half;
            v128 low = wasm_i16x8_narrow_i32x4(rounded(h[0], factor), rounded(h[1], factor));
            v128 high = wasm_i16x8_narrow_i32x4(rounded(h[2], factor), rounded(h[3], factor));
            v128 codes = wasm_i8x16_narrow_i16x8(low, high);
            store(to.codes + block * BLOCK + 16 * half, codes);
            i32 sum = sum_bytes(codes);
            i32 dips = -sum_bytes(wasm_i8x16_min(codes, zero()));
            to.sums[2 * block + half] = sum;
            to.dips[2 * block + half] = dips;
        }
    }
}
