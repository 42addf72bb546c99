// Where a weight's bytes are (layout.py; on the GPU kernels/lib/tile.wgsl): a tile of 8 rows x 128 columns is
// contiguous in each plane. Within it, pieces of 16 bytes: 8 rows x 4 pieces, that is 512 bytes, one after
// another along the columns. Scales have 4 blocks of 32 columns for each of the 8 rows; q4r and q8r have one for a
// whole row, so that all tiles along the columns share the 8 rows' scales.
#pragma once
#include "steps.h"

// Bytes of 8 rows x 128 columns in the weight plane and in the scale plane.
INLINE u32 tile_bytes(enum format format) {
    switch (format) {
        case FORMAT_Q4: case FORMAT_Q4M: case FORMAT_Q4R: return 512;
        case FORMAT_Q8: case FORMAT_Q8H: case FORMAT_Q8R: return 1024;
        case FORMAT_F16: case FORMAT_BF16: return 2048;
        default: return 4096;
    }
}

INLINE u32 scale_tile_bytes(enum format format) {
    switch (format) {
        case FORMAT_Q4: case FORMAT_Q8: case FORMAT_Q4R: case FORMAT_Q8R: return 64;
        case FORMAT_Q4M: case FORMAT_Q8H: return 256;
        default: return 0;
    }
}

INLINE int is_float(enum format format) { return format >= FORMAT_F16; }

// One scale for a whole row; codes of 8 bits; codes of 4 bits that are 8 above the value.
INLINE int is_by_row(enum format format) { return format == FORMAT_Q4R || format == FORMAT_Q8R; }
INLINE int is_bytes(enum format format) { return format == FORMAT_Q8 || format == FORMAT_Q8H || format == FORMAT_Q8R; }
INLINE int is_offset(enum format format) { return format == FORMAT_Q4 || format == FORMAT_Q4R; }

// From the scales of a tile to those of the next one along the columns, and of the first to those of 8 rows further on.
INLINE u32 scale_step(enum format format) { return is_by_row(format) ? 0 : scale_tile_bytes(format); }
INLINE u32 scale_rows_bytes(enum format format, u32 tiles) {
    return is_by_row(format) ? scale_tile_bytes(format) : tiles * scale_tile_bytes(format);
}

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

// The scale of row r of 8, where a row has one.
INLINE f32 row_scale(const u8 *scales, u32 r) { return ((const f32 *)scales)[2 * r]; }

// The four block scales of row r of a scale tile, and for q4m the four minima.
INLINE v128 block_scales(enum format format, const u8 *tile, u32 r) {
    if (format == FORMAT_Q4M) return wasm_i32x4_shuffle(load(tile + 32 * r), load(tile + 32 * r + 16), 0, 2, 4, 6);
    if (is_by_row(format)) return splat(row_scale(tile, r));
    return load_f16(tile + 8 * r);
}
INLINE v128 block_minima(const u8 *tile, u32 r) {
    return wasm_i32x4_shuffle(load(tile + 32 * r), load(tile + 32 * r + 16), 1, 3, 5, 7);
}
