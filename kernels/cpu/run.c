// The interpreter: one call runs a whole table of steps, every thread through all of it.
#include "kernels.h"

#define OPCODE(name) OPCODE_##name,
enum opcode { KERNELS(OPCODE, OPCODE) };

struct record {
    u32 opcode;
    u32 format;
    u32 fields[STEP_BYTES / 4 - 2];
};

#define CODED_CASE(name) case OPCODE_##name: name(fields, format, &run); break;
#define PLAIN_CASE(name) case OPCODE_##name: name(fields, &run); break;

static void steps(struct pool *pool, u32 thread, u32 threads) {
    // After the last barrier thread 0 may already be writing the next job, so the job is read once.
    const struct record *table = (const struct record *)pool->table;
    const u32 first = pool->first, last = pool->last, repeats = pool->repeats;
    const u32 *inputs = pool->inputs;
    for (u32 repeat = 0; repeat < repeats; repeat++) {
        // The last step of a repeat may have written the inputs of the next.
        struct run run = {
            pool, thread, threads, inputs[0], inputs[1], pool->shared, pool->own + thread * pool->own_bytes};
        for (u32 i = first; i < last; i++) {
            const void *fields = table[i].fields;
            const enum format format = (enum format)table[i].format;
            switch ((enum opcode)table[i].opcode) {
                KERNELS(CODED_CASE, PLAIN_CASE)
            }
            barrier(&run);
        }
    }
}

// The low byte of the job word: threads that take part, or QUIT.
#define QUIT 255u

INLINE u32 next_job(u32 job, u32 threads) { return ((job & ~255u) + 256) | threads; }

static void start(struct pool *pool, u32 threads) {
    __atomic_store_n(&pool->job, next_job(pool->job, threads), __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&pool->idle, __ATOMIC_SEQ_CST)) __builtin_wasm_memory_atomic_notify((i32 *)&pool->job, ~0u);
}

// Run the pool's job on `threads` threads, this one being number 0; the others sit in `work`.
__attribute__((export_name("run"))) void run(struct pool *pool, u32 threads) {
    if (pool->first == pool->last) return;  // without a barrier nobody would wait for the workers
    if (threads > 1) start(pool, threads);
    steps(pool, 0, threads);
}

// A worker's life: job after job, until `quit`.
__attribute__((export_name("work"))) void work(struct pool *pool, u32 thread, u32 seen) {
    for (;;) {
        wait_change(&pool->job, seen, &pool->idle);
        seen = read_word(&pool->job);
        u32 threads = seen & 255u;
        if (threads == QUIT) return;
        if (thread < threads) steps(pool, thread, threads);
    }
}

__attribute__((export_name("quit"))) void quit(struct pool *pool) { start(pool, QUIT); }

// Workspace of a record, for a device that sizes it before a run.
__attribute__((export_name("own_bytes"))) u32 own_bytes(const struct record *record) {
    const void *fields = record->fields;
    switch ((enum opcode)record->opcode) {
        case OPCODE_matvec: return matvec_own_bytes(fields);
        case OPCODE_matmul: return matmul_own_bytes(fields);
        case OPCODE_attention: return attention_own_bytes(fields);
        case OPCODE_low_rank_add: return low_rank_add_own_bytes(fields);
        default: return 0;
    }
}

__attribute__((export_name("shared_bytes"))) u32 shared_bytes(const struct record *record, u32 tokens) {
    const void *fields = record->fields;
    switch ((enum opcode)record->opcode) {
        case OPCODE_matmul: return matmul_shared_bytes(fields, tokens);
        case OPCODE_attention: return attention_shared_bytes(fields);
        default: return 0;
    }
}
