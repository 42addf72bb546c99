// The element type of a probe: f16.
enable f16;
alias Element = f16;
alias Vector = vec4<f16>;
