// A checksum against damage, at the speed of reading: 32 lanes of 32 bits, each stirred by every 32nd word of the
// data, then folded into 4. Each step maps a lane one to one, so damage to one word always shows; wider damage
// escapes with a chance of 2^-32 for each lane of the result that it reaches. It is no defence against forgery.
#include "../cpu/simd.h"

#define LANES 8u  // vectors of 4 lanes
#define STRIPE (LANES * 16u)

INLINE v128 stir(v128 state, v128 word) {
    v128 product = wasm_i32x4_mul(wasm_v128_xor(state, word), wasm_u32x4_const_splat(0x9e3779b1u));
    return wasm_v128_or(wasm_i32x4_shl(product, 15), wasm_u32x4_shr(product, 17));
}

// 16 bytes of checksum into `result`. Reads up to the next multiple of 128, and sets what lies after the data to zero.
__attribute__((visibility("default"))) void checksum(u8 *data, u32 nbytes, u8 *result) {
    v128 lanes[LANES];
    for (u32 i = 0; i < LANES; i++) lanes[i] = wasm_u32x4_splat(0x85ebca77u + i);
    const u32 end = up(nbytes, STRIPE);
    __builtin_memset(data + nbytes, 0, end - nbytes);
    for (u32 at = 0; at < end; at += STRIPE) {
        for (u32 i = 0; i < LANES; i++) lanes[i] = stir(lanes[i], load(data + at + 16 * i));
    }
    v128 folded = wasm_u32x4_splat(nbytes);
    for (u32 i = 0; i < LANES; i++) folded = stir(folded, lanes[i]);
    store(result, folded);
}
