// The next token, and the inputs of the run that continues with it; twin of sample.wgsl, where the arrays are told.
// A tournament in three levels, on one thread: 64 guards of slices, a guard's slices, a slice's values.
#include "functions.h"
#include "kernels.h"

#define COPY_REACH 32  // candidates that the copy bias may raise
#define LOWEST -3.4028234e38f

// The first of the highest among x[begin .. end).
INLINE u32 highest(const f32 *x, u32 begin, u32 end) {
    u32 best = begin;
    for (u32 i = begin + 1; i < end; i++) {
        if (x[i] > x[best]) best = i;
    }
    return best;
}

// The step block as sampler.py packs it, and what follows it.
struct inputs {
    u32 position, count, wanted, top_k, repeat_last, draw, seed_low, seed_high;
    f32 inverse_temperature, top_p, min_p, penalty, inverse_penalty;
    u32 picked;
    f32 copy_bias;
    u32 prompt_tokens, unused[48], token;
};

// Make x[place] the candidate of that round, and leave its slice without it.
INLINE void take(const struct sample *s, u32 round, u32 place) {
    const u32 begin = place / s->SLICE * s->SLICE, end = min_u32(begin + s->SLICE, s->V);
    s->chosen[2 * round] = place;
    s->chosen[2 * round + 1] = ((u32 *)s->x)[place];
    s->x[place] = LOWEST;
    s->maxima[place / s->SLICE] = s->x[highest(s->x, begin, end)];
}

// What is not finite, in the slices that have such values, to `chosen`: the first `wanted` of them. Returns how many.
static u32 take_broken(const struct sample *s, u32 slices, u32 wanted) {
    u32 taken = 0;
    for (u32 slice = 0; slice < slices; slice++) {
        if (!is_not_finite(((u32 *)s->maxima)[slice])) continue;
        const u32 end = min_u32((slice + 1) * s->SLICE, s->V);
        for (u32 i = slice * s->SLICE; i < end && taken < wanted; i++) {
            if (is_not_finite(((u32 *)s->x)[i])) take(s, taken++, i);
        }
    }
    return taken;
}

// The `wanted` best of x, to `chosen`. Returns whether some of x are not finite: these come first.
static u32 select(const struct sample *s, u32 wanted) {
    const u32 slices = (s->V + s->SLICE - 1) / s->SLICE, share = (slices + 63) / 64;
    const u32 broken = take_broken(s, slices, wanted);
    const u32 guards = (slices + share - 1) / share;
    f32 guarded[64];
    for (u32 g = 0; g < guards; g++) {
        guarded[g] = s->maxima[highest(s->maxima, g * share, min_u32((g + 1) * share, slices))];
    }
    for (u32 round = broken; round < wanted; round++) {
        u32 guard = highest(guarded, 0, guards);
        u32 first = guard * share, last = min_u32(first + share, slices);
        u32 slice = highest(s->maxima, first, last);
        u32 begin = slice * s->SLICE, end = min_u32(begin + s->SLICE, s->V);
        take(s, round, highest(s->x, begin, end));
        guarded[guard] = s->maxima[highest(s->maxima, first, last)];
    }
    return broken > 0;
}

INLINE u32 high_word(u32 a, u32 b) { return (u32)((unsigned long long)a * b >> 32); }

// A number in [0, 1), a multiple of 2^-24: the first word of Philox4x32-10 (Salmon et al., SC 2011, section 4.3).
INLINE f32 uniform_draw(u32 key, u32 other_key, u32 counter) {
    u32 a = counter, b = 0, c = 0, d = 0;
    for (u32 i = 0; i < 10; i++) {
        u32 next_a = high_word(0xcd9e8d57u, c) ^ b ^ key, next_c = high_word(0xd2511f53u, a) ^ d ^ other_key;
        b = 0xcd9e8d57u * c, d = 0xd2511f53u * a;
        a = next_a, c = next_c;
        key += 0x9e3779b9u, other_key += 0xbb67ae85u;
    }
    return (f32)(a >> 8) * 0x1p-24f;
}

