// The COUNT highest values of x with their indices, in falling order, of equal values the lower index first; twin
// of top_k.wgsl. x (V) f32, consumed; maxima from slice_maxima, kept up to date; chosen (COUNT, 2) u32.
// A tournament in three levels, on one thread: 64 guards of slices, a guard's slices, a slice's values.
#include "kernels.h"

#define LOWEST -3.4028234e38f

// The first of the highest among x[begin .. end).
INLINE u32 highest(const f32 *x, u32 begin, u32 end) {
    u32 best = begin;
    for (u32 i = begin + 1; i < end; i++) {
        if (x[i] > x[best]) best = i;
    }
    return best;
}

void top_k(const struct top_k *s, const struct run *run) {
    const u32 slices = (s->V + s->SLICE - 1) / s->SLICE, share = (slices + 63) / 64;
    const u32 guards = (slices + share - 1) / share;
    FOR_CLAIMED(r, run, 1, 1) {
        f32 guarded[64];
        for (u32 g = 0; g < guards; g++) {
            guarded[g] = s->maxima[highest(s->maxima, g * share, min_u32((g + 1) * share, slices))];
        }
        for (u32 round = 0; round < s->COUNT; round++) {
            u32 guard = highest(guarded, 0, guards);
            u32 first = guard * share, last = min_u32(first + share, slices);
            u32 slice = highest(s->maxima, first, last);
            u32 begin = slice * s->SLICE, end = min_u32(begin + s->SLICE, s->V);
            u32 winner = highest(s->x, begin, end);
            s->chosen[2 * round] = winner;
            ((f32 *)s->chosen)[2 * round + 1] = s->x[winner];
            s->x[winner] = LOWEST;
            s->maxima[slice] = s->x[highest(s->x, begin, end)];
            guarded[guard] = s->maxima[highest(s->maxima, first, last)];
        }
    }
}
