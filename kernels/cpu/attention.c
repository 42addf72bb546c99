// y[t, h] = softmax(q[t, h] . keys) values over the positions token t may see; twin of attention.wgsl, where the
// shapes are. Two ways, both reading a key or value once for all the heads that share it (GQA) and never looking
// past the window:
//
// A chunk of tokens: flash attention (Dao et al. 2022, arXiv:2205.14135). A piece of work is 8 tokens x the heads
// of a KV head; it walks over tiles of 32 positions, each turned to f32 once (keys transposed), with the f32 kernel
// of outer.h for scores and for weighted sums, and a running maximum for each row.
//
// One token: there are too few heads to share out, so positions are (scores), then heads (softmax), then
// dimensions (weighted sums), with a barrier between.
#include "functions.h"
#include "kernels.h"
#include "outer.h"

#define TOKENS 8u
#define KEYS 32u
#define LOWEST -3.0e38f

u32 attention_shared_bytes(const struct attention *s) { return 4 * s->H * up(min_u32(s->WINDOW, s->SLOTS), KEYS); }

// Rows of queries a piece of work has, up to a multiple of four: the outer kernel takes four.
INLINE u32 query_rows(const struct attention *s) { return up(TOKENS * (s->H / s->G), 4); }

u32 attention_own_bytes(const struct attention *s) {
    u32 rows = query_rows(s), dims = up(s->E, 8);
    return 4 * (2 * KEYS * dims + rows * KEYS + rows * dims + 2 * rows);
}

// The first position that a token may see.
INLINE u32 first_seen(const struct attention *s, u32 position) {
    return position + 1 > s->WINDOW ? position + 1 - s->WINDOW : 0;
}

// ---- a chunk of tokens ----

// 32 positions from `base` on: keys transposed to (E, 32), values as (32, E up to 8); zeros past `end`.
INLINE void read_tile(const struct attention *s, u32 g, u32 base, u32 end, f32 *keys, f32 *values) {
    const u32 E = s->E, dims = up(E, 8);
    for (u32 i = 0; i < KEYS; i += 4) {
        const u16 *key[4];
        for (u32 j = 0; j < 4; j++) {
            u32 position = min_u32(base + i + j, end - 1);
            u32 at = ((position % s->SLOTS) * s->G + g) * E;
            key[j] = s->keys + at;
            const u16 *value = s->values + at;
            f32 *to = values + (i + j) * dims;
            for (u32 e = 0; e < E; e += 4) store(to + e, load_f16(value + e));
            if (dims > E) store(to + E, zero());
        }
        for (u32 e = 0; e < E; e += 4) {
            v128 a = load_f16(key[0] + e), b = load_f16(key[1] + e);
            v128 c = load_f16(key[2] + e), d = load_f16(key[3] + e);
            v128 ab0 = wasm_i32x4_shuffle(a, b, 0, 4, 1, 5), ab1 = wasm_i32x4_shuffle(a, b, 2, 6, 3, 7);
            v128 cd0 = wasm_i32x4_shuffle(c, d, 0, 4, 1, 5), cd1 = wasm_i32x4_shuffle(c, d, 2, 6, 3, 7);
            store(keys + e * KEYS + i, wasm_i64x2_shuffle(ab0, cd0, 0, 2));
            store(keys + (e + 1) * KEYS + i, wasm_i64x2_shuffle(ab0, cd0, 1, 3));
            store(keys + (e + 2) * KEYS + i, wasm_i64x2_shuffle(ab1, cd1, 0, 2));
            store(keys + (e + 3) * KEYS + i, wasm_i64x2_shuffle(ab1, cd1, 1, 3));
        }
    }
}

