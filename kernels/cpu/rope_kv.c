// QK-norm, RoPE and the KV cache write; twin of rope_kv.wgsl, where the shapes are. Work: heads of tokens.
#include "functions.h"
#include "kernels.h"
#include "norm.h"

// Head normed, turned by the angles (cos, sin) of its position, times scale; dimension i turns with i + E/2.
INLINE void turn(const f32 *x, const f32 *weight, const f32 *angles, u32 E, f32 eps, f32 scale, f32 *to) {
    const u32 half = E / 2;
    f32 factor = norm_factor(x, E, eps);
    for (u32 i = 0; i < half; i++) {
        f32 first = x[i] * factor * weight[i], second = x[i + half] * factor * weight[i + half];
        f32 cos = angles[2 * i], sin = angles[2 * i + 1];
        to[i] = (first * cos - second * sin) * scale;
        to[i + half] = (second * cos + first * sin) * scale;
    }
}

void rope_kv(const struct rope_kv *s, const struct run *run) {
    const u32 H = s->H, G = s->G, E = s->E, heads = H + 2 * G;
    FOR_CLAIMED(r, run, run->count * heads, 1) {
        for (u32 i = r.begin; i < r.end; i++) {
            u32 t = i / heads, h = i % heads, position = run->position + t;
            const f32 *x = s->qkv + i * E, *angles = s->angles + position * E;
            f32 key[256];
            if (h < H) {
                turn(x, s->q_norm, angles, E, s->EPS, s->SCALE, s->q + (t * H + h) * E);
                continue;
            }
            u16 *to = h < H + G ? s->keys : s->values;
            to += ((position % s->SLOTS) * G + (h - H) % G) * E;
            if (h < H + G) turn(x, s->k_norm, angles, E, s->EPS, 1.0f, key);
            for (u32 e = 0; e < E; e += 4) store_f16(to + e, load((h < H + G ? key : x) + e));
        }
    }
}
