// Where a weight's bytes are: planes of 16-byte pieces in tiles of 8 rows x 4 pieces (layout.py).
// A tile is 512 contiguous bytes, so neighbouring threads read neighbouring pieces; a row of a tile is
// 64 contiguous bytes, so one thread that walks a row uses whole cache lines.
override K: u32;                                  // columns; a multiple of 32
override COLUMN_TILES: u32 = (K + 127u) / 128u;   // planes are padded to 128 columns

// Index of a piece, for a format with `pieces` (a power of two, at least 4) pieces in 128 columns.
fn piece_index(row: u32, piece: u32, pieces: u32) -> u32 {
    return ((row >> 3u) * (COLUMN_TILES * (pieces / 4u)) + (piece >> 2u)) * 32u + (row & 7u) * 4u + (piece & 3u);
}

// Eight weights of a block of 32: columns 4w..4w+3 and 16+4w..16+4w+3.
struct Pair {
    low: vec4<f32>,
    high: vec4<f32>,
}

// A format (weights/) says what is in memory, Codes and codes_of(row, block, w), StoredScale and
// stored_scale(row, block), and what that means: scale_in(stored, block) is a Scale, values_of(codes, scale) a Pair. In
// two steps, so that a kernel can load early what it takes apart late: the first use of what was loaded waits for it.
fn scale_of(row: u32, block: u32) -> Scale {
    return scale_in(stored_scale(row, block), block);
}

fn pair_of(row: u32, block: u32, w: u32, scale: Scale) -> Pair {
    return values_of(codes_of(row, block, w), scale);
}
