// What adapters add to a row's sums; `row` counts in the whole matrix.
// #include "low_rank.wgsl"
fn adapted(row: u32, sums: PerToken) -> PerToken {
    var total = sums;
    for (var i = 0u; i < RANK / 8u; i++) {
        let weights = eight_of(row, i);
        var first: Values;
        var second: Values;
        for (var t = 0u; t < TOKENS; t++) {
            let at = low_at(t, row) + 2u * i;
            first[t] = low[at];
            second[t] = low[at + 1u];
        }
        total += dots(weights.low, first) + dots(weights.high, second);
    }
    return total;
}
