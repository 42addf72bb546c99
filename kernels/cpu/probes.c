// What the machine can do at all, whatever the model: twins of kernels/probes/*.wgsl (bench/probes.py).
#include "kernels.h"

#define PIECE 4096u  // 16-byte pieces that are claimed at a time: 64 KiB, read in order

void nothing(const struct nothing *s, const struct run *run) {
    if (run->thread == 0) s->y[0] += 1;
}

// The sum is stored for one pattern only, whose place in its group of four tells a test what was read.
void stream(const struct stream *s, const struct run *run) {
    FOR_CLAIMED(r, run, s->COUNT, PIECE) {
        v128 a = zero(), b = zero(), c = zero(), d = zero();
        const v128 *x = (const v128 *)s->x;
        for (u32 i = r.begin; i < r.end; i += 4) {
            a = wasm_v128_xor(a, x[i]);
            b = wasm_v128_xor(b, x[i + 1]);
            c = wasm_v128_xor(c, x[i + 2]);
            d = wasm_v128_xor(d, x[i + 3]);
        }
        v128 sum = wasm_v128_xor(wasm_v128_xor(a, b), wasm_v128_xor(c, d));
        v128 sought = wasm_u32x4_make(0x9e3779b9u, 0x7f4a7c15u, 0xf39cc060u, 0x5cedc834u);
        if (wasm_i32x4_all_true(wasm_i32x4_eq(sum, sought))) s->y[0] = r.begin / PIECE;
    }
}

// Four of the WGSL twin's threads are the lanes of one vector. Sums wait for nothing but the instruction itself:
// what it multiplies changes apart from them, two vectors of bytes with four of factors, in 15 registers.
void dots(const struct dots *s, const struct run *run) {
    v128 summand = wasm_u32x4_splat(s->x[1]);
    v128 f0 = wasm_u32x4_splat(s->x[0]);
    v128 f1 = wasm_i32x4_shl(f0, 8), f2 = wasm_i32x4_shl(f0, 16), f3 = wasm_i32x4_shl(f0, 24);
    FOR_CLAIMED(r, run, s->THREADS / 4, 1) {
        for (u32 vector = r.begin; vector < r.end; vector++) {
            v128 m = wasm_u32x4_splat(vector), n = wasm_u32x4_splat(vector + 1);
            v128 a = summand, b = a, c = a, d = a, e = a, f = a, g = a, h = a;
            for (u32 i = 0; i < s->ITERATIONS; i++) {
                a = dot(m, f0, a), b = dot(m, f1, b), c = dot(m, f2, c), d = dot(m, f3, d);
                e = dot(n, f0, e), f = dot(n, f1, f), g = dot(n, f2, g), h = dot(n, f3, h);
                m = wasm_i32x4_add(m, summand), n = wasm_i32x4_sub(n, summand);
            }
            v128 even = wasm_i32x4_add(wasm_i32x4_add(a, c), wasm_i32x4_add(e, g));
            v128 odd = wasm_i32x4_add(wasm_i32x4_add(b, d), wasm_i32x4_add(f, h));
            v128 found = wasm_i32x4_eq(wasm_i32x4_add(even, odd), wasm_u32x4_const_splat(0x9e3779b8u));
            if (wasm_i32x4_all_true(found)) s->y[0] = 1;
        }
    }
}
