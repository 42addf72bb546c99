// The input of a sweep: x as it is, read from memory by whoever needs it. No barrier.
@group(0) @binding(2) var<storage, read> x: array<vec4<f32>>;  // (T, K)
override THREADS: u32 = 64;
override PART: u32 = K;
override PARTS: u32 = 1;

fn quad_of(t: u32, i: u32) -> vec4<Element> {
    if (K % 128u != 0u && i >= K / 4u) {
        return vec4<Element>();  // the weights' padding
    }
    return arranged(x[t * (K / 4u) + i]);
}

fn prepare(group: u32, thread: u32) {
}

fn stage(part: u32, thread: u32) {
}
