// The weight sweep with 32 lanes for tiles of 8 rows: lane = 4 * row + piece, so that the lanes load a tile's 512
// contiguous bytes at once and then the next tile along K. A lane has a row in one, two or four tiles (lane_rows/),
// which share each load of x.
// SPLIT such groups share the columns of a matrix that is too small to keep the device busy otherwise: every SPLIT-th
// tile, counted from the matrix's edge, so that the order of a sum does not depend on the parts x is staged in.
// Between its barriers a workgroup's threads all do the same, also past the last row: there they repeat the last tile.
// #include "decode/pieces/{element}/{format}.wgsl"
// #include "decode/lane_rows/{rows}.wgsl"
override N: u32;          // rows, or pairs of rows
override STEP: u32;       // rows, or pairs, from group to group
override TURNS: u32 = 1;  // times a workgroup sweeps with the same x; 1 where it has several parts
override SPLIT: u32;
override LAST_TILE: u32;

const LANES: u32 = 32;
const TILE_QUADS: u32 = 4u * PIECE_QUADS;  // columns of a tile, in fours
override UNITS: u32 = THREADS / (LANES * SPLIT);
override K_TILES: u32 = (K / 4u + TILE_QUADS - 1u) / TILE_QUADS;
override PART_TILES: u32 = (PART / 4u + TILE_QUADS - 1u) / TILE_QUADS;
override MEETING: u32 = THREADS * APART / 4u;
override TILE_ROW: u32 = COLUMN_TILES * 32u / TILE_QUADS * LANES;  // pieces of 8 rows

var<workgroup> lane_sums: array<Sums, MEETING>;

// The sums of the rows' four lanes in all groups that share them, for the first of these lanes.
fn across(sums: Sums, thread: u32) -> Sums {
    var total = over_lanes_each(sums);
    if (APART * SPLIT > 1u) {
        if (thread % (4u / APART) == 0u) {
            lane_sums[thread * APART / 4u] = total;
        }
        workgroupBarrier();
        if (thread % 4u == 0u && thread / LANES % SPLIT == 0u) {
            total = Sums();
            for (var s = 0u; s < SPLIT; s++) {
                for (var i = 0u; i < APART; i++) {
                    total = plus(total, lane_sums[(thread + s * LANES) * APART / 4u + i]);
                }
            }
        }
        if (TURNS > 1u) {
            workgroupBarrier();  // before the next turn overwrites them
        }
    }
    return total;
}

fn sweep(group: u32, thread: u32) {
    prepare(group, thread);
    let lane = thread % LANES;
    let share = thread / LANES % SPLIT;
    let unit = thread / (LANES * SPLIT);
    for (var turn = 0u; turn < TURNS; turn++) {
        let begin = STEP * ((group * TURNS + turn) * UNITS + unit);
        let tiles = tiles_from(begin);
        var sums = Sums();
        for (var part = 0u; part < PARTS; part++) {
            if (turn == 0u) {
                stage(part, thread);
            }
            let first = part * PART_TILES;
            let end = min(first + PART_TILES, K_TILES);
            for (var k = first + (share + SPLIT - first % SPLIT) % SPLIT; k < end; k += SPLIT) {
                sums = plus(sums, swept(tiles, k, lane, (k - first) * TILE_QUADS + lane % 4u * PIECE_QUADS));
            }
        }
        let total = across(sums, thread);
        if (lane % 4u == 0u && share == 0u) {
            finish_rows(begin + lane / 4u, total);
        }
    }
}
