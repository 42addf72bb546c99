// Two f32 for each row: the scale of all its codes, and for codes counted from the lowest the minimum.
@group(0) @binding(1) var<storage, read> scales: array<vec2<f32>>;

alias StoredScale = vec2<f32>;
alias Scale = vec2<f32>;

fn stored_scale(row: u32, block: u32) -> StoredScale {
    return scales[row];
}

fn scale_in(stored: StoredScale, block: u32) -> Scale {
    return stored;
}