static void chunk_piece(const struct attention *s, const struct run *run, u32 token, u32 g) {
    const u32 E = s->E, dims = up(E, 8), R = s->H / s->G;
    const u32 tokens = min_u32(TOKENS, run->count - token), rows = up(tokens * R, 4);
    f32 *keys = (f32 *)run->own, *values = keys + KEYS * dims, *scores = values + KEYS * dims;
    f32 *sums = scores + query_rows(s) * KEYS, *highest = sums + query_rows(s) * dims;
    f32 *total = highest + query_rows(s);
    for (u32 i = 0; i < rows * dims; i += 4) store(sums + i, zero());
    for (u32 i = 0; i < rows; i++) highest[i] = LOWEST, total[i] = 0;

    const u32 from = run->position + token, end = from + tokens;
    for (u32 base = first_seen(s, from); base < end; base += KEYS) {
        read_tile(s, g, base, end, keys, values);
        for (u32 row = 0; row < rows; row += 4) {
            const f32 *query[4];
            f32 *score[4];
            for (u32 i = 0; i < 4; i++) {
                u32 real = min_u32(row + i, tokens * R - 1);  // rows past the last one repeat it
                query[i] = s->q + ((token + real / R) * s->H + g * R + real % R) * E;
                score[i] = scores + (row + i) * KEYS;
            }
            for (u32 k = 0; k < KEYS; k += 8) {
                v128 products[4][2] = {0};
                outer(query, keys + k, KEYS, E, products);
                for (u32 i = 0; i < 4; i++) store(score[i] + k, products[i][0]), store(score[i] + k + 4, products[i][1]);
            }
            for (u32 i = 0; i < 4; i++) {
                // Position base + k is seen when first <= base + k <= the token's own: others weigh nothing.
                u32 position = from + min_u32(row + i, tokens * R - 1) / R, first = first_seen(s, position);
                u32 begin = first > base ? first - base : 0, stop = min_u32(position + 1 > base ? position + 1 - base : 0, KEYS);
                f32 peak = highest[row + i];
                for (u32 k = begin; k < stop; k++) peak = score[i][k] > peak ? score[i][k] : peak;
                v128 sum = zero();
                for (u32 k = 0; k < KEYS; k += 4) {
                    v128 at = wasm_i32x4_add(wasm_i32x4_splat((i32)k), wasm_i32x4_const(0, 1, 2, 3));
                    v128 seen = wasm_v128_and(
                        wasm_i32x4_ge(at, wasm_i32x4_splat((i32)begin)), wasm_i32x4_lt(at, wasm_i32x4_splat((i32)stop)));
                    v128 weight = wasm_v128_and(exp4(sub(load(score[i] + k), splat(peak))), seen);
                    store(score[i] + k, weight);
                    sum = add(sum, weight);
                }
                f32 decay = wasm_f32x4_extract_lane(exp4(splat(highest[row + i] - peak)), 0);
                highest[row + i] = peak;
                total[row + i] = total[row + i] * decay + sum_of(sum);
                if (decay != 1.0f) {
                    f32 *y = sums + (row + i) * dims;
                    for (u32 e = 0; e < dims; e += 4) store(y + e, mul(load(y + e), splat(decay)));
                }
            }
            for (u32 e = 0; e < dims; e += 8) {
                v128 y[4][2];
                f32 *at = sums + row * dims + e;
                for (u32 i = 0; i < 4; i++) y[i][0] = load(at + i * dims), y[i][1] = load(at + i * dims + 4);
                outer((const f32 *const *)score, values + e, dims, KEYS, y);
                for (u32 i = 0; i < 4; i++) store(at + i * dims, y[i][0]), store(at + i * dims + 4, y[i][1]);
            }
        }
    }
    for (u32 row = 0; row < tokens * R; row++) {
        f32 *y = s->y + ((token + row / R) * s->H + g * R + row % R) * E, share = 1.0f / total[row];
        for (u32 e = 0; e < E; e += 4) store(y + e, mul(load(sums + row * dims + e), splat(share)));
    }
}

// ---- one token ----

// Scores of one position for up to four heads.
INLINE void score_position(const u16 *key, const f32 *const *q, u32 heads, u32 E, f32 *const *to, u32 i) {
    v128 s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
    for (u32 e = 0; e < E; e += 4) {
        v128 k = load_f16(key + e);
        s0 = add(s0, mul(k, load(q[0] + e))), s1 = add(s1, mul(k, load(q[1] + e)));
        s2 = add(s2, mul(k, load(q[2] + e))), s3 = add(s3, mul(k, load(q[3] + e)));
    }
    f32 sums[4] = {sum_of(s0), sum_of(s1), sum_of(s2), sum_of(s3)};
    for (u32 h = 0; h < heads; h++) to[h][i] = sums[h];
}

