// The sweep's activations and products in f32: four neighbouring columns at a time.
alias Element = f32;
alias WeightPart = vec4<f32>;
alias InputPart = vec4<f32>;
const HOLDS_SUM: bool = true;  // staging memory can hold the residual stream

fn arranged(x: vec4<f32>) -> vec4<Element> {
    return x;
}

fn restored(x: vec4<Element>) -> vec4<f32> {
    return x;
}

fn settle(part: u32, thread: u32) {
}

fn x_of(t: u32, i: u32) -> InputPart {
    return quad_of(t, i);
}

fn product(w: WeightPart, x: InputPart) -> f32 {
    return dot(w, x);
}
