// y[s] = max of x[s*SLICE .. (s+1)*SLICE): the first level of top_k; twin of slice_maxima.wgsl.
#include "kernels.h"

void slice_maxima(const struct slice_maxima *s, const struct run *run) {
    FOR_CLAIMED(r, run, (s->V + s->SLICE - 1) / s->SLICE, 16) {
        for (u32 slice = r.begin; slice < r.end; slice++) {
            u32 i = slice * s->SLICE, end = min_u32(i + s->SLICE, s->V);
            v128 peak = splat(s->x[i]);
            for (; i + 4 <= end; i += 4) peak = max4(peak, load(s->x + i));
            f32 highest = max_of(peak);
            for (; i < end; i++) highest = s->x[i] > highest ? s->x[i] : highest;
            s->y[slice] = highest;
        }
    }
}
