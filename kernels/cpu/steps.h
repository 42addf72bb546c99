// What each kernel is given: a record of 64 bytes, an opcode and a weight format, then the fields below, 4 bytes
// each: addresses of the bindings and values of the constants, under the names they have in the .wgsl twin.
// Python reads this file to encode a plan (cpu.py): the place in KERNELS is the opcode, the order of a struct's fields
// gives their places. run.c and kernels.h are made from KERNELS too, so that neither order is written anywhere else.
#pragma once
#include "simd.h"

#define STEP_BYTES 64

// Every kernel once: those whose weights have a format, and the others.
#define KERNELS(CODED, PLAIN) \
    CODED(embed) CODED(matvec) CODED(matmul) \
    PLAIN(rms_norm) PLAIN(norm_add) PLAIN(rope_kv) PLAIN(attention) PLAIN(geglu) PLAIN(last_row) \
    PLAIN(slice_maxima) PLAIN(sample) PLAIN(log_prob) PLAIN(low_rank_add) \
    PLAIN(nothing) PLAIN(stream) PLAIN(dots)

enum format {
    FORMAT_NONE, FORMAT_Q4, FORMAT_Q4M, FORMAT_Q8, FORMAT_Q8H, FORMAT_Q4R, FORMAT_Q8R, FORMAT_F16, FORMAT_BF16, FORMAT_F32
};

struct embed {
    const u8 *weights; const u8 *scales; const u32 *tokens; f32 *y;
    u32 K; u32 FIRST; u32 ROWS; f32 SCALE;
};

struct matvec {
    const u8 *weights; const u8 *scales; const f32 *x; f32 *y;
    u32 K; u32 N; u32 OFFSET;
};

struct matmul {
    const u8 *weights; const u8 *scales; const f32 *x; f32 *y;
    u32 K; u32 N; u32 OFFSET; u32 STRIDE;
};

struct rms_norm {
    const f32 *x; const f32 *weight; f32 *y;
    u32 D; f32 EPS;
};

struct norm_add {
    f32 *x; const f32 *y; const f32 *weight;
    u32 D; f32 EPS;
};

struct rope_kv {
    const f32 *qkv; const f32 *q_norm; const f32 *k_norm; const f32 *angles; f32 *q; u16 *keys; u16 *values;
    u32 H; u32 G; u32 E; u32 SLOTS; f32 EPS; f32 SCALE;
};

struct attention {
    const f32 *q; const u16 *keys; const u16 *values; f32 *y;
    u32 H; u32 G; u32 E; u32 SLOTS; u32 WINDOW;
};

struct geglu {
    const f32 *gate_up; f32 *y;
    u32 F;
};

struct last_row {
    const f32 *x; f32 *y;
    u32 D;
};

struct slice_maxima {
    const f32 *x; f32 *y;
    u32 V; u32 SLICE;
};

#define MOST_CANDIDATES 1024
struct sample {
    f32 *x; f32 *maxima; u32 *chosen; u32 *inputs; u32 *text;
    u32 V; u32 SLICE; u32 COUNT; u32 PICKS; u32 CONTEXT;
};

struct log_prob {
    const f32 *x; const u32 *targets; f32 *y;
    u32 V;
};

struct low_rank_add {
    f32 *y; const f32 *low; const u16 *b;
    u32 N; u32 RANK; u32 WIDTH; u32 BEGIN_1; u32 BEGIN_2;
};

struct nothing {
    u32 *y;
};

struct stream {
    const u8 *x; u32 *y;
    u32 COUNT;
};

struct dots {
    const u32 *x; u32 *y;
    u32 ITERATIONS; u32 THREADS;
};

#define FITS(name) _Static_assert(sizeof(struct name) <= STEP_BYTES - 8, "the record of " #name " is too long");
KERNELS(FITS, FITS)
#undef FITS
