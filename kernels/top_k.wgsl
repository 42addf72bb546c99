// The COUNT highest values of x with their indices, in falling order; of equal values the lower index first.
//   x (V) f32, consumed: chosen values are overwritten; maxima (SLICES) f32 from slice_maxima, kept up to date;
//   chosen (COUNT, 2) u32: index, then the bits of the f32 value.
// A tournament in three levels: 64 threads each guard 1/64 of the slices, and each of the COUNT rounds looks at
// 64 guards, one slice's values and one guard's slices instead of all V values. Grid: one workgroup.
@group(0) @binding(0) var<storage, read_write> x: array<f32>;
@group(0) @binding(1) var<storage, read_write> maxima: array<f32>;
@group(0) @binding(2) var<storage, read_write> chosen: array<u32>;
override V: u32;
override SLICE: u32;
override SLICES: u32 = (V + SLICE - 1u) / SLICE;
override SHARE: u32 = (SLICES + 63u) / 64u;  // slices guarded by one thread
override COUNT: u32;

const LOWEST: f32 = -3.4028234e38;
var<workgroup> values: array<f32, 64>;
var<workgroup> places: array<u32, 64>;

struct Best {
    value: f32,
    place: u32,
}

// The best of 64 threads' candidates; the lower place wins a tie. Every thread gets the answer.
fn best_of_all(mine: Best, thread: u32) -> Best {
    values[thread] = mine.value;
    places[thread] = mine.place;
    workgroupBarrier();
    var best = Best(values[0], places[0]);
    for (var i = 1u; i < 64u; i++) {
        if (values[i] > best.value || (values[i] == best.value && places[i] < best.place)) {
            best = Best(values[i], places[i]);
        }
    }
    workgroupBarrier();
    return best;
}

fn best_slice(guard: u32) -> Best {
    var best = Best(LOWEST, 0xffffffffu);
    for (var s = guard * SHARE; s < min((guard + 1u) * SHARE, SLICES); s++) {
        if (best.place == 0xffffffffu || maxima[s] > best.value) {
            best = Best(maxima[s], s);
        }
    }
    return best;
}

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) thread: u32) {
    var guarded = best_slice(thread);
    for (var round = 0u; round < COUNT; round++) {
        let slice = best_of_all(guarded, thread).place;
        let begin = slice * SLICE;
        let end = min(begin + SLICE, V);
        var mine = Best(LOWEST, 0xffffffffu);
        var next = LOWEST;  // this thread's best value besides `mine`
        for (var i = begin + thread; i < end; i += 64u) {
            let value = x[i];
            if (mine.place == 0xffffffffu || value > mine.value) {
                next = max(next, mine.value);
                mine = Best(value, i);
            } else {
                next = max(next, value);
            }
        }
        let winner = best_of_all(mine, thread);
        let rest = best_of_all(Best(select(mine.value, next, mine.place == winner.place), thread), thread);
        if (thread == 0u) {
            chosen[2u * round] = winner.place;
            chosen[2u * round + 1u] = bitcast<u32>(winner.value);
        }
        if (mine.place == winner.place) {
            x[winner.place] = LOWEST;
        }
        if (thread == slice / SHARE) {
            maxima[slice] = rest.value;
            guarded = best_slice(thread);
        }
        storageBarrier();
    }
}
