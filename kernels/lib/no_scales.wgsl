// Weights that are floats have no scales.
alias StoredScale = f32;
alias Scale = f32;

fn stored_scale(row: u32, block: u32) -> StoredScale {
    return 1.0;
}

fn scale_in(stored: StoredScale, block: u32) -> Scale {
    return stored;
}
