// From a model file's blocks to the layout of the weight planes: py/sotto/weights/layout.py's `convert`, byte for byte.
//
// A plane is tiles of 8 rows x 4 items (layout.py); an item is a 16-byte piece of weights or the scales of a block
// of 32 columns. A tile's row of 4 items is contiguous and the next tile along the columns lies 8 such rows on, so
// a row is written front to back with one jump after every fourth item. The blocks are described in formats/blocks.py.
#include "grid_blocks.h"
#include "k_blocks.h"
#include "simple_blocks.h"

enum type {
    TYPE_Q4_0, TYPE_Q4_K, TYPE_Q5_0, TYPE_Q8_0, TYPE_Q6_K, TYPE_F16, TYPE_BF16, TYPE_F32, TYPE_Q5_1, TYPE_Q5_K,
    TYPE_IQ4_NL, TYPE_IQ4_XS, TYPE_Q4_1, TYPE_Q3_K, TYPE_Q2_K, TYPE_IQ3_S, TYPE_IQ3_XXS, TYPE_IQ2_S, TYPE_IQ2_XS,
    TYPE_IQ2_XXS, TYPE_IQ1_M, TYPE_IQ1_S, TYPE_TQ2_0, TYPE_TQ1_0, TYPE_MXFP4, TYPES
};

static const struct kind {
    u8 block_columns;  // columns of a block in the file, less one
    u8 block_bytes;    // its bytes
    u8 piece_columns;  // columns of a piece in the plane
    u8 item_bytes;     // of the scale plane for 32 columns; 0 without one
} KINDS[TYPES] = {
    {31, 18, 32, 2}, {255, 144, 32, 8}, {31, 22, 16, 2}, {31, 34, 16, 2},
    {255, 210, 16, 8}, {7, 16, 8, 0}, {7, 16, 8, 0}, {3, 16, 4, 0}, {31, 24, 16, 2}, {255, 176, 16, 2},
    {31, 18, 16, 2}, {255, 136, 16, 8}, {31, 20, 32, 8}, {255, 110, 16, 8}, {255, 84, 16, 2}, {255, 110, 16, 8},
    {255, 98, 16, 8}, {255, 82, 16, 8}, {255, 74, 16, 8},
    {255, 66, 16, 8}, {255, 56, 16, 8}, {255, 50, 16, 8}, {255, 66, 32, 2}, {255, 54, 32, 2}, {31, 17, 16, 8},
};

// `count` items from number `first` of a row become zero.
static void clear(u8 *row, u32 first, u32 count, u32 bytes) {
    for (u32 i = first; i < first + count; i++) __builtin_memset(item(row, i, bytes), 0, bytes);
}

#define EACH(type, function, ...) \
    case TYPE_##type: \
        for (u32 i = 0; i < blocks; i++) function(from + kind.block_bytes * i, i, w, s __VA_OPT__(,) __VA_ARGS__); \
        break;

// Convert whole rows. `rows` is a multiple of 8 unless they are the matrix's last ones, `columns` one of 32 and of the
// type's block. Every byte of both planes is written; without scales theirs is not touched. `grid` has the type's points.
__attribute__((visibility("default"))) void convert(
    enum type type, u32 rows, u32 columns, const u8 *source, const u8 *grid, u8 *weights, u8 *scales) {
    const struct kind kind = KINDS[type];
    const u32 blocks = columns / (kind.block_columns + 1u);
    const u32 pieces = columns / kind.piece_columns, all_pieces = up(columns, TILE_COLUMNS) / kind.piece_columns;
    const u32 items = columns / BLOCK, all_items = up(columns, TILE_COLUMNS) / BLOCK;
    for (u32 r = 0; r < up(rows, TILE_ROWS); r++) {
        u8 *w = weights + r / TILE_ROWS * (TILE_ROWS * all_pieces * PIECE) + r % TILE_ROWS * (ITEMS * PIECE);
        u8 *s = scales + r / TILE_ROWS * (TILE_ROWS * all_items * kind.item_bytes) + r % TILE_ROWS * ITEMS * kind.item_bytes;
        const u32 filled = r < rows;
        if (filled) {
            const u8 *from = source + r * blocks * kind.block_bytes;
            switch (type) {
                EACH(Q4_0, q4_0) EACH(Q4_1, q4_1) EACH(Q5_0, q5_0) EACH(Q5_1, q5_1) EACH(Q8_0, q8_0)
                EACH(Q2_K, q2_k) EACH(Q3_K, q3_k) EACH(Q4_K, q4_k) EACH(Q5_K, q5_k) EACH(Q6_K, q6_k)
                EACH(IQ4_NL, iq4_nl) EACH(IQ4_XS, iq4_xs) EACH(MXFP4, mxfp4) EACH(TQ1_0, tq1_0) EACH(TQ2_0, tq2_0)
                EACH(IQ2_XXS, iq2_xxs, grid) EACH(IQ2_XS, iq2_xs, grid) EACH(IQ2_S, iq2_s, grid)
                EACH(IQ3_XXS, iq3_xxs, grid) EACH(IQ3_S, iq3_s, grid) EACH(IQ1_S, iq1_s, grid) EACH(IQ1_M, iq1_m, grid)
                default: for (u32 i = 0; i < blocks; i++) floats(from + 16 * i, i, w); break;
            }
        }
        clear(w, filled * pieces, all_pieces - filled * pieces, PIECE);
        if (kind.item_bytes) clear(s, filled * items, all_items - filled * items, kind.item_bytes);
    }
}
