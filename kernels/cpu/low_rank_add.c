// y += B u, in place; twin of low_rank_add.wgsl. low (T, WIDTH) f32, u; b (N, RANK) f16, RANK a multiple of 8;
// y (T, N) f32. BEGIN_1 and BEGIN_2 are multiples of 8, so that eight rows belong to one of the stacked matrices.
// Of a chunk, BLOCK_ROWS rows are taken at a time: whole cache lines of y, which is read and written.
#include "kernels.h"
#include "outer.h"

#define BLOCK_ROWS 64u

u32 low_rank_add_own_bytes(const struct low_rank_add *s) { return BLOCK_ROWS * s->RANK * 4; }

// A token's values for a row.
INLINE const f32 *low_of(const struct low_rank_add *s, u32 token, u32 row) {
    u32 stacked = (row >= s->BEGIN_1) + (row >= s->BEGIN_2);
    return s->low + token * s->WIDTH + stacked * s->RANK;
}

INLINE void row_of_one(const struct low_rank_add *s, u32 row) {
    const f32 *low = low_of(s, 0, row);
    const u16 *b = s->b + row * s->RANK;
    v128 first = zero(), second = zero();
    for (u32 r = 0; r < s->RANK; r += 8) {
        v128 eight = load(b + r);
        first = add(first, mul(f16_low(eight), load(low + r)));
        second = add(second, mul(f16_high(eight), load(low + r + 4)));
    }
    s->y[row] += sum_of(add(first, second));
}

// Eight rows of b as (RANK, 8 rows) f32; what is past N repeats the last row.
INLINE void unpack(const struct low_rank_add *s, u32 first, f32 *to) {
    for (u32 row = 0; row < TILE_ROWS; row++) {
        const u16 *b = s->b + min_u32(first + row, s->N - 1) * s->RANK;
        for (u32 r = 0; r < s->RANK; r += 4) {
            f32 four[4];
            store(four, load_f16(b + r));
            for (u32 j = 0; j < 4; j++) to[(r + j) * TILE_ROWS + row] = four[j];
        }
    }
}

INLINE void put(const struct low_rank_add *s, u32 row, u32 token, v128 sums[2]) {
    f32 *y = s->y + token * s->N + row;
    if (row + TILE_ROWS <= s->N) {
        store(y, add(load(y), sums[0]));
        store(y + 4, add(load(y + 4), sums[1]));
    } else {
        f32 all[8];
        store(all, sums[0]);
        store(all + 4, sums[1]);
        for (u32 r = 0; r < s->N - row; r++) y[r] += all[r];
    }
}

void low_rank_add(const struct low_rank_add *s, const struct run *run) {
    f32 *unpacked = (f32 *)run->own;
    if (run->count == 1) {
        FOR_CLAIMED(r, run, s->N, 64) {
            for (u32 row = r.begin; row < r.end; row++) row_of_one(s, row);
        }
        return;
    }
    FOR_CLAIMED(r, run, up(s->N, BLOCK_ROWS) / BLOCK_ROWS, 1) {
        for (u32 i = r.begin; i < r.end; i++) {
            const u32 begin = i * BLOCK_ROWS, end = min_u32(begin + BLOCK_ROWS, s->N);
            for (u32 row = begin; row < end; row += TILE_ROWS) unpack(s, row, unpacked + (row - begin) * s->RANK);
            for (u32 token = 0; token < run->count; token += 4) {
                for (u32 row = begin; row < end; row += TILE_ROWS) {
                    const f32 *low[4];
                    for (u32 t = 0; t < 4; t++) low[t] = low_of(s, min_u32(token + t, run->count - 1), row);
                    v128 sums[4][2] = {0};
                    outer(low, unpacked + (row - begin) * s->RANK, TILE_ROWS, s->RANK, sums);
                    for (u32 t = 0; t < min_u32(4, run->count - token); t++) put(s, row, token + t, sums[t]);
                }
            }
        }
    }
}
