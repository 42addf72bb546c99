// y[s] = max of x[s*SLICE .. (s+1)*SLICE), no number where one of these is not finite; twin of slice_maxima.wgsl.
#include "kernels.h"

void slice_maxima(const struct slice_maxima *s, const struct run *run) {
    FOR_CLAIMED(r, run, (s->V + s->SLICE - 1) / s->SLICE, 16) {
        for (u32 slice = r.begin; slice < r.end; slice++) {
            u32 i = slice * s->SLICE, end = min_u32(i + s->SLICE, s->V);
            v128 peak = splat(s->x[i]), bad = zero();
            for (; i + 4 <= end; i += 4) {
                v128 four = load(s->x + i);
                peak = max4(peak, four);
                bad = wasm_v128_or(bad, not_finite(four));
            }
            f32 highest = max_of(peak);
            u32 broken = wasm_v128_any_true(bad);
            for (; i < end; i++) {
                highest = s->x[i] > highest ? s->x[i] : highest;
                broken |= is_not_finite(((const u32 *)s->x)[i]);
            }
            s->y[slice] = highest;
            if (broken) ((u32 *)s->y)[slice] = NOT_A_NUMBER;
        }
    }
}
