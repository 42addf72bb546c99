// Two rows for each lane, SECOND apart.
override SECOND: u32;  // a multiple of 8
alias Tiles = vec2<u32>;

struct Sums {
    a: PerToken,
    b: PerToken,
}

fn plus(x: Sums, y: Sums) -> Sums {
    return Sums(x.a + y.a, x.b + y.b);
}

fn over_lanes_each(x: Sums) -> Sums {
    return Sums(over_lanes(x.a), over_lanes(x.b));
}

fn tiles_from(row: u32) -> Tiles {
    return min(vec2<u32>(row, row + SECOND) / 8u, vec2<u32>(LAST_TILE));
}

// A lane's pieces in tile k of its rows.
struct Fetched {
    a: Piece,
    b: Piece,
    scale_a: PieceScale,
    scale_b: PieceScale,
}

fn fetched(tiles: Tiles, k: u32, lane: u32) -> Fetched {
    let at = tiles * TILE_ROW + k * LANES + lane;
    let rows = 8u * tiles + lane / 4u;
    let piece = 4u * k + lane % 4u;
    var pieces: Fetched;
    pieces.a = weights[at.x];
    pieces.b = weights[at.y];
    pieces.scale_a = piece_scale(rows.x, piece);
    pieces.scale_b = piece_scale(rows.y, piece);
    return pieces;
}

fn swept(pieces: Fetched, x: u32) -> Sums {
    var sums = Sums();
    for (var w = 0u; w < STEPS; w++) {
        let inputs = inputs_of(x, w);
        sums.a += step_of(pieces.a, pieces.scale_a, w, inputs);
        sums.b += step_of(pieces.b, pieces.scale_b, w, inputs);
    }
    return sums;
}

fn finish_rows(row: u32, sums: Sums) {
    finish(row, sums.a, row + SECOND, sums.b);
}
