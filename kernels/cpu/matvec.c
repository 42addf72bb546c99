// y = W x for one token; twin of matvec.wgsl.
//   weights (N, K) any format; x (K) f32, made int8 here (activations.h) unless the weights are floats;
//   y f32, written at OFFSET .. OFFSET+N-1.
// Every thread makes all of x int8 for itself: that is cheaper than to wait for each other. Work is claimed by
// tiles of 8 rows, which are contiguous, so each thread streams through memory; the eight rows are summed side
// by side and share the loads of x. A lane holds a quarter of a row's products until the end.
//
// Measured: docs/benchmarks/cpu.md.
#include "activations.h"
#include "kernels.h"
#include "weights.h"

#define UNROLL _Pragma("clang loop unroll(full)")

// The scale of row r and block b (of 16 columns for q8h, else of 32) times x's, in the order tile() reads them.
static void combine_scales(enum format format, const u8 *scales, const f32 *x_scales, u32 K, f32 *to) {
    for (u32 c = 0; c < K; c += TILE_COLUMNS, scales += scale_tile_bytes(format)) {
        v128 x_scale = load(x_scales + c / BLOCK);
        for (u32 r = 0; r < TILE_ROWS; r++) {
            if (format == FORMAT_Q8H) {
                v128 low = wasm_i32x4_shuffle(x_scale, x_scale, 0, 0, 1, 1);
                v128 high = wasm_i32x4_shuffle(x_scale, x_scale, 2, 2, 3, 3);
                store(to, mul(load(scales + 32 * r), low));
                store(to + 4, mul(load(scales + 32 * r + 16), high));
                to += 8;
            } else {
                store(to, mul(block_scales(format, scales, r), x_scale));
                to += 4;
            }
        }
    }
}

// q4m: sums[r] = -(minimum of each block times the sum of x over the block).
static void start_with_minima(const u8 *scales, struct activations x, u32 K, v128 *sums) {
    for (u32 r = 0; r < TILE_ROWS; r++) sums[r] = zero();
    for (u32 c = 0; c < K; c += TILE_COLUMNS, scales += 256) {
        const i32 *halves = x.sums + c / 16;
        v128 a = load(halves), b = load(halves + 4);
        v128 total = wasm_i32x4_add(wasm_i32x4_shuffle(a, b, 0, 2, 4, 6), wasm_i32x4_shuffle(a, b, 1, 3, 5, 7));
        v128 x_sum = mul(to_f32(total), load(x.scales + c / BLOCK));
        for (u32 r = 0; r < TILE_ROWS; r++) sums[r] = sub(sums[r], mul(block_minima(scales, r), x_sum));
    }
}

// A row's sum, which stays in memory: Cranelift, the compiler of wasmtime, computes a value only where something is done
// with it. Sums in variables would all wait for the end of the loop, with every load before them kept on the stack.
INLINE void add_to(volatile v128 *sum, v128 term) { *sum = add(*sum, term); }
INLINE void add_both(volatile v128 *sum, v128 first, v128 second) { *sum = add(add(*sum, first), second); }

// Adds the products of 8 rows and K columns to `sums`. Where a scale is a whole row's, that is left to the end, and `scales`
// is not read.
INLINE void tile(enum format format, const u8 *weights, const f32 *scales, struct activations x, u32 K, v128 *sums) {
    const u32 bytes = tile_bytes(format);
    for (u32 c = 0; c < K; c += TILE_COLUMNS, weights += bytes, scales += format == FORMAT_Q8H ? 64 : 32) {
        UNROLL for (u32 b = 0; b < 4; b++) {
            const u32 block = c / BLOCK + b;
            const v128 x_scale = wasm_v128_load32_splat(x.scales + block);
            v128 x0 = load(x.codes + BLOCK * block), x1 = load(x.codes + BLOCK * block + 16);
            if (is_bytes(format)) {
                v128 m0 = wasm_i8x16_lt(x0, zero()), m1 = wasm_i8x16_lt(x1, zero());
                x0 = wasm_i8x16_abs(x0), x1 = wasm_i8x16_abs(x1);
                v128 dips = wasm_v128_load64_zero(x.dips + 2 * block);
                v128 dips1 = format == FORMAT_Q8H ? wasm_v128_load32_zero(x.dips + 2 * block + 1) : zero();
                if (format == FORMAT_Q8H) dips = wasm_v128_load32_zero(x.dips + 2 * block);
                UNROLL for (u32 r = 0; r < TILE_ROWS; r++) {
                    const u8 *w = weights + piece_at(r, 2 * b);
                    v128 p = dot(wasm_v128_xor(load(w), m0), x0, dips);
                    if (format == FORMAT_Q8H) {
                        v128 p1 = dot(wasm_v128_xor(load(w + 16), m1), x1, dips1);
                        v128 s = wasm_v128_load32_splat(scales + 8 * r + 2 * b);
                        v128 s1 = wasm_v128_load32_splat(scales + 8 * r + 2 * b + 1);
                        add_both(sums + r, mul(to_f32(p), s), mul(to_f32(p1), s1));
                    } else {
                        p = dot(wasm_v128_xor(load(w + 16), m1), x1, p);
                        v128 scale = is_by_row(format) ? x_scale : wasm_v128_load32_splat(scales + 4 * r + b);
                        add_to(sums + r, mul(to_f32(p), scale));
                    }
                }
            } else {
                v128 start = zero();  // codes may be 8 above the value
                if (is_offset(format)) {
                    start = wasm_i32x4_shl(wasm_v128_load64_zero(x.sums + 2 * block), 3);
                    start = wasm_i32x4_neg(start);
                }
                UNROLL for (u32 r = 0; r < TILE_ROWS; r++) {
                    v128 w = load(weights + piece_at(r, b));
                    v128 p = dot(x1, high_nibbles(w), dot(x0, low_nibbles(w), start));
                    v128 scale = is_by_row(format) ? x_scale : wasm_v128_load32_splat(scales + 4 * r + b);
                    add_to(sums + r, mul(to_f32(p), scale));
                }
            }
        }
    }
}

