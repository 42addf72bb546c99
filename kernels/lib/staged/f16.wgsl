// Staged as f16, which halves the traffic to workgroup memory. What passes its range is clamped: Gemma's matmuls read
// normed values, attention outputs and products of GELU, which stay far below, but a file may hold other weights.
enable f16;

alias Component = f16;
alias Staged = vec4<Component>;

fn staged(values: vec4<f32>) -> Staged {
    return Staged(clamp(values, vec4<f32>(-65504.0), vec4<f32>(65504.0)));
}
