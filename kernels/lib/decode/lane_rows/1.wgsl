// One row for each lane: of a small matrix more workgroups than with two.
alias Tiles = u32;

struct Sums {
    a: PerToken,
}

fn plus(x: Sums, y: Sums) -> Sums {
    return Sums(x.a + y.a);
}

fn over_lanes_each(x: Sums) -> Sums {
    return Sums(over_lanes(x.a));
}

fn tiles_from(row: u32) -> Tiles {
    return min(row / 8u, LAST_TILE);
}

// A lane's pieces in tile k of its rows.
struct Fetched {
    a: Piece,
    scale: PieceScale,
}

fn fetched(tiles: Tiles, k: u32, lane: u32) -> Fetched {
    let a = weights[tiles * TILE_ROW + k * LANES + lane];
    return Fetched(a, piece_scale(8u * tiles + lane / 4u, 4u * k + lane % 4u));
}

fn swept(pieces: Fetched, x: u32) -> Sums {
    var sums = Sums();
    for (var w = 0u; w < STEPS; w++) {
        sums.a += step_of(pieces.a, pieces.scale, w, inputs_of(x, w));
    }
    return sums;
}

fn finish_rows(row: u32, sums: Sums) {
    store(row, sums.a);
}
