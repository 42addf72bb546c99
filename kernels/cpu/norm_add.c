// x[t] += rms_norm(y[t]), in place; twin of norm_add.wgsl. x, y (T, D) f32; weight (D) f32.
#include "kernels.h"
#include "norm.h"

void norm_add(const struct norm_add *s, const struct run *run) {
    FOR_CLAIMED(r, run, run->count, 1) {
        for (u32 t = r.begin; t < r.end; t++) {
            const f32 *y = s->y + t * s->D;
            f32 *x = s->x + t * s->D, factor = norm_factor(y, s->D, s->EPS);
            for (u32 d = 0; d < s->D; d++) x[d] += y[d] * factor * s->weight[d];
        }
    }
}