// A token that is among the latest is made less probable, whatever the sign of its logit.
INLINE f32 penalised(const struct inputs *in, const u32 *text, u32 token, f32 logit) {
    u32 next = in->position + in->count;
    for (u32 p = next - min_u32(next, in->repeat_last); p < next; p++) {
        if (text[p] == token) return logit * (logit > 0 ? in->inverse_penalty : in->penalty);
    }
    return logit;
}

// Which of the first candidates go on with a phrase of the prompt: 2 for those that follow the two latest tokens
// somewhere in it, 1 for those that follow the latest, else 0.
INLINE void mark_followers(const struct sample *s, u32 wanted, u32 *followed) {
    const struct inputs *in = (struct inputs *)s->inputs;
    const u32 next = in->position + in->count, count = min_u32(wanted, COPY_REACH);
    for (u32 i = 0; i < COPY_REACH; i++) followed[i] = 0;
    if (next <= in->prompt_tokens) return;
    for (u32 p = 1; p < in->prompt_tokens; p++) {
        if (s->text[p - 1] != s->text[next - 1]) continue;
        const u32 length = p > 1 && s->text[p - 2] == s->text[next - 2] ? 2 : 1;
        for (u32 i = 0; i < count; i++) {
            if (s->chosen[2 * i] == s->text[p] && followed[i] < length) followed[i] = length;
        }
    }
}

// The place of the candidate drawn among scores, which fall; `weights` is filled.
INLINE u32 drawn(const struct inputs *in, const f32 *scores, u32 candidates, f32 *weights) {
    f32 total = 0, mass = 0;
    for (u32 i = 0; i < candidates; i++) {
        weights[i] = wasm_f32x4_extract_lane(exp4(splat((scores[i] - scores[0]) * in->inverse_temperature)), 0);
        total += weights[i];
    }
    u32 kept = 0, place = 0;
    while (kept < candidates && (kept == 0 || (mass < in->top_p * total && weights[kept] >= in->min_p))) {
        mass += weights[kept++];
    }
    f32 target = uniform_draw(in->seed_low, in->seed_high, in->draw) * mass;
    for (f32 sum = weights[0]; place + 1 < kept && sum <= target; sum += weights[place]) place++;
    return place;
}

void sample(const struct sample *s, const struct run *run) {
    struct inputs *in = (struct inputs *)s->inputs;
    FOR_CLAIMED(r, run, 1, 1) {
        f32 scores[MOST_CANDIDATES], weights[MOST_CANDIDATES];
        u32 tokens[MOST_CANDIDATES];
        const u32 wanted = in->wanted ? min_u32(in->wanted, s->COUNT) : s->COUNT;
        const u32 next = in->position + in->count;
        const u32 broken = select(s, wanted);
        u32 followed[COPY_REACH];
        mark_followers(s, wanted, followed);
        for (u32 i = 0; i < wanted; i++) {
            u32 token = s->chosen[2 * i], at = i;
            f32 score = penalised(in, s->text, token, ((f32 *)s->chosen)[2 * i + 1]);
            if (i < COPY_REACH) score += in->copy_bias * 0.5f * (f32)followed[i];
            for (; at > 0 && scores[at - 1] < score; at--) scores[at] = scores[at - 1], tokens[at] = tokens[at - 1];
            scores[at] = score, tokens[at] = token;
        }
        u32 candidates = in->top_k ? min_u32(in->top_k, wanted) : wanted;
        u32 token = tokens[in->inverse_temperature > 0 ? drawn(in, scores, candidates, weights) : 0];
        if (broken) token = ~0u;
        if (next < s->CONTEXT) s->text[next] = token;
        s->chosen[2 * s->COUNT + in->picked % s->PICKS] = token;
        in->position = next, in->count = 1, in->token = token;
        in->draw++, in->picked++;
    }
}
