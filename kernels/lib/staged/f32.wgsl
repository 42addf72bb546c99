alias Staged = vec4<f32>;

fn staged(values: vec4<f32>) -> Staged {
    return values;
}
