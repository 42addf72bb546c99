// Matrices whose scales lie elsewhere (formats/row_types.py): out of the tiles of a web file (formats/tiles.py) into rows,
// and rows of codes into the pieces of a weight plane.
#include "plane.h"

// Sixteen codes of one byte each, t[input][output] of a tile, with those of an output together.
INLINE v128 by_output(v128 tile) {
    return wasm_i8x16_shuffle(tile, tile, 0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
}

// A tile of codes of four bits as one of bytes.
INLINE v128 widened(const u8 *at) {
    v128 packed = wasm_v128_load64_zero(at);
    v128 low = low_nibbles(packed), high = high_nibbles(packed);
    return wasm_i8x16_shuffle(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}

// Codes 0 .. 15 as nibbles in two's complement, two in a byte: 16 codes are 8 bytes.
INLINE void store_nibbles(u8 *to, v128 codes) {
    codes = wasm_v128_xor(codes, bytes_of(8));
    v128 pairs = wasm_v128_and(wasm_v128_or(codes, wasm_u16x8_shr(codes, 4)), wasm_i16x8_splat(255));
    wasm_v128_store64_lane(to, wasm_u8x16_narrow_i16x8(pairs, pairs), 0);
}

INLINE v128 added(v128 sum, v128 codes) {
    return wasm_i32x4_add(sum, wasm_u32x4_extadd_pairwise_u16x8(wasm_u16x8_extadd_pairwise_u8x16(codes)));
}

INLINE int total(v128 sum) {
    sum = wasm_i32x4_add(sum, wasm_i32x4_shuffle(sum, sum, 2, 3, 0, 1));
    return wasm_i32x4_extract_lane(sum, 0) + wasm_i32x4_extract_lane(sum, 1);
}

// From tiles to rows in two's complement, and the sum of each row's codes. `rows` is a multiple of 4, `columns` one of 32,
// `bits` 4 or 8.
__attribute__((visibility("default"))) void untile(
    u32 bits, u32 rows, u32 columns, const u8 *tiles, u8 *codes, int *sums) {
    const u32 tile_bytes = 2 * bits, strip = rows / 4 * tile_bytes, row_bytes = columns * bits / 8;
    const int excess = (int)columns << (bits - 1);
    for (u32 four = 0; four < rows / 4; four++) {
        const u8 *from = tiles + four * tile_bytes;
        u8 *to = codes + 4 * four * row_bytes;
        v128 sum0 = zero(), sum1 = zero(), sum2 = zero(), sum3 = zero();
        for (u32 column = 0; column < columns; column += 16, from += 4 * strip) {
            v128 a, b, c, d;
            if (bits == 8) {
                a = load(from), b = load(from + strip), c = load(from + 2 * strip), d = load(from + 3 * strip);
            } else {
                a = widened(from), b = widened(from + strip);
                c = widened(from + 2 * strip), d = widened(from + 3 * strip);
            }
            a = by_output(a), b = by_output(b), c = by_output(c), d = by_output(d);
            v128 ab01 = wasm_i32x4_shuffle(a, b, 0, 4, 1, 5), ab23 = wasm_i32x4_shuffle(a, b, 2, 6, 3, 7);
            v128 cd01 = wasm_i32x4_shuffle(c, d, 0, 4, 1, 5), cd23 = wasm_i32x4_shuffle(c, d, 2, 6, 3, 7);
            v128 row0 = wasm_i64x2_shuffle(ab01, cd01, 0, 2), row1 = wasm_i64x2_shuffle(ab01, cd01, 1, 3);
            v128 row2 = wasm_i64x2_shuffle(ab23, cd23, 0, 2), row3 = wasm_i64x2_shuffle(ab23, cd23, 1, 3);
            sum0 = added(sum0, row0), sum1 = added(sum1, row1), sum2 = added(sum2, row2), sum3 = added(sum3, row3);
            u8 *at = to + column * bits / 8;
            if (bits == 8) {
                store(at, wasm_v128_xor(row0, bytes_of(128)));
                store(at + row_bytes, wasm_v128_xor(row1, bytes_of(128)));
                store(at + 2 * row_bytes, wasm_v128_xor(row2, bytes_of(128)));
                store(at + 3 * row_bytes, wasm_v128_xor(row3, bytes_of(128)));
            } else {
                store_nibbles(at, row0), store_nibbles(at + row_bytes, row1);
                store_nibbles(at + 2 * row_bytes, row2), store_nibbles(at + 3 * row_bytes, row3);
            }
        }
        sums[4 * four] = total(sum0) - excess, sums[4 * four + 1] = total(sum1) - excess;
        sums[4 * four + 2] = total(sum2) - excess, sums[4 * four + 3] = total(sum3) - excess;
    }
}

// 32 codes of four bits, in two's complement, as block number `at` of a row of a plane: of 8 bits, or counted from -8 as
// the format q4 has them.
INLINE void four_bits(const u8 *from, u32 at, u32 bits, u8 *row) {
    v128 packed = load(from), low = low_nibbles(packed), high = high_nibbles(packed);
    v128 first = wasm_i8x16_shuffle(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    v128 last = wasm_i8x16_shuffle(low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    const v128 eight = bytes_of(8);
    first = wasm_v128_xor(first, eight), last = wasm_v128_xor(last, eight);
    if (bits == 4) {
        store(item(row, at, PIECE), wasm_v128_or(first, wasm_i8x16_shl(last, 4)));
    } else {
        store(item(row, 2 * at, PIECE), wasm_i8x16_sub(first, eight));
        store(item(row, 2 * at + 1, PIECE), wasm_i8x16_sub(last, eight));
    }
}

// Rows of codes into the pieces of a plane with `plane_bits` for a code, not fewer than `bits`. `rows` and `columns` as
// in convert.c; every byte of the plane is written.
__attribute__((visibility("default"))) void pack_rows(
    u32 bits, u32 plane_bits, u32 rows, u32 columns, const u8 *codes, u8 *weights) {
    const u32 pieces = columns * plane_bits / 128, all_pieces = up(columns, TILE_COLUMNS) * plane_bits / 128;
    const u32 row_bytes = columns * bits / 8;
    for (u32 r = 0; r < up(rows, TILE_ROWS); r++) {
        u8 *row = weights + r / TILE_ROWS * (TILE_ROWS * all_pieces * PIECE) + r % TILE_ROWS * (ITEMS * PIECE);
        const u32 filled = r < rows ? pieces : 0;
        const u8 *from = codes + r * row_bytes;
        if (filled && bits == 4) {
            for (u32 at = 0; at < columns / BLOCK; at++) four_bits(from + 16 * at, at, plane_bits, row);
        } else {
            for (u32 at = 0; at < filled; at++) store(item(row, at, PIECE), load(from + 16 * at));
        }
        for (u32 at = filled; at < all_pieces; at++) store(item(row, at, PIECE), zero());
    }
}
