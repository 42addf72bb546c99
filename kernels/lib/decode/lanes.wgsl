// The weight sweep with 32 lanes for tiles of 8 rows: lane = 4 * row + piece, so that the lanes load a tile's 512
// contiguous bytes at once and then the next tile along K. A lane has a row in one, two or four tiles (lane_rows/),
// which share each load of x.
// SPLIT such groups share the columns of a matrix that is too small to keep the device busy otherwise: every SPLIT-th
// tile, counted from the matrix's edge, so that the order of a sum does not depend on the parts x is staged in.
// Between its barriers a workgroup's threads all do the same, also past the last row: there they repeat the last tile.
// The next tile's pieces are asked for before the arithmetic of one begins, the first before the input is computed.
// The loop along K has constant bounds: only then do compilers unroll it, since WGSL's guard against endless loops goes
// into every other one.
// #include "decode/pieces/{element}/{format}.wgsl"
// #include "decode/lane_rows/{rows}.wgsl"
override N: u32;          // rows, or pairs of rows
override STEP: u32;       // rows, or pairs, from group to group
override TURNS: u32 = 1;  // times a workgroup sweeps with the same x; 1 where it has several parts
override SPLIT: u32;
override LAST_TILE: u32;

const LANES: u32 = 32;
const MOST_HELD: u32 = max(4u / TOKENS, 1u);  // groups of columns held before the sweep, in 40 to 64 registers
const TILE_QUADS: u32 = 4u * PIECE_QUADS;  // columns of a tile, in fours
override UNITS: u32 = THREADS / (LANES * SPLIT);
override K_TILES: u32 = (K / 4u + TILE_QUADS - 1u) / TILE_QUADS;
override PART_TILES: u32 = (PART / 4u + TILE_QUADS - 1u) / TILE_QUADS;
override MEETING: u32 = THREADS * APART / 4u;
override ROUNDS: u32 = (PART_TILES + SPLIT - 1u) / SPLIT;  // of a group through a part, at most
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
    let lane = thread % LANES;
    let share = thread / LANES % SPLIT;
    let unit = thread / (LANES * SPLIT);
    var begin = STEP * (group * TURNS * UNITS + unit);
    var tiles = tiles_from(begin);
    var next = fetched(tiles, share, lane);
    prepare(group, thread);
    for (var turn = 0u; turn < TURNS; turn++) {
        var sums = Sums();
        var k = share;
        for (var part = 0u; part < PARTS; part++) {
            if (turn == 0u) {
                stage(part, thread);
            }
            let first = part * PART_TILES;
            let end = min(first + PART_TILES, K_TILES);
            for (var i = 0u; i < ROUNDS; i++) {
                // Of the only part, every round but the last is whole.
                if ((PARTS == 1u && i + 1u < ROUNDS) || k < end) {
                    let pieces = next;
                    next = fetched(tiles, min(k + SPLIT, K_TILES - 1u), lane);
                    sums = plus(sums, swept(pieces, (k - first) * TILE_QUADS + lane % 4u * PIECE_QUADS));
                    k += SPLIT;
                }
            }
        }
        let row = begin + lane / 4u;
        if (turn + 1u < TURNS) {
            begin += STEP * UNITS;
            tiles = tiles_from(begin);
            next = fetched(tiles, share, lane);
        }
        let total = across(sums, thread);
        if (lane % 4u == 0u && share == 0u) {
            finish_rows(row, total);
        }
    }
}
