// Threads that run one table of steps together: claims, a barrier, and what a kernel may use besides its step.
//
// Work is claimed in small pieces from a shared counter, so a slow or busy core takes fewer. A piece of the
// output is always computed by one thread in one order: results do not depend on the number of threads.
#pragma once
#include "simd.h"

#define SPINS 4000  // tries before a thread goes to sleep: some ten microseconds

// Shared by all threads, at the address every call is given. Atomic words first, each kind of traffic on a
// cache line of its own. cpu.py fills in the fields from `table` on, at POOL_FIELDS, while no job runs.
#define POOL_FIELDS 200
struct pool {
    _Alignas(64) u32 claimed;     // pieces of the current phase that were taken
    _Alignas(64) u32 arrived;     // threads at the barrier
    _Alignas(64) u32 generation;  // barriers passed
    u32 sleepers;                 // threads waiting for the generation to change
    _Alignas(64) u32 job;         // 256 * number of the job + its threads (run.c); workers wait for it
    u32 idle;                     // workers asleep, waiting for a job
    const u8 *table;              // the job: records first .. last-1
    u32 first;
    u32 last;
    const u32 *inputs;            // the step block: position, count
    u8 *shared;                   // workspace of all threads
    u8 *own;                      // workspaces of single threads, own_bytes each
    u32 own_bytes;
    u32 repeats;                  // how often the records are run
};
_Static_assert(__builtin_offsetof(struct pool, table) == POOL_FIELDS, "where cpu.py writes");

// One thread's view of a run.
struct run {
    struct pool *pool;
    u32 thread;
    u32 threads;
    u32 position;  // of the chunk's first token
    u32 count;     // tokens in this run
    u8 *shared;
    u8 *own;
};

INLINE u32 read_word(u32 *at) { return __atomic_load_n(at, __ATOMIC_ACQUIRE); }

// Wait until *at is no longer `old`: spin briefly, then sleep.
INLINE void wait_change(u32 *at, u32 old, u32 *sleepers) {
    for (u32 i = 0; i < SPINS; i++) {
        if (read_word(at) != old) return;
    }
    __atomic_fetch_add(sleepers, 1, __ATOMIC_SEQ_CST);
    while (read_word(at) == old) __builtin_wasm_memory_atomic_wait32((i32 *)at, (i32)old, -1);
    __atomic_fetch_sub(sleepers, 1, __ATOMIC_SEQ_CST);
}

// Change *at and wake who sleeps on it.
INLINE void announce(u32 *at, u32 *sleepers) {
    __atomic_fetch_add(at, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(sleepers, __ATOMIC_SEQ_CST)) __builtin_wasm_memory_atomic_notify((i32 *)at, ~0u);
}

// Every thread of the run waits for all the others; afterwards nothing is claimed.
INLINE void barrier(const struct run *run) {
    struct pool *pool = run->pool;
    if (run->threads == 1) {
        pool->claimed = 0;
        return;
    }
    u32 generation = read_word(&pool->generation);
    if (__atomic_add_fetch(&pool->arrived, 1, __ATOMIC_ACQ_REL) == run->threads) {
        pool->claimed = 0;
        __atomic_store_n(&pool->arrived, 0, __ATOMIC_RELEASE);
        announce(&pool->generation, &pool->sleepers);
    } else {
        wait_change(&pool->generation, generation, &pool->sleepers);
    }
}

struct range {
    u32 begin;
    u32 end;
};

// The next piece of 0 .. total-1, at least `least` long but for the last; empty when nothing is left.
INLINE struct range claim(const struct run *run, u32 total, u32 least) {
    u32 piece = total / (8 * run->threads) / least * least;
    if (piece < least) piece = least;
    if (run->threads == 1) piece = total;
    u32 begin = __atomic_fetch_add(&run->pool->claimed, piece, __ATOMIC_RELAXED);
    if (begin > total) begin = total;
    return (struct range){begin, min_u32(begin + piece, total)};
}

#define FOR_CLAIMED(r, run, total, least) \
    for (struct range r = claim(run, total, least); r.begin < r.end; r = claim(run, total, least))
