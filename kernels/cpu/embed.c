// y[t] = SCALE * W[token[t]]: rows of the embedding table; twin of embed.wgsl. A token whose row lies in another
// shard is left to the other shard's step.
#include "kernels.h"
#include "weights.h"

// Columns 4*quad .. 4*quad+3 of row r of a tile.
INLINE v128 coded_quad(enum format format, const u8 *tile, const u8 *scales, u32 r, u32 quad) {
    const u32 b = quad / 8, q = quad % 8;
    f32 scale[4], minimum[4] = {0};
    if (format == FORMAT_Q8H) {
        u32 half = q / 4;
        i32 four = ((const i32 *)(tile + piece_at(r, 2 * b + half)))[q % 4];
        v128 codes = wasm_i32x4_extend_low_i16x8(wasm_i16x8_extend_low_i8x16(wasm_i32x4_splat(four)));
        return mul(to_f32(codes), splat(((const f32 *)(scales + 32 * r))[2 * b + half]));
    }
    store(scale, block_scales(format, scales, r));
    if (is_bytes(format)) {
        i32 four = ((const i32 *)(tile + piece_at(r, 2 * b + q / 4)))[q % 4];
        v128 codes = wasm_i32x4_extend_low_i16x8(wasm_i16x8_extend_low_i8x16(wasm_i32x4_splat(four)));
        return mul(to_f32(codes), splat(scale[b]));
    }
    if (format == FORMAT_Q4M) store(minimum, block_minima(scales, r));
    u32 four = ((const u32 *)(tile + piece_at(r, b)))[q % 4] >> (q < 4 ? 0 : 4) & 0x0f0f0f0fu;
    v128 codes = wasm_u32x4_extend_low_u16x8(wasm_u16x8_extend_low_u8x16(wasm_i32x4_splat((i32)four)));
    codes = wasm_i32x4_sub(codes, wasm_i32x4_splat(is_offset(format) ? 8 : 0));
    return sub(mul(to_f32(codes), splat(scale[b])), splat(minimum[b]));
}

void embed(const struct embed *s, enum format format, const struct run *run) {
    const u32 tiles = up(s->K, TILE_COLUMNS) / TILE_COLUMNS;
    FOR_CLAIMED(r, run, run->count, 1) {
        for (u32 t = r.begin; t < r.end; t++) {
            u32 row = s->tokens[t] - s->FIRST;
            if (row >= s->ROWS) continue;
            for (u32 k = 0; k < s->K; k += 4) {
                u32 index = row / TILE_ROWS * tiles + k / TILE_COLUMNS, quad = k % TILE_COLUMNS / 4;
                const u8 *tile = s->weights + index * tile_bytes(format);
                const u8 *scales = s->scales + row / TILE_ROWS * scale_rows_bytes(format, tiles)
                    + k / TILE_COLUMNS * scale_step(format);
                v128 v = is_float(format) ? float_quad(format, tile, row % TILE_ROWS, quad)
                                          : coded_quad(format, tile, scales, row % TILE_ROWS, quad);
                store(s->y + t * s->K + k, mul(v, splat(s->SCALE)));
            }
        }
    }
}
