// y[t] = x[t, target[t]] - log(sum(exp(x[t]))); twin of log_prob.wgsl. x (T, V) f32; targets (T) u32; y (T) f32: no number
// where a logit is not finite. Sums of 256 values in f32, sums of those in f64.
#include "functions.h"
#include "kernels.h"

INLINE f32 value(const f32 *x, u32 i, u32 n, f32 otherwise) { return i < n ? x[i] : otherwise; }

void log_prob(const struct log_prob *s, const struct run *run) {
    FOR_CLAIMED(r, run, run->count, 1) {
        for (u32 t = r.begin; t < r.end; t++) {
            const f32 *x = s->x + t * s->V;
            f32 peak = x[0];
            u32 broken = 0;
            for (u32 i = 0; i < s->V; i++) {
                peak = x[i] > peak ? x[i] : peak;
                broken |= is_not_finite(((const u32 *)x)[i]);
            }
            f64 total = 0;
            for (u32 i = 0; i < s->V; i += 256) {
                v128 sums = zero();
                for (u32 j = i; j < min_u32(i + 256, s->V); j += 4) {
                    v128 four = j + 4 <= s->V
                        ? load(x + j)
                        : wasm_f32x4_make(x[j], value(x, j + 1, s->V, -3e38f), value(x, j + 2, s->V, -3e38f), -3e38f);
                    sums = add(sums, exp4(sub(four, splat(peak))));
                }
                total += sum_of(sums);
            }
            s->y[t] = (f32)((f64)x[s->targets[t]] - peak - natural_log(total));
            if (broken) ((u32 *)s->y)[t] = NOT_A_NUMBER;
        }
    }
}
