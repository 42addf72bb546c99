// y[t] = the index of the highest logit of token t; of equal ones the lowest index. A logit that is not finite,
// wherever it is, gives 0xffffffff.
//   x (T, V) f32, as bits; maxima (T, SLICES) f32, as bits, of its slices, no number for one with a value that is not
//   finite; y (T) u32. Grid: x over tokens.
// Of the logits only the first slice with the highest maximum is read.
// #include "step.wgsl"
// #include "order.wgsl"
@group(0) @binding(0) var<storage, read> x: array<u32>;
@group(0) @binding(1) var<storage, read> maxima: array<u32>;
@group(0) @binding(2) var<storage, read_write> y: array<u32>;
override V: u32;
override SLICE: u32;
override SLICES: u32 = (V + SLICE - 1u) / SLICE;
override SLICE_ROUNDS: u32 = (SLICES + THREADS - 1u) / THREADS;
override VALUE_ROUNDS: u32 = (SLICE + THREADS - 1u) / THREADS;

const THREADS: u32 = 256;
const GROUP: u32 = 16;  // threads of which one compares what they have
const NO_NUMBER: u32 = 0xffffffffu;
var<workgroup> keys: array<u32, THREADS>;
var<workgroup> places: array<u32, THREADS>;

fn first_of(a: Item, b: Item) -> Item {
    if (b.key > a.key || (b.key == a.key && b.place < a.place)) {
        return b;
    }
    return a;
}

// The first of what all threads have, for all of them.
fn first_of_all(mine: Item, thread: u32) -> Item {
    keys[thread] = mine.key;
    places[thread] = mine.place;
    workgroupBarrier();
    if (thread % GROUP == 0u) {
        var first = mine;
        for (var i = 1u; i < GROUP; i++) {
            first = first_of(first, Item(keys[thread + i], places[thread + i]));
        }
        keys[thread] = first.key;
        places[thread] = first.place;
    }
    workgroupBarrier();
    var first = ABSENT;
    for (var i = 0u; i < THREADS / GROUP; i++) {
        first = first_of(first, Item(keys[i * GROUP], places[i * GROUP]));
    }
    workgroupBarrier();  // so that the next call may overwrite them
    return first;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let t = group.x;
    if (t >= step.count) {
        return;
    }
    var mine = ABSENT;
    for (var round = 0u; round < SLICE_ROUNDS; round++) {
        let i = round * THREADS + thread;
        if (i < SLICES) {
            mine = first_of(mine, Item(key_of(maxima[t * SLICES + i]), i));
        }
    }
    let slice = first_of_all(mine, thread).place;
    mine = ABSENT;
    for (var round = 0u; round < VALUE_ROUNDS; round++) {
        let i = round * THREADS + thread;
        let place = slice * SLICE + i;
        if (i < SLICE && place < V) {
            mine = first_of(mine, Item(key_of(x[t * V + place]), place));
        }
    }
    let first = first_of_all(mine, thread);
    if (thread == 0u) {
        y[t] = select(first.place, NO_NUMBER, first.key == EVERY);
    }
}
