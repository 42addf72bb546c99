// f16 scales, one for each row and block of 32 columns: 8 rows x 4 blocks in 64 contiguous bytes.
// Read as u32 pairs, so that no shader-f16 is needed.
@group(0) @binding(1) var<storage, read> scales: array<u32>;

alias StoredScale = u32;  // of two blocks
alias Scale = f32;

fn stored_scale(row: u32, block: u32) -> StoredScale {
    return scales[((row >> 3u) * COLUMN_TILES + (block >> 2u)) * 16u + (row & 7u) * 2u + ((block & 3u) >> 1u)];
}

fn scale_in(stored: StoredScale, block: u32) -> Scale {
    let two = unpack2x16float(stored);
    return select(two.x, two.y, (block & 1u) == 1u);
}
