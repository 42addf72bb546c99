// Four rows for each lane, two neighbouring tiles' and those SECOND further on: half as many loads of x for each weight
// as with two.
override SECOND: u32;  // a multiple of 8
alias Tiles = vec4<u32>;

struct Sums {
    a: PerToken,
    b: PerToken,
    c: PerToken,
    d: PerToken,
}

fn plus(x: Sums, y: Sums) -> Sums {
    return Sums(x.a + y.a, x.b + y.b, x.c + y.c, x.d + y.d);
}

fn over_lanes_each(x: Sums) -> Sums {
    return Sums(over_lanes(x.a), over_lanes(x.b), over_lanes(x.c), over_lanes(x.d));
}

fn tiles_from(row: u32) -> Tiles {
    return min(vec4<u32>(row, row + 8u, row + SECOND, row + SECOND + 8u) / 8u, vec4<u32>(LAST_TILE));
}

// A lane's pieces in tile k of its rows.
struct Fetched {
    a: Piece,
    b: Piece,
    c: Piece,
    d: Piece,
    scale_a: PieceScale,
    scale_b: PieceScale,
    scale_c: PieceScale,
    scale_d: PieceScale,
}

fn fetched(tiles: Tiles, k: u32, lane: u32) -> Fetched {
    let at = tiles * TILE_ROW + k * LANES + lane;
    let rows = 8u * tiles + lane / 4u;
    let piece = 4u * k + lane % 4u;
    var pieces: Fetched;
    pieces.a = weights[at.x];
    pieces.b = weights[at.y];
    pieces.c = weights[at.z];
    pieces.d = weights[at.w];
    pieces.scale_a = piece_scale(rows.x, piece);
    pieces.scale_b = piece_scale(rows.y, piece);
    pieces.scale_c = piece_scale(rows.z, piece);
    pieces.scale_d = piece_scale(rows.w, piece);
    return pieces;
}

fn swept(pieces: Fetched, x: u32) -> Sums {
    var sums = Sums();
    for (var w = 0u; w < STEPS; w++) {
        let inputs = inputs_of(x, w);
        sums.a += step_of(pieces.a, pieces.scale_a, w, inputs);
        sums.b += step_of(pieces.b, pieces.scale_b, w, inputs);
        sums.c += step_of(pieces.c, pieces.scale_c, w, inputs);
        sums.d += step_of(pieces.d, pieces.scale_d, w, inputs);
    }
    return sums;
}

fn finish_rows(row: u32, sums: Sums) {
    finish(row, sums.a, row + SECOND, sums.c);
    finish(row + 8u, sums.b, row + SECOND + 8u, sums.d);
}
