// Y = X W^T: rows of W against a chunk of tokens, for prefill; twin of matmul.wgsl.
//   weights (N, K) any format; x (T, K) f32; y f32: token t's row begins at t*STRIDE + OFFSET.
// First the threads make x int8 (activations.h), token by token. Then they claim tiles of 8 rows: a tile is
// unpacked once, all K columns of it, into an order in which one 32-bit lane holds four columns of one row, and
// is used for all tokens, four at a time. The lanes of a sum are then four rows, which share the activation
// (one splat load) and are scaled together. An unpacked tile (8 or 16 * K bytes) stays in the first-level cache.
//
// The instruction wants codes of 7 bits. Unpacking looks whether a tile's codes lie in -64..63, as all of Q5_0
// and Q6_K do; then 64 is added and taken off again through the block sums of x. Other tiles (Q8_0) are unpacked
// as halves and odd bits, w = 2 (h - 64) + o with h in 0..127, and take two passes. Both are exact in integers, so
// the choice changes no result. Measured in V8, one thread: 43 GMAC/s in one pass, 25 in two; 15 with the XOR of
// activations.h, which needs more registers than there are. (The loop of products() is not unrolled: unrolled it ran
// at 36, V8 keeping fewer values in registers.)
#include "activations.h"
#include "kernels.h"
#include "outer.h"
#include "weights.h"

#define UNROLL _Pragma("clang loop unroll(full)")

struct unpacked {
    u8 *codes;     // (K/4, 8 rows, 4 columns)
    f32 *scales;   // (K/unit, 8 rows), or of whole rows (8 rows)
    f32 *minima;   // (K/32, 8 rows), q4m
    u8 *odd;       // like codes, the lowest bits of weights that take two passes
    i32 offset;    // codes are this much above the value, or above half of it
    int passes;
};

u32 matmul_own_bytes(const struct matmul *s) { return 32 * up(s->K, TILE_COLUMNS); }

u32 matmul_shared_bytes(const struct matmul *s, u32 tokens) { return tokens * activation_bytes(s->K); }

// Four rows' 16 codes each, 16 columns: out[q] holds columns 4q .. 4q+3 of the four rows.
INLINE void put_transposed(v128 a, v128 b, v128 c, v128 d, u8 *to) {
    v128 ab0 = wasm_i32x4_shuffle(a, b, 0, 4, 1, 5), ab1 = wasm_i32x4_shuffle(a, b, 2, 6, 3, 7);
    v128 cd0 = wasm_i32x4_shuffle(c, d, 0, 4, 1, 5), cd1 = wasm_i32x4_shuffle(c, d, 2, 6, 3, 7);
    store(to, wasm_i64x2_shuffle(ab0, cd0, 0, 2));
    store(to + 32, wasm_i64x2_shuffle(ab0, cd0, 1, 3));
    store(to + 64, wasm_i64x2_shuffle(ab1, cd1, 0, 2));
    store(to + 96, wasm_i64x2_shuffle(ab1, cd1, 1, 3));
}

INLINE void unpack(enum format format, const u8 *weights, const u8 *scales, u32 K, struct unpacked *to) {
    const u32 padded = up(K, TILE_COLUMNS);
    to->offset = is_offset(format) ? 8 : 0;
    to->passes = 1;
    v128 outside = zero();
    u8 *codes = to->codes;
    for (u32 c = 0; c < padded; c += TILE_COLUMNS, weights += tile_bytes(format)) {
        if (!is_bytes(format)) {
            for (u32 b = 0; b < 4; b++, codes += 256) {
                for (u32 g = 0; g < 2; g++) {
                    const u8 *w = weights + piece_at(4 * g, b);
                    v128 w0 = load(w), w1 = load(w + 64), w2 = load(w + 128), w3 = load(w + 192);
                    put_transposed(low_nibbles(w0), low_nibbles(w1), low_nibbles(w2), low_nibbles(w3), codes + 16 * g);
                    put_transposed(
                        high_nibbles(w0), high_nibbles(w1), high_nibbles(w2), high_nibbles(w3), codes + 128 + 16 * g);
                }
            }
        } else {
            for (u32 p = 0; p < 8; p++, codes += 128) {
                for (u32 g = 0; g < 2; g++) {
                    const u8 *w = weights + piece_at(4 * g, p);
                    v128 w0 = load(w), w1 = load(w + 64), w2 = load(w + 128), w3 = load(w + 192);
                    put_transposed(w0, w1, w2, w3, codes + 16 * g);
                    const v128 half = wasm_i8x16_const_splat(64);
                    outside = wasm_v128_or(outside, wasm_v128_or(
                        wasm_v128_or(wasm_i8x16_add(w0, half), wasm_i8x16_add(w1, half)),
                        wasm_v128_or(wasm_i8x16_add(w2, half), wasm_i8x16_add(w3, half))));
                }
            }
        }
    }
    if (is_bytes(format)) {
        const v128 offset = wasm_i8x16_const_splat(64);
        to->passes = wasm_i8x16_bitmask(outside) ? 2 : 1;
        to->offset = 64;
        for (u32 i = 0; i < 8 * padded; i += 16) {
            v128 w = load(to->codes + i);
            if (to->passes == 2) {
                store(to->odd + i, wasm_v128_and(w, wasm_i8x16_const_splat(1)));
                w = wasm_i8x16_shr(w, 1);
            }
            store(to->codes + i, wasm_i8x16_add(w, offset));
        }
    }
    if (is_by_row(format)) {
        for (u32 r = 0; r < TILE_ROWS; r++) to->scales[r] = row_scale(scales, r);
        return;
    }
    for (u32 c = 0; c < padded; c += TILE_COLUMNS, scales += scale_tile_bytes(format)) {
        for (u32 r = 0; r < TILE_ROWS; r++) {
            if (format == FORMAT_Q8H) {
                const f32 *row = (const f32 *)(scales + 32 * r);
                for (u32 b = 0; b < 8; b++) to->scales[c / 16 * TILE_ROWS + b * TILE_ROWS + r] = row[b];
                continue;
            }
            f32 row[4];
            store(row, block_scales(format, scales, r));
            for (u32 b = 0; b < 4; b++) to->scales[(c / BLOCK + b) * TILE_ROWS + r] = row[b];
            if (format == FORMAT_Q4M) {
                store(row, block_minima(scales, r));
                for (u32 b = 0; b < 4; b++) to->minima[(c / BLOCK + b) * TILE_ROWS + r] = row[b];
            }
        }
    }
}

