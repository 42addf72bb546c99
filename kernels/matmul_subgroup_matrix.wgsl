// #variant-of "matmul"
// Y = X W^T by tiles with subgroup matrices, for GPUs that multiply small matrices in hardware.
//   weights (N, K) any format; x (T, K) f32; y f32: token t's row begins at (t*PARTS + z)*STRIDE + OFFSET.
// Grid: x over tiles of ROWS rows, y over tiles of TOKENS tokens, z over parts of the columns.
// A workgroup stages WORDS*8 columns at a time. The left matrix is tokens x columns, the right one columns x rows (the
// weights' rows are its columns), their sums are f32. A subgroup has a block of BLOCK_TOKENS x BLOCK_ROWS sums; there
// are as many blocks as subgroups of the size lib/matrices/ expects. WebGPU promises no size: subgroups too many only
// stage, and where there are too few the workgroup goes over its columns again for the blocks that are left.
// A stage's rows are a quarter longer than what they hold, 80 bytes: eight of them begin in different banks.
// The sums reach y through workgroup memory, since a matrix may reach past the count or past N.
enable chromium_experimental_subgroup_matrix;
enable subgroups;
// #include "tile_staged.wgsl"
// #include "part.wgsl"
// #include "matrices/{matrix}.wgsl"
@group(0) @binding(3) var<storage, read_write> y: array<f32>;
override OFFSET: u32;
override STRIDE: u32;
override ROUNDS: u32 = K / 32u * STAGES;  // at most
override STEPS: u32 = VECTORS * 4u / MATRIX_K;  // matrices along a stage
override SPAN: u32 = VECTORS / 4u * 5u;  // from one row of a stage to the next
override BLOCKS_ACROSS: u32 = ROWS / BLOCK_ROWS;
override BLOCKS: u32 = TOKENS / BLOCK_TOKENS * BLOCKS_ACROSS;

const THREADS: u32 = 128;  // a multiple of every subgroup size, as WGSL wants it where there are subgroup matrices
const DOWN: u32 = BLOCK_TOKENS / MATRIX_M;  // matrices in a block
const ACROSS: u32 = BLOCK_ROWS / MATRIX_N;
const SUMS: u32 = MATRIX_M * MATRIX_N;
alias Left = subgroup_matrix_left<Component, MATRIX_K, MATRIX_M>;
alias Right = subgroup_matrix_right<Component, MATRIX_N, MATRIX_K>;
alias Sums = subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;

var<workgroup> xs: array<Staged, TOKENS * SPAN>;
var<workgroup> ws: array<Staged, ROWS * SPAN>;
var<workgroup> stored: array<f32, BLOCKS * SUMS>;  // a matrix of each block

fn x_at(token: u32, vector: u32) -> u32 {
    return token * SPAN + vector;
}

fn w_at(row: u32, vector: u32) -> u32 {
    return row * SPAN + vector;
}

fn first_token_of(block: u32) -> u32 {
    return block / BLOCKS_ACROSS * BLOCK_TOKENS;
}

fn first_row_of(block: u32) -> u32 {
    return block % BLOCKS_ACROSS * BLOCK_ROWS;
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) group: vec3<u32>,
    @builtin(num_workgroups) groups: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
    @builtin(subgroup_id) subgroup: u32,
    @builtin(num_subgroups) subgroups: u32,
) {
    let first_token = TOKENS * group.y;
    let first_row = ROWS * group.x;
    let part = part_of(group, groups);
    if (first_token >= step.count) {
        return;
    }
    let begin = part.begin * STAGES;
    let end = part.end * STAGES;
    for (var first = 0u; first < BLOCKS; first += subgroups) {
        let has_block = first + subgroup < BLOCKS;
        let token_at = x_at(first_token_of(first + subgroup), 0u);
        let row_at = w_at(first_row_of(first + subgroup), 0u);
        // Written out, because Tint of 2026-10 zeroes a variable of a loop only once where it has no value given.
        var sums = array<Sums, DOWN * ACROSS>();
        var next = fetch(first_token, first_row, begin, thread);
        for (var round = 0u; round < ROUNDS; round++) {
            if (begin + round >= end) {
                break;
            }
            stage(next, thread);
            workgroupBarrier();
            next = fetch(first_token, first_row, begin + round + 1u, thread);
            if (has_block) {
                for (var s = 0u; s < STEPS; s++) {
                    let v = s * MATRIX_K / 4u;
                    var right: array<Right, ACROSS>;
                    for (var n = 0u; n < ACROSS; n++) {
                        right[n] = subgroupMatrixLoad<Right, col_major>(&ws, row_at + n * MATRIX_N * SPAN + v, SPAN);
                    }
                    for (var m = 0u; m < DOWN; m++) {
                        let left = subgroupMatrixLoad<Left, row_major>(&xs, token_at + m * MATRIX_M * SPAN + v, SPAN);
                        for (var n = 0u; n < ACROSS; n++) {
                            let i = m * ACROSS + n;
                            sums[i] = subgroupMatrixMultiplyAccumulate(left, right[n], sums[i]);
                        }
                    }
                }
            }
            workgroupBarrier();
        }
        for (var i = 0u; i < DOWN * ACROSS; i++) {
            if (has_block) {
                subgroupMatrixStore<row_major>(&stored, subgroup * SUMS, sums[i], MATRIX_N);
            }
            workgroupBarrier();
            for (var at = thread; at < min(subgroups, BLOCKS - first) * SUMS; at += THREADS) {
                let block = first + at / SUMS;
                let token = first_token + first_token_of(block) + i / ACROSS * MATRIX_M + at % SUMS / MATRIX_N;
                let row = first_row + first_row_of(block) + i % ACROSS * MATRIX_N + at % MATRIX_N;
                if (token < step.count && row < N) {
                    y[part_at(token, part) + row] = stored[at];
                }
            }
            workgroupBarrier();
        }
    }
}
