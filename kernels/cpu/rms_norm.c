// y[t] = x[t] / sqrt(mean(x[t]^2) + EPS) * weight; twin of rms_norm.wgsl. x, y (T, D) f32; weight (D) f32.
#include "kernels.h"
#include "norm.h"

void rms_norm(const struct rms_norm *s, const struct run *run) {
    FOR_CLAIMED(r, run, run->count, 1) {
        for (u32 t = r.begin; t < r.end; t++) {
            const f32 *x = s->x + t * s->D;
            f32 *y = s->y + t * s->D, factor = norm_factor(x, s->D, s->EPS);
            for (u32 d = 0; d < s->D; d++) y[d] = x[d] * factor * s->weight[d];
        }
    }
}
