// Where a weight's bytes are (layout.py; on the GPU kernels/lib/tile.wgsl): a tile of 8 rows x 128 columns is
// contiguous in each plane. Within it, pieces of 16 bytes: 8 rows x 4 pieces, that is 512 bytes, one after
// another along the columns. Scales have 4 blocks of 32 columns for each of the 8 rows.
#pragma once
#include "steps.h"

// Bytes of 8 rows x 128 columns in the weight plane and in the scale plane.
INLINE u32 tile_bytes(enum format format) {
    switch (format) {
        case FORMAT_Q4: case FORMAT_Q4M: return 512;
        case FORMAT_Q8: case FORMAT_Q8H: return 1024;
        case FORMAT_F16: case FORMAT_BF16: return 2048;
        default: return 4096;
    }
}

INLINE u32 scale_tile_bytes(enum format format) {
    switch (format) {
        case FORMAT_Q4: case FORMAT_Q8: return 64;
        case FORMAT_Q4M: case FORMAT_Q8H: return 256;
        default: return 0;
    }
}

INLINE int is_float(enum format format) { return format >= FORMAT_F16; }

// The byte offset in a tile of row r's 16-byte piece number p (of 4, 8, 16 or 32).
INLINE u32 piece_at(u32 r, u32 p) { return (p >> 2) * 512 + r * 64 + (p & 3) * 16; }

// Four neighbouring float weights of a row, from column 4*quad of the tile.
INLINE v128 float_quad(enum format format, const u8 *tile, u32 r, u32 quad) {
    if (format == FORMAT_F32) return load(tile + piece_at(r, quad));
    const u8 *at = tile + piece_at(r, quad >> 1) + 8 * (quad & 1);
    if (format == FORMAT_F16) return load_f16(at);
    return wasm_i32x4_shl(wasm_u32x4_load16x4(at), 16);
}

INLINE v128 low_nibbles(v128 bytes) { return wasm_v128_and(bytes, wasm_i8x16_const_splat(15)); }
INLINE v128 high_nibbles(v128 bytes) { return wasm_u8x16_shr(bytes, 4); }

// The four block scales of row r of a scale tile, and for q4m the four minima.
INLINE v128 block_scales(enum format format, const u8 *tile, u32 r) {
    if (format == FORMAT_Q4M) return wasm_i32x4_shuffle(load(tile + 32 * r), load(tile + 32 * r + 16), 0, 2, 4, 6);
    return load_f16(tile + 8 * r);
}
INLINE v128 block_minima(const u8 *tile, u32 r) {
    return wasm_i32x4_shuffle(load(tile + 32 * r), load(tile + 32 * r + 16), 1, 3, 5, 7);
}
