// #variant-of "matmul"
// Y = X W^T by tiles in workgroup memory, for GPUs: rows of W against a chunk of tokens.
//   weights (N, K) any format; x (T, K) f32; y f32: token t's row begins at (t*PARTS + z)*STRIDE + OFFSET.
// Grid: x over tiles of ROWS rows, y over tiles of TOKENS tokens, z over parts of the columns.
// A workgroup stages WORDS*8 columns at a time of its tokens and, dequantised once, of its rows, and loads the next ones
// while it multiplies. A thread sums 8 tokens x WIDTH rows in f32; four rows' values are a matrix whose columns are
// rows, so that (a token's four values) * matrix gives four products.
// The order of a row's vectors is swizzled, not padded: threads that read one column of neighbouring rows, or of the
// two token groups of a subgroup, find them in different banks. A thread's rows lie ROWS/WIDTH apart, so that
// neighbouring threads store neighbouring sums.
// #include "tile_staged.wgsl"
// #include "part.wgsl"
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
override OFFSET: u32;
override STRIDE: u32;
override WIDTH: u32;  // 4 or 8; ROWS is 16 * WIDTH
override ROUNDS: u32 = K / 32u * STAGES;  // at most
override THREADS: u32 = TOKENS / 8u * 16u;

var<workgroup> xs: array<Staged, TOKENS * VECTORS>;
var<workgroup> ws: array<Staged, ROWS * VECTORS>;

fn token_swizzle(token: u32) -> u32 {
    return (token / 8u) % VECTORS;
}

fn x_at(token: u32, vector: u32) -> u32 {
    return token * VECTORS + (vector ^ token_swizzle(token));
}

fn row_swizzle(row: u32) -> u32 {
    return (row * VECTORS / 8u) % VECTORS;
}

fn w_at(row: u32, vector: u32) -> u32 {
    return row * VECTORS + (vector ^ row_swizzle(row));
}

fn four_rows(at: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        vec4<f32>(ws[at]),
        vec4<f32>(ws[at + 16u * VECTORS]),
        vec4<f32>(ws[at + 32u * VECTORS]),
        vec4<f32>(ws[at + 48u * VECTORS]),
    );
}

fn store(token: u32, row: u32, part: Part, sums: vec4<f32>) {
    if (token >= step.count) {
        return;
    }
    let at = part_at(token, part);
    for (var i = 0u; i < 4u; i++) {
        if (row + 16u * i < N) {
            y[at + row + 16u * i] = sums[i];
        }
    }
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let first_token = TOKENS * group.y;
    let first_row = ROWS * group.x;
    let part = part_of(group, groups);
    if (first_token >= step.count) {
        return;
    }
    let tx = thread % 16u;
    let ty = thread / 16u;
    var first0 = vec4<f32>();
    var first1 = vec4<f32>();
    var first2 = vec4<f32>();
    var first3 = vec4<f32>();
    var first4 = vec4<f32>();
    var first5 = vec4<f32>();
    var first6 = vec4<f32>();
    var first7 = vec4<f32>();
    var second0 = vec4<f32>();
    var second1 = vec4<f32>();
    var second2 = vec4<f32>();
    var second3 = vec4<f32>();
    var second4 = vec4<f32>();
    var second5 = vec4<f32>();
    var second6 = vec4<f32>();
    var second7 = vec4<f32>();
    let begin = part.begin * STAGES;
    let end = part.end * STAGES;
    var next = fetch(first_token, first_row, begin, thread);
    for (var round = 0u; round < ROUNDS; round++) {
        if (begin + round >= end) {
            break;
        }
        stage(next, thread);
        workgroupBarrier();
        next = fetch(first_token, first_row, begin + round + 1u, thread);
        for (var v = 0u; v < VECTORS; v++) {
            let row_at = w_at(tx, v);
            let token_at = x_at(8u * ty, v);
            let x0 = vec4<f32>(xs[token_at + 0u * VECTORS]);
            let x1 = vec4<f32>(xs[token_at + 1u * VECTORS]);
            let x2 = vec4<f32>(xs[token_at + 2u * VECTORS]);
            let x3 = vec4<f32>(xs[token_at + 3u * VECTORS]);
            let x4 = vec4<f32>(xs[token_at + 4u * VECTORS]);
            let x5 = vec4<f32>(xs[token_at + 5u * VECTORS]);
            let x6 = vec4<f32>(xs[token_at + 6u * VECTORS]);
            let x7 = vec4<f32>(xs[token_at + 7u * VECTORS]);
            let first = four_rows(row_at);
            first0 += x0 * first;
            first1 += x1 * first;
            first2 += x2 * first;
            first3 += x3 * first;
            first4 += x4 * first;
            first5 += x5 * first;
            first6 += x6 * first;
            first7 += x7 * first;
            if (WIDTH == 8u) {
                let second = four_rows(row_at + 64u * VECTORS);
                second0 += x0 * second;
                second1 += x1 * second;
                second2 += x2 * second;
                second3 += x3 * second;
                second4 += x4 * second;
                second5 += x5 * second;
                second6 += x6 * second;
                second7 += x7 * second;
            }
        }
        workgroupBarrier();
    }
    let token = first_token + 8u * ty;
    let row = first_row + tx;
    store(token + 0u, row, part, first0);
    store(token + 1u, row, part, first1);
    store(token + 2u, row, part, first2);
    store(token + 3u, row, part, first3);
    store(token + 4u, row, part, first4);
    store(token + 5u, row, part, first5);
    store(token + 6u, row, part, first6);
    store(token + 7u, row, part, first7);
    if (WIDTH == 8u) {
        store(token + 0u, row + 64u, part, second0);
        store(token + 1u, row + 64u, part, second1);
        store(token + 2u, row + 64u, part, second2);
        store(token + 3u, row + 64u, part, second3);
        store(token + 4u, row + 64u, part, second4);
        store(token + 5u, row + 64u, part, second5);
        store(token + 6u, row + 64u, part, second6);
        store(token + 7u, row + 64u, part, second7);
    }
}