// Dimensions e .. e+3 of up to four heads' weighted sums of values.
INLINE void weigh_values(
    const struct attention *s, u32 g, u32 e, u32 begin, u32 n, const f32 *const *weights, u32 heads, f32 *const *y) {
    v128 s0 = zero(), s1 = zero(), s2 = zero(), s3 = zero();
    u32 slot = begin % s->SLOTS;
    for (u32 i = 0; i < n; i++) {
        v128 v = load_f16(s->values + (slot * s->G + g) * s->E + e);
        s0 = add(s0, mul(v, wasm_v128_load32_splat(weights[0] + i)));
        s1 = add(s1, mul(v, wasm_v128_load32_splat(weights[1] + i)));
        s2 = add(s2, mul(v, wasm_v128_load32_splat(weights[2] + i)));
        s3 = add(s3, mul(v, wasm_v128_load32_splat(weights[3] + i)));
        if (++slot == s->SLOTS) slot = 0;
    }
    v128 all[4] = {s0, s1, s2, s3};
    for (u32 h = 0; h < heads; h++) store(y[h] + e, all[h]);
}

static void one_token(const struct attention *s, const struct run *run) {
    const u32 E = s->E, R = s->H / s->G, groups = (R + 3) / 4;
    const u32 begin = first_seen(s, run->position), n = run->position + 1 - begin;
    const u32 stride = up(min_u32(s->WINDOW, s->SLOTS), KEYS);
    f32 *scores = (f32 *)run->shared;
    FOR_CLAIMED(r, run, n, 16) {
        for (u32 g = 0; g < s->G; g++) {
            for (u32 group = 0; group < groups; group++) {
                const u32 h = g * R + 4 * group, heads = min_u32(4, R - 4 * group);
                const f32 *q[4];
                f32 *to[4];
                for (u32 i = 0; i < 4; i++) {
                    u32 real = h + min_u32(i, heads - 1);
                    q[i] = s->q + real * E, to[i] = scores + real * stride;
                }
                u32 slot = (begin + r.begin) % s->SLOTS;
                for (u32 i = r.begin; i < r.end; i++) {
                    score_position(s->keys + (slot * s->G + g) * E, q, heads, E, to, i);
                    if (++slot == s->SLOTS) slot = 0;
                }
            }
        }
    }
    barrier(run);
    FOR_CLAIMED(r, run, s->H, 1) {
        for (u32 h = r.begin; h < r.end; h++) {
            f32 *x = scores + h * stride;
            f32 peak = x[0];
            for (u32 i = 1; i < n; i++) peak = x[i] > peak ? x[i] : peak;
            for (u32 i = n; i < up(n, 4); i++) x[i] = LOWEST;
            v128 sum = zero();
            for (u32 i = 0; i < n; i += 4) {
                v128 weight = exp4(sub(load(x + i), splat(peak)));
                store(x + i, weight);
                sum = add(sum, weight);
            }
            // The lanes past n hold e^-87 rather than 0: too little to change the sum.
            v128 share = splat(1.0f / sum_of(sum));
            for (u32 i = 0; i < n; i += 4) store(x + i, mul(load(x + i), share));
        }
    }
    barrier(run);
    const u32 quads = E / 4;
    FOR_CLAIMED(r, run, s->G * groups * quads, 4) {
        for (u32 i = r.begin; i < r.end; i++) {
            const u32 g = i / quads / groups, group = i / quads % groups;
            const u32 h = g * R + 4 * group, heads = min_u32(4, R - 4 * group);
            const f32 *weights[4];
            f32 *y[4];
            for (u32 j = 0; j < 4; j++) {
                u32 real = h + min_u32(j, heads - 1);
                weights[j] = scores + real * stride, y[j] = s->y + real * E;
            }
            weigh_values(s, g, 4 * (i % quads), begin, n, weights, heads, y);
        }
    }
}

void attention(const struct attention *s, const struct run *run) {
    if (run->count == 1) {
        one_token(s, run);
        return;
    }
    const u32 blocks = (run->count + TOKENS - 1) / TOKENS;
    FOR_CLAIMED(r, run, blocks * s->G, 1) {
        for (u32 i = r.begin; i < r.end; i++) chunk_piece(s, run, i / s->G * TOKENS, i % s->G);
    }
}
