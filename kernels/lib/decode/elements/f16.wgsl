// The sweep's activations and products in f16, four products at a time, whose sums are added up in f32. A sixteenth of
// the activations is kept: four products with int8 codes then stay in range up to |x| = 2000, ten times what Gemma
// shows. The second and the third value change places: the codes of a word come out in that order (pieces/f16/).
enable f16;
alias Element = f16;
alias WeightPart = vec4<f16>;
alias InputPart = vec4<f16>;
const X_UNIT: f32 = 0.0625;
const HOLDS_SUM: bool = false;  // Gemma 3's residual stream passes the range of f16

fn arranged(x: vec4<f32>) -> vec4<Element> {
    return vec4<f16>(X_UNIT * x.xzyw);
}

fn restored(x: vec4<Element>) -> vec4<f32> {
    return vec4<f32>(x.xzyw) / X_UNIT;
}

fn settle(part: u32, thread: u32) {
}

fn x_of(t: u32, i: u32) -> InputPart {
    return quad_of(t, i);
}

fn product(w: WeightPart, x: InputPart) -> f32 {
    return f32(dot(w, x));
}
