"""Recording, scratch memory, limits; and how WGSL files are read."""

from __future__ import annotations

import re
import struct
from dataclasses import replace
from itertools import pairwise

import pytest

import lora
import tiny
from sotto import formats, models, ops
from sotto.api import drive
from sotto.device import AdapterInfo, Limits
from sotto.devices.reference.device import NumpyDevice
from sotto.errors import LimitError
from sotto.models import synthetic
from sotto.models.base import Head
from sotto.models.recorder import Recorder
from sotto.paths import kernels_folder
from sotto.plan import wgsl
from sotto.plan.plan import STEP_BYTES, Plan, Use, tensor
from sotto.plan.variants import SIMPLE, Job, KernelChoice, Variant
from sotto.plan.weights import Matrix, Shard, bind, bind_adapters
from sotto.plan.work import (
    cache_bytes,
    dispatch_bytes,
    dispatch_operations,
    kinds,
    prefill_operations,
    weight_bytes,
)
from sotto.source import MemorySource, Source
from sotto.weights.image import Image
from sotto.weights.low_rank import AdapterImage


def record(
    source: Source,
    tokens: int,
    choice: KernelChoice,
    max_binding: int = 1 << 30,
    head: Head = Head.CANDIDATES,
    rank: int = 0,
) -> Plan:
    """A whole forward pass of a model; with an adapter of some rank for all its matrices."""
    checkpoint = drive(formats.open(source))
    model = models.find(checkpoint.architecture).read(checkpoint.settings)
    weights = bind(Image.of(checkpoint.tensors, model.wanted()), max_binding)
    if rank:
        shapes = {
            name: info.shape
            for name, info in checkpoint.tensors.items()
            if "layers." in name and len(info.shape) == 2
        }
        adapter = drive(formats.open_adapter(lora.folder(lora.files(lora.halves(shapes, rank)))))
        weights = weights.adapted(*bind_adapters(AdapterImage(model.wanted(), [adapter]), "adapters"))
    limits = Limits(1 << 40, 1 << 40, 10, 256, 32_768, 1 << 30)
    return Recorder.of(model, weights, 128, 32, 64, limits).plan(f"{tokens} tokens", tokens, choice, head)


@pytest.fixture(scope="module", params=[(1, 0), (4, 0), (32, 0), (1, 8), (4, 8), (32, 8)])
def any_plan(request: pytest.FixtureRequest) -> Plan:
    """A tiny Gemma 3's forward pass: decode, four tokens at a time, prefill; without and with an adapter."""
    tokens, rank = request.param
    source = MemorySource(tiny.build(tiny.Tiny()), "tiny", "tiny")
    return record(source, tokens, SIMPLE.but(ops.DECODES[0]), rank=rank)


@pytest.fixture(scope="module")
def recorded() -> Plan:
    """The prefill of 32 tokens."""
    return record(MemorySource(tiny.build(tiny.Tiny()), "tiny", "tiny"), 32, SIMPLE)


@pytest.mark.parametrize("variant", ops.DECODES, ids=lambda v: v.name)
@pytest.mark.parametrize(("shape", "layers"), [("270m", 18), ("1b", 26)])
def test_decoding_takes_five_dispatches_a_layer_and_three_more(
    variant: Variant, shape: str, layers: int
) -> None:
    plan = record(synthetic.source(shape), 1, SIMPLE.but(variant))
    assert len(plan.dispatches) == 5 * layers + 3
    plan.check(
        max_binding=1 << 30, max_grid=65_535, max_storage_buffers=8
    )  # WebGPU's defaults, but the first


@pytest.mark.parametrize(
    ("shape", "max_binding", "dispatches"),
    [("1b", 128 << 20, 133 + 2), ("4b", 256 << 20, 173 + 2), ("4b", 128 << 20, 173 + 4)],
)
def test_a_table_that_no_binding_holds_takes_more_dispatches(
    shape: str, max_binding: int, dispatches: int
) -> None:
    """One for each further piece, in the embedding and in the head."""
    plan = record(synthetic.source(shape), 1, SIMPLE.but(ops.DECODES[0]), max_binding)
    assert len(plan.dispatches) == dispatches
    plan.check(max_binding=max_binding, max_grid=65_535, max_storage_buffers=8)