// a[t] += codes times x[t], over one unit of columns.
INLINE void products(const u8 *codes, const struct activations *x, u32 column, u32 unit, v128 a[4][2]) {
    _Pragma("clang loop unroll(disable)") for (u32 k = 0; k < unit; k += 4, codes += 32) {
        v128 w0 = load(codes), w1 = load(codes + 16);
        UNROLL for (u32 t = 0; t < 4; t++) {
            v128 v = wasm_v128_load32_splat(x[t].codes + column + k);
            a[t][0] = dot(v, w0, a[t][0]);
            a[t][1] = dot(v, w1, a[t][1]);
        }
    }
}

// Four tokens x 8 rows. A unit is the columns with one weight scale: 16 for q8h, else 32.
INLINE void four_tokens(
    enum format format, int passes, const struct unpacked *w, const struct activations *x, u32 K, v128 sums[4][2]) {
    const u32 unit = format == FORMAT_Q8H ? 16 : 32;
    UNROLL for (u32 t = 0; t < 4; t++) sums[t][0] = sums[t][1] = zero();
    for (u32 u = 0; u < up(K, TILE_COLUMNS) / unit; u++) {
        v128 a[4][2];
        UNROLL for (u32 t = 0; t < 4; t++) {
            i32 sum = unit == 16 ? x[t].sums[u] : x[t].sums[2 * u] + x[t].sums[2 * u + 1];
            a[t][0] = a[t][1] = wasm_i32x4_splat(-w->offset * sum);
        }
        products(w->codes + 8 * u * unit, x, u * unit, unit, a);
        if (passes == 2) {
            UNROLL for (u32 t = 0; t < 4; t++) {
                a[t][0] = wasm_i32x4_shl(a[t][0], 1);
                a[t][1] = wasm_i32x4_shl(a[t][1], 1);
            }
            products(w->odd + 8 * u * unit, x, u * unit, unit, a);
        }
        if (is_by_row(format)) {
            UNROLL for (u32 t = 0; t < 4; t++) {
                v128 x_scale = wasm_v128_load32_splat(x[t].scales + u);
                sums[t][0] = add(sums[t][0], mul(to_f32(a[t][0]), x_scale));
                sums[t][1] = add(sums[t][1], mul(to_f32(a[t][1]), x_scale));
            }
            continue;
        }
        v128 scale0 = load(w->scales + 8 * u), scale1 = load(w->scales + 8 * u + 4);
        UNROLL for (u32 t = 0; t < 4; t++) {
            v128 x_scale = wasm_v128_load32_splat(x[t].scales + u * unit / BLOCK);
            sums[t][0] = add(sums[t][0], mul(mul(to_f32(a[t][0]), x_scale), scale0));
            sums[t][1] = add(sums[t][1], mul(mul(to_f32(a[t][1]), x_scale), scale1));
            if (format == FORMAT_Q4M) {
                v128 x_sum = mul(x_scale, splat((f32)(x[t].sums[2 * u] + x[t].sums[2 * u + 1])));
                sums[t][0] = sub(sums[t][0], mul(load(w->minima + 8 * u), x_sum));
                sums[t][1] = sub(sums[t][1], mul(load(w->minima + 8 * u + 4), x_sum));
            }
        }
    }
    if (is_by_row(format)) {
        UNROLL for (u32 t = 0; t < 4; t++) {
            sums[t][0] = mul(sums[t][0], load(w->scales));
            sums[t][1] = mul(sums[t][1], load(w->scales + 4));
        }
    }
}

