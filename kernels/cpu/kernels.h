// The kernels' entry points: called by every thread of a run, at the same step. A kernel returns when its
// thread finds no more work; run.c's barrier then waits for the others.
#pragma once
#include "pool.h"
#include "steps.h"

void embed(const struct embed *s, enum format format, const struct run *run);
void matvec(const struct matvec *s, enum format format, const struct run *run);
void matmul(const struct matmul *s, enum format format, const struct run *run);
void rms_norm(const struct rms_norm *s, const struct run *run);
void norm_add(const struct norm_add *s, const struct run *run);
void rope_kv(const struct rope_kv *s, const struct run *run);
void attention(const struct attention *s, const struct run *run);
void geglu(const struct geglu *s, const struct run *run);
void last_row(const struct last_row *s, const struct run *run);
void slice_maxima(const struct slice_maxima *s, const struct run *run);
void sample(const struct sample *s, const struct run *run);
void log_prob(const struct log_prob *s, const struct run *run);
void nothing(const struct nothing *s, const struct run *run);
void stream(const struct stream *s, const struct run *run);
void dots(const struct dots *s, const struct run *run);

// Workspace in bytes: of one thread, and of all threads together for a run of that many tokens.
u32 matvec_own_bytes(const struct matvec *s);
u32 matmul_own_bytes(const struct matmul *s);
u32 matmul_shared_bytes(const struct matmul *s, u32 tokens);
u32 attention_own_bytes(const struct attention *s);
u32 attention_shared_bytes(const struct attention *s);