@pytest.mark.parametrize(
    ("others", "more"),
    [
        ({}, 0),
        ({f"blk.{layer}.attn_v": "Q8_0" for layer in range(7)}, 7),  # two pieces of qkv
        ({"ffn_up": "Q8_0"}, 2 * 7),  # two pieces, and GELU and product by themselves
    ],
)
def test_matrices_of_mixed_formats_take_more_dispatches(others: dict[str, str], more: int) -> None:
    types = dict.fromkeys(tiny.DEFAULT_TYPES, "Q4_0") | others
    source = MemorySource(tiny.build(tiny.Tiny(types=types)), "tiny", "tiny")
    assert len(record(source, 1, SIMPLE.but(ops.DECODES[0])).dispatches) == 5 * 7 + 3 + more


@pytest.mark.parametrize("variant", [ops.DECODES[0], ops.DECODES[-1]], ids=lambda v: v.name)
def test_fused_plans_are_as_much_work_as_simple_ones(variant: Variant) -> None:
    source = synthetic.source("270m")
    fused, simple = (record(source, 1, choice) for choice in (SIMPLE.but(variant), SIMPLE))
    assert weight_bytes(fused) == weight_bytes(simple) > 100e6
    # but for the last layer, of which a chunk computes the last token only
    fused, simple = (record(source, 4, choice) for choice in (SIMPLE.but(variant), SIMPLE))
    assert prefill_operations(fused, 600) == pytest.approx(prefill_operations(simple, 600), rel=0.06)


def test_the_work_of_a_token_by_kernel() -> None:
    """The 1B: 1536 rows of queries, keys and values, 6912 hidden values; 18 bytes for 32 weights."""
    plan = record(synthetic.source("1b"), 1, SIMPLE.but(ops.DECODES[0]))
    jobs = {name.partition(" (")[0]: numbers for name, numbers in kinds(plan).items()}
    assert list(jobs) == ["embed", "qkv", "attention", "output", "gate up", "down", "head", "sample"]
    assert sorted(number for numbers in jobs.values() for number in numbers) == list(range(133))
    weights = {"qkv": 1536 * 1152, "output": 1152 * 1024, "gate up": 2 * 6912 * 1152, "down": 1152 * 6912}
    weights["head"] = 262_144 * 1152
    for job, size in weights.items():
        for number in jobs[job]:
            assert dispatch_bytes(plan.dispatches[number]) == size * 18 // 32
            assert dispatch_operations(plan.dispatches[number], 1, 77) == 2 * size
    (embed,), (sample,) = jobs["embed"], jobs["sample"]
    assert dispatch_bytes(plan.dispatches[embed], 3) == 3 * 1152 * 18 // 32
    assert dispatch_operations(plan.dispatches[embed], 1) == 0
    assert dispatch_bytes(plan.dispatches[sample]) == dispatch_operations(plan.dispatches[sample], 1) == 0
    # Four query heads against one KV head of 256 dimensions; keys and values of 512 bytes each.
    everywhere = plan.dispatches[jobs["attention"][5]]  # the sixth layer is global: a context of 128 here
    local = plan.dispatches[jobs["attention"][0]]
    assert dict(everywhere.constants)["WINDOW"] == 128 and dict(local.constants)["WINDOW"] == 512
    assert cache_bytes(everywhere, 1, 99) == cache_bytes(local, 1, 99) == 100 * 2 * 512
    assert cache_bytes(local, 1, 2000) == 512 * 2 * 512 and dispatch_bytes(local) == 0
    assert dispatch_operations(local, 1, 2000) == 4 * 4 * 256 * 512
    assert cache_bytes(plan.dispatches[jobs["qkv"][0]], 1, 99) == 0


