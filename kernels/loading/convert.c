// From a model file's blocks to the layout of the weight planes: py/sotto/weights/layout.py's `convert`, byte for byte.
//
// A plane is tiles of 8 rows x 4 items (layout.py); an item is a 16-byte piece of weights or the scales of a block
// of 32 columns. A tile's row of 4 items is contiguous and the next tile along the columns lies 8 such rows on, so
// a row is written front to back with one jump after every fourth item. The blocks are described in formats/blocks.py.
#include "../cpu/simd.h"

#define PIECE 16u
#define ITEMS 4u  // items of a row in a tile

enum type { TYPE_Q4_0, TYPE_Q4_K, TYPE_Q5_0, TYPE_Q8_0, TYPE_Q6_K, TYPE_F16, TYPE_BF16, TYPE_F32, TYPES };

static const struct kind {
    u8 block_columns;  // columns of a block in the file, less one
    u8 block_bytes;    // its bytes
    u8 piece_columns;  // columns of a piece in the plane
    u8 item_bytes;     // of the scale plane for 32 columns; 0 without one
} KINDS[TYPES] = {
    {31, 18, 32, 2}, {255, 144, 32, 8}, {31, 22, 16, 2}, {31, 34, 16, 2},
    {255, 210, 16, 8}, {7, 16, 8, 0}, {7, 16, 8, 0}, {3, 16, 4, 0},
};

// The place of item number i of a row, whose first item is at `row`.
INLINE u8 *item(u8 *row, u32 i, u32 bytes) { return row + (i / ITEMS) * (TILE_ROWS * ITEMS * bytes) + i % ITEMS * bytes; }

INLINE v128 low_nibbles(v128 bytes) { return wasm_v128_and(bytes, wasm_i8x16_const_splat(15)); }
INLINE v128 high_nibbles(v128 bytes) { return wasm_u8x16_shr(bytes, 4); }
INLINE v128 bytes_of(u8 value) { return wasm_i8x16_splat((i8)value); }

INLINE u16 read_u16(const u8 *at) { return (u16)(at[0] | at[1] << 8); }
INLINE void write_u16(u8 *at, u16 value) { __builtin_memcpy(at, &value, 2); }
INLINE void write_f32(u8 *at, f32 value) { __builtin_memcpy(at, &value, 4); }

// An f16 as f32, infinities and NaN included (a damaged file's scales are kept as they are).
INLINE f32 read_f16(const u8 *at) {
    u32 half = read_u16(at), sign = (half & 0x8000u) << 16, rest = half & 0x7fffu;
    u32 bits = rest << 13;
    f32 value;
    if (rest >= 0x7c00u) bits |= 0x7f800000u;
    __builtin_memcpy(&value, &bits, 4);
    if (rest < 0x7c00u) value *= 0x1p112f;  // corrects the exponent's bias, of denormal numbers too
    __builtin_memcpy(&bits, &value, 4);
    bits |= sign;
    __builtin_memcpy(&value, &bits, 4);
    return value;
}

INLINE void q4_0(const u8 *block, u32 at, u8 *weights, u8 *scales) {
    store(item(weights, at, PIECE), load(block + 2));  // the file's order is the plane's
    write_u16(item(scales, at, 2), read_u16(block));
}