// The same for float weights and f32 activations.
INLINE void float_tile(enum format format, const u8 *weights, const f32 *x, u32 K, v128 *sums) {
    v128 s[TILE_ROWS];
    UNROLL for (u32 r = 0; r < TILE_ROWS; r++) s[r] = zero();
    for (u32 c = 0; c < K; c += TILE_COLUMNS, weights += tile_bytes(format)) {
        for (u32 quad = 0; quad < (min_u32(K - c, TILE_COLUMNS)) / 4; quad++) {
            v128 v = load(x + c + 4 * quad);
            UNROLL for (u32 r = 0; r < TILE_ROWS; r++) s[r] = add(s[r], mul(float_quad(format, weights, r, quad), v));
        }
    }
    UNROLL for (u32 r = 0; r < TILE_ROWS; r++) sums[r] = s[r];
}

u32 matvec_own_bytes(const struct matvec *s) { return activation_bytes(s->K) + 2 * up(s->K, TILE_COLUMNS); }

INLINE void rows(enum format format, const struct matvec *s, const struct run *run) {
    struct activations x = activation_row(run->own, s->K, 0);
    f32 *scales = (f32 *)(run->own + activation_bytes(s->K));
    if (!is_float(format)) quantize(s->x, s->K, x);
    const u32 tiles = up(s->K, TILE_COLUMNS) / TILE_COLUMNS;
    FOR_CLAIMED(r, run, up(s->N, TILE_ROWS) / TILE_ROWS, 4) {
        for (u32 i = r.begin; i < r.end; i++) {
            const u8 *weights = s->weights + i * tiles * tile_bytes(format);
            const u8 *scale_plane = s->scales + i * scale_rows_bytes(format, tiles);
            v128 sums[TILE_ROWS] = {0};
            if (is_float(format)) {
                float_tile(format, weights, s->x, s->K, sums);
            } else {
                if (!is_by_row(format)) combine_scales(format, scale_plane, x.scales, s->K, scales);
                if (format == FORMAT_Q4M) start_with_minima(scale_plane, x, s->K, sums);
                tile(format, weights, scales, x, s->K, sums);
            }
            f32 *y = s->y + s->OFFSET + i * TILE_ROWS;
            for (u32 row = 0; row < min_u32(TILE_ROWS, s->N - i * TILE_ROWS); row++) {
                f32 sum = sum_of(sums[row]);
                y[row] = is_by_row(format) ? sum * row_scale(scale_plane, row) : sum;
            }
        }
    }
}

void matvec(const struct matvec *s, enum format format, const struct run *run) {
    switch (format) {
        case FORMAT_Q4: rows(FORMAT_Q4, s, run); break;
        case FORMAT_Q4M: rows(FORMAT_Q4M, s, run); break;
        case FORMAT_Q8: rows(FORMAT_Q8, s, run); break;
        case FORMAT_Q8H: rows(FORMAT_Q8H, s, run); break;
        case FORMAT_Q4R: rows(FORMAT_Q4R, s, run); break;
        case FORMAT_Q8R: rows(FORMAT_Q8R, s, run); break;
        case FORMAT_F16: rows(FORMAT_F16, s, run); break;
        case FORMAT_BF16: rows(FORMAT_BF16, s, run); break;
        default: rows(FORMAT_F32, s, run);
    }
}
