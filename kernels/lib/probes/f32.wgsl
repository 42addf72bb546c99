// The element type of a probe: f32.
alias Element = f32;
alias Vector = vec4<f32>;
