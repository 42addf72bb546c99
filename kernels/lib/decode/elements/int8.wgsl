// The sweep's activations as int8, four to a word, and products with packed dot products, a block of 32 columns at a
// time with a scale of its own, as in quantize.wgsl. They are staged as the bits of f32 values; when all are there, a
// thread reads a block and leaves in its first three places the codes of columns 0..15, those of columns 16..31, and
// the scale and the sum of the block's values: no more memory than the f32 values took. (pieces/int8/ has the rest.)
// #include "peak.wgsl"
alias Element = u32;
const HOLDS_SUM: bool = true;  // staging memory can hold the residual stream
override SETTLE_ROUNDS: u32 = (PART / 32u * TOKENS + THREADS - 1u) / THREADS;

fn arranged(x: vec4<f32>) -> vec4<Element> {
    return bitcast<vec4<u32>>(x);
}

fn restored(x: vec4<Element>) -> vec4<f32> {
    return bitcast<vec4<f32>>(x);
}

// Four rounded values, four to a word, and what they add to the block's sum.
struct Rounded {
    word: u32,
    sum: f32,
}

fn rounded(t: u32, i: u32, factor: f32) -> Rounded {
    let values = round(restored(quad_of(t, i)) * factor);
    return Rounded(pack4xI8(vec4<i32>(values)), dot(values, vec4<f32>(1.0)));
}

fn settle(part: u32, thread: u32) {
    for (var j = 0u; j < SETTLE_ROUNDS; j++) {
        let item = thread + j * THREADS;
        if (item >= quads_of(part) / 8u * TOKENS) {
            break;
        }
        let t = item % TOKENS;
        let i = item / TOKENS * 8u;
        var peaks = vec4<u32>();
        for (var w = 0u; w < 8u; w++) {
            peaks = max(peaks, quad_of(t, i + w) & vec4<u32>(MAGNITUDE));
        }
        let peak = peak_of(peaks);
        var low: vec4<u32>;
        var high: vec4<u32>;
        var sum = 0.0;
        for (var w = 0u; w < 4u; w++) {
            let first = rounded(t, i + w, 127.0 / peak);
            let second = rounded(t, i + 4u + w, 127.0 / peak);
            low[w] = first.word;
            high[w] = second.word;
            sum += first.sum + second.sum;
        }
        put(t, i, low);
        put(t, i + 1u, high);
        put(t, i + 2u, arranged(vec4<f32>(peak / 127.0, sum * (peak / 127.0), 0.0, 0.0)));
    }
    workgroupBarrier();
}
