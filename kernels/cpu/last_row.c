// y = x[count - 1]: the last real token of the chunk; twin of last_row.wgsl. x (T, D) f32, y (D) f32.
#include "kernels.h"

void last_row(const struct last_row *s, const struct run *run) {
    FOR_CLAIMED(r, run, s->D, 256) {
        for (u32 d = r.begin; d < r.end; d++) s->y[d] = s->x[(run->count - 1) * s->D + d];
    }
}
