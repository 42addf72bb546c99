// The weight sweep with four rows for each thread: no thread waits for another, and the four rows share each load
// of x. For devices on which a barrier costs more than the arithmetic.
// A thread has rows r, r+1, r+SECOND, r+1+SECOND; `finish` takes rows that are SECOND apart in twos.
override N: u32;            // rows, or pairs of rows
override SECOND: u32 = 2;
override STEP: u32 = 4;     // r grows by this from thread to thread
override TURNS: u32 = 1;    // times a workgroup sweeps with the same x; 1 where it has several parts

const MOST_HELD: u32 = 1;  // groups of columns in registers before the sweep: a CPU has few, and memory near by

fn sweep(group: u32, thread: u32) {
    prepare(group, thread);
    for (var turn = 0u; turn < TURNS; turn++) {
        let row = STEP * ((group * TURNS + turn) * THREADS + thread);
        var sum0 = PerToken();
        var sum1 = PerToken();
        var sum2 = PerToken();
        var sum3 = PerToken();
        for (var part = 0u; part < PARTS; part++) {
            if (turn == 0u) {
                stage(part, thread);
            }
            if (row < N) {
                let first = part * (PART / 32u);
                for (var i = 0u; i < min(PART / 32u, K / 32u - first); i++) {
                    let block = first + i;
                    let scale0 = scale_of(row, block);
                    let scale1 = scale_of(row + 1u, block);
                    let scale2 = scale_of(row + SECOND, block);
                    let scale3 = scale_of(row + SECOND + 1u, block);
                    for (var w = 0u; w < 4u; w++) {
                        let low = x_at(8u * i + w);
                        let high = x_at(8u * i + 4u + w);
                        let pair0 = pair_of(row, block, w, scale0);
                        let pair1 = pair_of(row + 1u, block, w, scale1);
                        let pair2 = pair_of(row + SECOND, block, w, scale2);
                        let pair3 = pair_of(row + SECOND + 1u, block, w, scale3);
                        sum0 += products(pair0.low, low) + products(pair0.high, high);
                        sum1 += products(pair1.low, low) + products(pair1.high, high);
                        sum2 += products(pair2.low, low) + products(pair2.high, high);
                        sum3 += products(pair3.low, low) + products(pair3.high, high);
                    }
                }
            }
        }
        finish(row, sum0, row + SECOND, sum2);
        finish(row + 1u, sum1, row + SECOND + 1u, sum3);
    }
}