def test_the_work_of_a_chunk_by_kernel() -> None:
    plan = record(synthetic.source("270m"), 32, SIMPLE)
    jobs = {name: [plan.dispatches[number] for number in numbers] for name, numbers in kinds(plan).items()}
    matmul, matvec = jobs["down (matmul, q4)"], jobs["down (matvec, q4)"]
    assert (len(matmul), len(matvec)) == (17, 1), "of the last layer's there is one token"
    assert dispatch_bytes(matmul[0], 32) == dispatch_bytes(matvec[0], 32) == 640 * 2048 * 18 // 32
    assert (
        dispatch_operations(matmul[0], 32) == 32 * dispatch_operations(matvec[0], 32) == 32 * 2 * 640 * 2048
    )
    first, last = jobs["attention (attention)"][0], jobs["attention (attention)"][-1]
    # Tokens 600..631 with a window of 512 each; in the last layer 631 alone, with the context of 128 for a window
    assert cache_bytes(first, 32, 600) == (512 + 31) * 2 * 512
    assert cache_bytes(last, 32, 600) == 128 * 2 * 512
    assert dispatch_operations(first, 32, 600) == 32 * 4 * 4 * 256 * 512
    assert dispatch_operations(first, 32) == 4 * 4 * 256 * sum(range(1, 33))


@pytest.mark.parametrize("variant", [SIMPLE[Job.DECODE], *ops.DECODES], ids=lambda v: v.name)
def test_dispatches_that_are_timed_together_wait_for_each_other(variant: Variant) -> None:
    """Neighbours in a pass write to the same memory (protocol.kernels), but where scratch changes place."""
    plan = record(synthetic.source("1b"), 1, SIMPLE.but(variant))
    slots, _ = plan.scratch_slots
    pairs = apart = 0
    for numbers in kinds(plan).values():
        written = [{slots.get(t.memory, t.memory) for t in plan.dispatches[n].writes} for n in numbers]
        pairs += len(written) - 1
        apart += sum(not a & b for a, b in pairwise(written))
    assert pairs > 100 and apart <= 0.05 * pairs


def test_no_scratch_tensor_is_overwritten_while_it_is_needed(any_plan: Plan) -> None:
    slots, sizes = any_plan.scratch_slots
    owner: dict[int, str] = {}
    last = {t.memory: i for i, d in enumerate(any_plan.dispatches) for t in d.reads if t.use is Use.SCRATCH}
    for index, d in enumerate(any_plan.dispatches):
        scratch = [t for t in d.reads if t.use is Use.SCRATCH]
        assert len({slots[t.memory] for t in scratch}) == len({t.memory for t in scratch}), d.label
        for t in scratch:
            slot = slots[t.memory]
            assert sizes[slot] >= t.nbytes
            if owner.get(slot, t.memory) != t.memory:
                assert last[owner[slot]] < index, f"{d.label} takes {owner[slot]}'s memory too early"
            owner[slot] = t.memory
    assert len(sizes) < len(slots), "nothing was reused"


@pytest.mark.parametrize("tokens", [1, 64])
@pytest.mark.parametrize("variant", [SIMPLE[Job.DECODE], ops.DECODES[0]], ids=lambda v: v.name)
def test_a_scratch_tensor_takes_the_first_slot_that_is_free_while_it_lives(
    variant: Variant, tokens: int
) -> None:
    plan = record(synthetic.source("270m"), tokens, SIMPLE.but(variant))
    used: dict[str, list[int]] = {}
    nbytes: dict[str, int] = {}
    for index, d in enumerate(plan.dispatches):
        for t in d.reads:
            if t.use is Use.SCRATCH:
                used.setdefault(t.memory, []).append(index)
                nbytes[t.memory] = t.nbytes
    slots: list[list[str]] = []
    for name in sorted(used, key=lambda name: -nbytes[name]):
        alone = (
            s for s in slots if all(used[name][-1] < used[o][0] or used[o][-1] < used[name][0] for o in s)
        )
        slot = next(alone, None)
        if slot is None:
            slots.append(slot := [])
        slot.append(name)
    places, sizes = plan.scratch_slots
    assert places == {name: number for number, names in enumerate(slots) for name in names}
    assert sizes == [max(nbytes[name] for name in names) for names in slots]


