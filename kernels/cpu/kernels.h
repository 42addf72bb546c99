// The kernels' entry points: called by every thread of a run, at the same step. A kernel returns when its
// thread finds no more work; run.c's barrier then waits for the others.
#pragma once
#include "pool.h"
#include "steps.h"

#define CODED(name) void name(const struct name *s, enum format format, const struct run *run);
#define PLAIN(name) void name(const struct name *s, const struct run *run);
KERNELS(CODED, PLAIN)
#undef CODED
#undef PLAIN

// Workspace in bytes: of one thread, and of all threads together for a run of that many tokens.
u32 matvec_own_bytes(const struct matvec *s);
u32 matmul_own_bytes(const struct matmul *s);
u32 matmul_shared_bytes(const struct matmul *s, u32 tokens);
u32 low_rank_add_own_bytes(const struct low_rank_add *s);
u32 attention_own_bytes(const struct attention *s);
u32 attention_shared_bytes(const struct attention *s);
