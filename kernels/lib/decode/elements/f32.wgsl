// The sweep's activations and products in f32.
alias Element = f32;
const X_UNIT: f32 = 1.0;
const HOLDS_SUM: bool = true;  // staging memory can hold the residual stream

fn arranged(x: vec4<f32>) -> vec4<Element> {
    return x;
}