// Bit i of the 16 bits at `from`, as byte i of value 0 or 16.
INLINE v128 fifth_bits(const u8 *from) {
    const v128 bits = wasm_i8x16_const(1, 2, 4, 8, 16, 32, 64, -128, 1, 2, 4, 8, 16, 32, 64, -128);
    v128 pair = wasm_i16x8_splat((short)read_u16(from));
    v128 each = wasm_i8x16_shuffle(pair, pair, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    return wasm_v128_and(wasm_i8x16_eq(wasm_v128_and(each, bits), bits), bytes_of(16));
}

INLINE void q5_0(const u8 *block, u32 at, u8 *weights, u8 *scales) {
    v128 packed = load(block + 6);
    v128 low = wasm_v128_or(low_nibbles(packed), fifth_bits(block + 2));
    v128 high = wasm_v128_or(high_nibbles(packed), fifth_bits(block + 4));
    store(item(weights, 2 * at, PIECE), wasm_i8x16_sub(low, bytes_of(16)));
    store(item(weights, 2 * at + 1, PIECE), wasm_i8x16_sub(high, bytes_of(16)));
    write_u16(item(scales, at, 2), read_u16(block));
}

INLINE void q8_0(const u8 *block, u32 at, u8 *weights, u8 *scales) {
    store(item(weights, 2 * at, PIECE), load(block + 2));
    store(item(weights, 2 * at + 1, PIECE), load(block + 18));
    write_u16(item(scales, at, 2), read_u16(block));
}

INLINE void q4_k(const u8 *block, u32 at, u8 *weights, u8 *scales) {
    const u8 *six = block + 4, *codes = block + 16;
    f32 d = read_f16(block), least = read_f16(block + 2);
    for (u32 i = 0; i < 8; i++) {
        u32 scale = i < 4 ? six[i] & 63u : (six[i + 4] & 15u) | (six[i - 4] >> 6) << 4;
        u32 minimum = i < 4 ? six[i + 4] & 63u : (six[i + 4] >> 4) | (six[i] >> 6) << 4;
        u8 *to = item(scales, 8 * at + i, 8);
        write_f32(to, d * (f32)scale);
        write_f32(to + 4, least * (f32)minimum);
    }
    for (u32 pair = 0; pair < 4; pair++) {
        v128 first = load(codes + 32 * pair), second = load(codes + 32 * pair + 16);
        v128 even = wasm_v128_or(low_nibbles(first), wasm_i8x16_shl(second, 4));
        v128 odd = wasm_v128_or(high_nibbles(first), wasm_v128_and(second, bytes_of(0xf0)));
        store(item(weights, 8 * at + 2 * pair, PIECE), even);
        store(item(weights, 8 * at + 2 * pair + 1, PIECE), odd);
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

INLINE void floats(const u8 *block, u32 at, u8 *weights) { store(item(weights, at, PIECE), load(block)); }

// `count` items from number `first` of a row become zero.
static void clear(u8 *row, u32 first, u32 count, u32 bytes) {
    for (u32 i = first; i < first + count; i++) __builtin_memset(item(row, i, bytes), 0, bytes);
}

// Convert whole rows. `rows` is a multiple of 8 unless they are the matrix's last ones, `columns` one of 32 and of the
// type's block. Every byte of both planes is written; without scales theirs is not touched.
__attribute__((visibility("default"))) void convert(
    enum type type, const u8 *source, u32 rows, u32 columns, u8 *weights, u8 *scales) {
    const struct kind kind = KINDS[type];
    const u32 blocks = columns / (kind.block_columns + 1u);
    const u32 pieces = columns / kind.piece_columns, all_pieces = up(columns, TILE_COLUMNS) / kind.piece_columns;
    const u32 items = columns / BLOCK, all_items = up(columns, TILE_COLUMNS) / BLOCK;
    for (u32 r = 0; r < up(rows, TILE_ROWS); r++) {
        u8 *w = weights + r / TILE_ROWS * (TILE_ROWS * all_pieces * PIECE) + r % TILE_ROWS * (ITEMS * PIECE);
        u8 *s = scales + r / TILE_ROWS * (TILE_ROWS * all_items * kind.item_bytes) + r % TILE_ROWS * ITEMS * kind.item_bytes;
        const u32 filled = r < rows;
        if (filled) {
            const u8 *block = source + r * blocks * kind.block_bytes;
            switch (type) {
                case TYPE_Q4_0: for (u32 i = 0; i < blocks; i++) q4_0(block + 18 * i, i, w, s); break;
                case TYPE_Q4_K: for (u32 i = 0; i < blocks; i++) q4_k(block + 144 * i, i, w, s); break;
                case TYPE_Q5_0: for (u32 i = 0; i < blocks; i++) q5_0(block + 22 * i, i, w, s); break;
                case TYPE_Q8_0: for (u32 i = 0; i < blocks; i++) q8_0(block + 34 * i, i, w, s); break;
                case TYPE_Q6_K: for (u32 i = 0; i < blocks; i++) q6_k(block + 210 * i, i, w, s); break;
                default: for (u32 i = 0; i < blocks; i++) floats(block + 16 * i, i, w); break;
            }
        }
        clear(w, filled * pieces, all_pieces - filled * pieces, PIECE);
        if (kind.item_bytes) clear(s, filled * items, all_items - filled * items, kind.item_bytes);
    }
}