def test_every_scratch_tensor_is_written_before_it_is_read(any_plan: Plan) -> None:
    written: set[str] = set()
    for d in any_plan.dispatches:
        for b in d.bindings:
            if b.tensor.use is Use.SCRATCH and b.access == "read":
                assert b.tensor.memory in written, f"{d.label} reads {b.tensor.name}"
        written |= {t.memory for t in d.writes}


def test_no_dispatch_binds_one_memory_for_reading_and_writing(recorded: Plan) -> None:
    for d in recorded.dispatches:
        writes = [t.memory for t in d.writes]
        others = [b.tensor.memory for b in d.bindings if b.access == "read"]
        assert not set(writes) & set(others), d.label
        assert len(set(writes)) == len(writes), d.label


def test_a_chunk_that_is_not_the_last_one_stops_early(recorded: Plan) -> None:
    body = recorded.dispatches[recorded.body - 1].label
    assert body == "layer 6 / rope kv", "what later chunks need ends with the last layer's keys and values"


def test_a_chunks_last_token_takes_the_kernels_of_decoding() -> None:
    plan = record(synthetic.source("270m"), 32, SIMPLE.but(ops.DECODES[0]))
    alone = plan.dispatches[plan.body + 1 :]
    operations = ["qkv", "attention", "output", "gate_up", "down", "head"]
    assert [d.kernel.operation for d in alone] == [*(f"decode_{name}" for name in operations), "sample"]
    assert plan.dispatches[plan.body].kernel.operation == "last_row"
    assert all(plan.last_step in d.reads for d in alone[:-1]), "they see the last token's place in the text"


def test_local_and_global_layers_differ_as_they_should(recorded: Plan) -> None:
    windows = [dict(d.constants)["WINDOW"] for d in recorded.dispatches if d.kernel.name == "attention"]
    slots = [dict(d.constants)["SLOTS"] for d in recorded.dispatches if d.kernel.name == "attention"]
    assert windows == [32, 32, 32, 32, 32, 128, 32]
    assert slots == [64, 64, 64, 64, 64, 128, 64]


def test_the_table_names_every_dispatch(recorded: Plan) -> None:
    table = recorded.table()
    assert len(table) == len(recorded.dispatches)
    assert any("layer 5 / attention" in row[0] and "WINDOW=128" in row[3] for row in table)


def test_a_limit_that_is_too_small_is_named(recorded: Plan) -> None:
    limits = {"max_binding": 1 << 30, "max_grid": 65535, "max_storage_buffers": 10}
    recorded.check(**limits)
    with pytest.raises(LimitError, match="binds 7 storage buffers; this adapter allows 4"):
        recorded.check(**limits | {"max_storage_buffers": 4})
    with pytest.raises(LimitError, match="in one binding"):
        recorded.check(**limits | {"max_binding": 1000})
    with pytest.raises(LimitError, match="grid"):
        recorded.check(**limits | {"max_grid": 3})


def test_inputs_hold_the_step_the_tokens_and_their_successors() -> None:
    plan = Plan("score", 70, scored=True)
    data = plan.inputs(9, [5, 6, 7], [6, 7, 8])
    assert len(data) == plan.inputs_nbytes
    assert struct.unpack_from("<2I", data, 0) == (9, 3)
    assert struct.unpack_from("<3I", data, STEP_BYTES) == (5, 6, 7)
    assert plan.targets.offset % 256 == 0
    assert struct.unpack_from("<3I", data, plan.targets.offset) == (6, 7, 8)


def test_a_binding_or_constant_that_does_not_fit_is_refused() -> None:
    plan = Plan("test", 1)
    x, y = plan.scratch("x", (1, 64)), plan.scratch("y", (1, 64))
    kernel = wgsl.load("last_row")
    with pytest.raises(ValueError, match="binds"):
        plan.add("a", kernel, (1, 1, 1), {"x": x}, D=64)
    with pytest.raises(ValueError, match="missing"):
        plan.add("a", kernel, (1, 1, 1), {"x": x, "y": y})
    with pytest.raises(ValueError, match="unknown"):
        plan.add("a", kernel, (1, 1, 1), {"x": x, "y": y}, D=64, Q=1)
    assert not plan.dispatches


