// Two tokens (see 1.wgsl).
// #include "decode/elements/{element}.wgsl"
const TOKENS: u32 = 2;
alias PerToken = vec2<f32>;
alias Values = array<vec4<f32>, TOKENS>;
alias Staged = array<InputPart, TOKENS>;

fn component(values: PerToken, t: u32) -> f32 {
    return values[t];
}

fn x_at(i: u32) -> Staged {
    return Staged(x_of(0u, i), x_of(1u, i));
}

fn products(w: WeightPart, x: Staged) -> PerToken {
    return PerToken(product(w, x[0]), product(w, x[1]));
}

fn squares(x: Values) -> PerToken {
    return PerToken(dot(x[0], x[0]), dot(x[1], x[1]));
}

fn dots(w: vec4<f32>, x: Values) -> PerToken {
    return PerToken(dot(w, x[0]), dot(w, x[1]));
}
