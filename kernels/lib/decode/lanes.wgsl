// The weight sweep with 32 lanes for two tiles of 8 rows: lane = 4 * row + piece, so that the lanes load a tile's 512
// contiguous bytes at once and then the next tile along K, and both rows of a lane share each load of x.
// SPLIT such groups share the columns of a matrix that is too small to keep the device busy otherwise: every SPLIT-th
// tile, counted from the matrix's edge, so that the order of a sum does not depend on the parts x is staged in.
// Between its barriers a workgroup's threads all do the same, also past the last row: there they repeat the last tile.
// #include "decode/pieces/{element}/{format}.wgsl"
override N: u32;          // rows, or pairs of rows
override SECOND: u32;     // rows from a lane's first to its second row, a multiple of 8
override STEP: u32;       // rows from group to group: 16, or 8 pairs
override TURNS: u32 = 1;  // times a workgroup sweeps with the same x; 1 where it has several parts
override SPLIT: u32;
override LAST_TILE: u32;

const LANES: u32 = 32;
const TILE_QUADS: u32 = 4u * PIECE_QUADS;  // columns of a tile, in fours
override UNITS: u32 = THREADS / (LANES * SPLIT);
override K_TILES: u32 = (K / 4u + TILE_QUADS - 1u) / TILE_QUADS;
override PART_TILES: u32 = (PART / 4u + TILE_QUADS - 1u) / TILE_QUADS;
override TILE_ROW: u32 = COLUMN_TILES * 32u / TILE_QUADS * LANES;  // pieces of 8 rows

struct Two {
    first: PerToken,
    second: PerToken,
}

fn sweep(group: u32, thread: u32) {
    prepare(group, thread);
    let lane = thread % LANES;
    let share = thread / LANES % SPLIT;
    let unit = thread / (LANES * SPLIT);
    for (var turn = 0u; turn < TURNS; turn++) {
        let begin = STEP * ((group * TURNS + turn) * UNITS + unit);
        let tile_a = min(begin / 8u, LAST_TILE);
        let tile_b = min((begin + SECOND) / 8u, LAST_TILE);
        let row_a = 8u * tile_a + lane / 4u;
        let row_b = 8u * tile_b + lane / 4u;
        var sums = Two();
        for (var part = 0u; part < PARTS; part++) {
            if (turn == 0u) {
                stage(part, thread);
            }
            let first = part * PART_TILES;
            let end = min(first + PART_TILES, K_TILES);
            for (var k = first + (share + SPLIT - first % SPLIT) % SPLIT; k < end; k += SPLIT) {
                let a = weights[tile_a * TILE_ROW + k * LANES + lane];
                let b = weights[tile_b * TILE_ROW + k * LANES + lane];
                let piece = 4u * k + lane % 4u;
                let x = (k - first) * TILE_QUADS + lane % 4u * PIECE_QUADS;
                let both = dots(a, b, piece_scale(row_a, piece), piece_scale(row_b, piece), x);
                sums.first += both.first;
                sums.second += both.second;
            }
        }
        let total = across(sums, thread);
        if (lane % 4u == 0u && share == 0u) {
            finish(begin + lane / 4u, total.first, begin + SECOND + lane / 4u, total.second);
        }
    }
}
