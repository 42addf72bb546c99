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

fn swept(tiles: Tiles, k: u32, lane: u32, x: u32) -> Sums {
    let at = tiles * TILE_ROW + k * LANES + lane;
    let a = weights[at.x];
    let b = weights[at.y];
    let c = weights[at.z];
    let d = weights[at.w];
    let rows = 8u * tiles + lane / 4u;
    let piece = 4u * k + lane % 4u;
    let scale_a = piece_scale(rows.x, piece);
    let scale_b = piece_scale(rows.y, piece);
    let scale_c = piece_scale(rows.z, piece);
    let scale_d = piece_scale(rows.w, piece);
    var sums = Sums();
    for (var w = 0u; w < STEPS; w++) {
        let inputs = inputs_of(x, w);
        sums.a += step_of(a, scale_a, w, inputs);
        sums.b += step_of(b, scale_b, w, inputs);
        sums.c += step_of(c, scale_c, w, inputs);
        sums.d += step_of(d, scale_d, w, inputs);
    }
    return sums;
}

fn finish_rows(row: u32, sums: Sums) {
    finish(row, sums.a, row + SECOND, sums.c);
    finish(row + 8u, sums.b, row + SECOND + 8u, sums.d);
}
