"""Subgroup matrices spelt out in plain WGSL, for adapters that have none, or not those of a certain GPU.

The first thread of a subgroup does all its work, and a workgroup has as many subgroups as the test says: how a kernel
cuts its work into matrices depends on their shape and on the size of subgroups, and can be wrong for each.
"""

from __future__ import annotations

from dataclasses import replace

from sotto.plan.wgsl import Kernel

PLAIN = """
alias Left = array<f32, MATRIX_M * MATRIX_K>;
alias Right = array<f32, MATRIX_K * MATRIX_N>;
alias Sums = array<f32, MATRIX_M * MATRIX_N>;

fn load_left(at: u32, stride: u32) -> Left {
    var left: Left;
    for (var i = 0u; i < MATRIX_M * MATRIX_K; i++) {
        let column = i % MATRIX_K;
        left[i] = f32(xs[at + i / MATRIX_K * stride + column / 4u][column % 4u]);
    }
    return left;
}

fn load_right(at: u32, stride: u32) -> Right {
    var right: Right;
    for (var i = 0u; i < MATRIX_K * MATRIX_N; i++) {
        let k = i / MATRIX_N;
        right[i] = f32(ws[at + i % MATRIX_N * stride + k / 4u][k % 4u]);
    }
    return right;
}

fn multiply(left: Left, right: Right, sums: Sums) -> Sums {
    var result = sums;
    for (var i = 0u; i < MATRIX_M * MATRIX_N; i++) {
        for (var k = 0u; k < MATRIX_K; k++) {
            result[i] += left[i / MATRIX_N * MATRIX_K + k] * right[k * MATRIX_N + i % MATRIX_N];
        }
    }
    return result;
}

fn store(at: u32, sums: Sums, stride: u32) {
    for (var i = 0u; i < MATRIX_M * MATRIX_N; i++) {
        stored[at + i / MATRIX_N * stride + i % MATRIX_N] = sums[i];
    }
}
"""


def spelt_out(kernel: Kernel, subgroups: int) -> Kernel:
    """matmul_subgroup_matrix for an adapter without the feature, in so many subgroups."""
    source = kernel.source
    for old, new in (
        ("enable chromium_experimental_subgroup_matrix;\n", ""),
        ("enable subgroups;\n", ""),
        ("alias Left = subgroup_matrix_left<Component, MATRIX_K, MATRIX_M>;\n", PLAIN),
        ("alias Right = subgroup_matrix_right<Component, MATRIX_N, MATRIX_K>;\n", ""),
        ("alias Sums = subgroup_matrix_result<f32, MATRIX_N, MATRIX_M>;\n", ""),
        ("    @builtin(subgroup_id) subgroup: u32,\n", ""),
        ("    @builtin(num_subgroups) subgroups: u32,\n) {\n",
         f") {{\n    let subgroups = {subgroups}u;\n    let subgroup = thread / (THREADS / subgroups);\n"),
        ("let has_block = ", "let has_block = thread % (THREADS / subgroups) == 0u && "),
        ("subgroupMatrixLoad<Left, row_major>(&xs, ", "load_left("),
        ("subgroupMatrixLoad<Right, col_major>(&ws, ", "load_right("),
        ("subgroupMatrixMultiplyAccumulate(", "multiply("),
        ("subgroupMatrixStore<row_major>(&stored, ", "store("),
    ):  # fmt: skip
        assert source.count(old) == 1, f"the kernel does not say {old!r} once"
        source = source.replace(old, new)
    assert "subgroupMatrix" not in source and "subgroup_matrix" not in source
    return replace(kernel, source=source)