// The sums of up to four tokens to y; rows past N and tokens past the count are left alone.
INLINE void put(const struct matmul *s, u32 row, u32 token, u32 count, v128 sums[4][2]) {
    for (u32 t = 0; t < min_u32(4, count - token); t++) {
        f32 *y = s->y + (token + t) * s->STRIDE + s->OFFSET + row;
        if (row + TILE_ROWS <= s->N) {
            store(y, sums[t][0]);
            store(y + 4, sums[t][1]);
        } else {
            f32 all[8];
            store(all, sums[t][0]);
            store(all + 4, sums[t][1]);
            for (u32 r = 0; r < s->N - row; r++) y[r] = all[r];
        }
    }
}

INLINE void coded_rows(enum format format, const struct matmul *s, const struct run *run) {
    const u32 tiles = up(s->K, TILE_COLUMNS) / TILE_COLUMNS, padded = tiles * TILE_COLUMNS;
    struct unpacked w;
    w.codes = run->own;
    w.odd = w.codes + 8 * padded;
    w.scales = (f32 *)(w.odd + 8 * padded);
    w.minima = w.scales + padded / 2;
    FOR_CLAIMED(r, run, run->count, 1) {
        for (u32 t = r.begin; t < r.end; t++) quantize(s->x + t * s->K, s->K, activation_row(run->shared, s->K, t));
    }
    barrier(run);
    FOR_CLAIMED(r, run, up(s->N, TILE_ROWS) / TILE_ROWS, 1) {
        for (u32 i = r.begin; i < r.end; i++) {
            unpack(
                format, s->weights + i * tiles * tile_bytes(format), s->scales + i * scale_rows_bytes(format, tiles),
                s->K, &w);
            for (u32 token = 0; token < run->count; token += 4) {
                struct activations x[4];
                for (u32 t = 0; t < 4; t++) {
                    x[t] = activation_row(run->shared, s->K, min_u32(token + t, run->count - 1));
                }
                v128 sums[4][2];
                if (w.passes == 2) four_tokens(format, 2, &w, x, s->K, sums);
                else four_tokens(format, 1, &w, x, s->K, sums);
                put(s, i * TILE_ROWS, token, run->count, sums);
            }
        }
    }
}

INLINE void float_rows(enum format format, const struct matmul *s, const struct run *run) {
    const u32 tiles = up(s->K, TILE_COLUMNS) / TILE_COLUMNS;
    f32 *unpacked = (f32 *)run->own;  // (K, 8 rows)
    FOR_CLAIMED(r, run, up(s->N, TILE_ROWS) / TILE_ROWS, 1) {
        for (u32 i = r.begin; i < r.end; i++) {
            const u8 *weights = s->weights + i * tiles * tile_bytes(format);
            for (u32 k = 0; k < s->K; k += 4) {
                for (u32 row = 0; row < TILE_ROWS; row++) {
                    f32 four[4];
                    u32 c = k / TILE_COLUMNS;
                    store(four, float_quad(format, weights + c * tile_bytes(format), row, (k - c * TILE_COLUMNS) / 4));
                    for (u32 j = 0; j < 4; j++) unpacked[(k + j) * TILE_ROWS + row] = four[j];
                }
            }
            for (u32 token = 0; token < run->count; token += 4) {
                const f32 *x[4];
                for (u32 t = 0; t < 4; t++) x[t] = s->x + min_u32(token + t, run->count - 1) * s->K;
                v128 sums[4][2] = {0};
                outer(x, unpacked, TILE_ROWS, s->K, sums);
                put(s, i * TILE_ROWS, token, run->count, sums);
            }
        }
    }
}

void matmul(const struct matmul *s, enum format format, const struct run *run) {
    switch (format) {
        case FORMAT_Q4: coded_rows(FORMAT_Q4, s, run); break;
        case FORMAT_Q4M: coded_rows(FORMAT_Q4M, s, run); break;
        case FORMAT_Q8: coded_rows(FORMAT_Q8, s, run); break;
        case FORMAT_Q8H: coded_rows(FORMAT_Q8H, s, run); break;
        case FORMAT_Q4R: coded_rows(FORMAT_Q4R, s, run); break;
        case FORMAT_Q8R: coded_rows(FORMAT_Q8R, s, run); break;
        case FORMAT_F16: float_rows(FORMAT_F16, s, run); break;
        case FORMAT_BF16: float_rows(FORMAT_BF16, s, run); break;
        default: float_rows(FORMAT_F32, s, run);
    }
}
