// y = gelu(gate) * up, GELU in its tanh form; twin of geglu.wgsl. gate_up (T, 2F), y (T, F) f32, F a multiple of 4.
// (1 + tanh u) / 2 = 1 / (1 + e^(-2u)).
#include "functions.h"
#include "kernels.h"

void geglu(const struct geglu *s, const struct run *run) {
    const u32 quads = s->F / 4;
    FOR_CLAIMED(r, run, run->count * quads, 32) {
        for (u32 i = r.begin; i < r.end; i++) {
            const f32 *from = s->gate_up + i / quads * 2 * s->F + 4 * (i % quads);
            v128 gate = load(from), gated = load(from + s->F);
            v128 cube = mul(mul(gate, gate), gate);
            v128 u = mul(splat(0.7978845608028654f), add(gate, mul(splat(0.044715f), cube)));
            v128 share = wasm_f32x4_div(splat(1.0f), add(splat(1.0f), exp4(mul(splat(-2.0f), u))));
            store(s->y + 4 * i, mul(mul(gate, share), gated));
        }
    }
}