def test_bindings_and_overrides_come_from_the_file() -> None:
    kernel = wgsl.load("matmul", "q8")
    assert {b.name: (b.number, b.access) for b in kernel.bindings} == {
        "weights": (0, "read"),
        "scales": (1, "read"),
        "x": (2, "read"),
        "y": (3, "read_write"),
        "step": (8, "uniform"),
    }
    assert kernel.overrides["N"].default is None
    assert kernel.overrides["COLUMN_TILES"].default == "(K + 127u) / 128u"
    assert kernel.source.count("override K") == 1, "an include was read twice"
    assert "#include" not in kernel.source
    assert (kernel.operation, kernel.format) == ("matmul", "q8")


def test_a_format_is_asked_for_where_it_is_needed_only() -> None:
    with pytest.raises(ValueError, match=r"options \[.format.\], given \[\]"):
        wgsl.load("matmul")
    with pytest.raises(ValueError, match=r"options \[\], given \[.format.\]"):
        wgsl.load("rms_norm", "q8")


def test_every_kernel_has_a_header_that_names_its_grid() -> None:
    for name in wgsl.names():
        text = (kernels_folder() / f"{name}.wgsl").read_text("utf-8")
        header = text.split("@group")[0]
        assert "Grid:" in header, name


def test_a_shape_the_kernels_cannot_run_is_refused() -> None:
    plan = Plan("test", 1)
    cache = ops.Cache(tensor("k", (8, 1, 512), "f16", Use.CACHE), tensor("v", (8, 1, 512), "f16", Use.CACHE))
    norm = tensor("n", (512,), "f32", Use.WEIGHT)
    with pytest.raises(Exception, match="heads of 512 dimensions"):
        ops.rope_kv(plan, plan.scratch("qkv", (1, 1536)), cache, norm, norm, norm, eps=1e-6, scale=1.0)


@pytest.mark.parametrize("variant", [v for v in ops.MATMULS if "matrix" in v.options], ids=str)
def test_subgroup_matrices_want_their_shape_and_their_memory(variant: Variant) -> None:
    device = NumpyDevice()
    device.adapter = adapter = AdapterInfo("A GPU", "", "", "", "", False, tuple(variant.features))
    device.limits = Limits(1 << 30, 1 << 30, 8, 256, variant.workgroup_bytes, 65_535)
    assert variant.runs_on(device)
    shape = next(f for f in variant.features if f.startswith("subgroup-matrix "))
    device.adapter = replace(adapter, features=tuple(variant.features - {shape}))
    assert not variant.runs_on(device)
    device.adapter, device.limits = adapter, replace(device.limits, max_workgroup_memory=16_384)
    assert not variant.runs_on(device)
    for tokens in (32, 33):
        plan = Plan("test", tokens, choice=SIMPLE.but(variant))
        piece = tensor("w", (64, 64), "u32", Use.WEIGHT)
        matrix = Matrix("m", 64, 64, (Shard(0, 64, 64, "f32", piece, None),))
        ops.matmul(plan, "y", tensor("x", (tokens, 64), "f32", Use.CACHE), matrix)
        (dispatch,) = plan.dispatches
        given = dict(dispatch.constants)
        said = dict(re.findall(r"^const (\w+): u32 = (\d+);", dispatch.kernel.source, re.MULTILINE))
        m, n, k, down, across, threads = (
            int(said[name])
            for name in ("MATRIX_M", "MATRIX_N", "MATRIX_K", "BLOCK_TOKENS", "BLOCK_ROWS", "THREADS")
        )
        assert shape.endswith(f" {m}x{n}x{k}") and threads == variant.workgroup
        assert down % m == across % n == given["TOKENS"] % down == given["ROWS"] % across == 0
        assert 8 * given["WORDS"] % k == 0
        blocks = given["TOKENS"] * given["ROWS"] / (down * across)
        staged = (given["TOKENS"] + given["ROWS"]) * 80
        assert staged + blocks * m * n * 4 <= variant.workgroup_bytes
