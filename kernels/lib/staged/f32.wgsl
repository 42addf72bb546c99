alias Component = f32;
alias Staged = vec4<Component>;

fn staged(values: vec4<f32>) -> Staged {
    return values;
}
