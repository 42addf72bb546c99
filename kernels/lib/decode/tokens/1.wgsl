// One token. What a kernel holds for each token is a vector with a component for each; here it is a number.
// The arithmetic of one token is the same in all these files: a token gets the same bits in any company.
// #include "decode/elements/{element}.wgsl"
const TOKENS: u32 = 1;
alias PerToken = f32;
alias Values = array<vec4<f32>, TOKENS>;  // [token]: four neighbouring columns
alias Staged = array<InputPart, TOKENS>;  // [token]: what the sweep reads of x at a time

fn component(values: PerToken, t: u32) -> f32 {
    return values;
}

fn x_at(i: u32) -> Staged {
    return Staged(x_of(0u, i));
}

fn products(w: WeightPart, x: Staged) -> PerToken {
    return product(w, x[0]);
}

fn squares(x: Values) -> PerToken {
    return dot(x[0], x[0]);
}

fn dots(w: vec4<f32>, x: Values) -> PerToken {
    return dot(w, x[0]);
}
