"""What kernels are said to compute: every kernel is in the table, and the numbers are those of the tensors it binds."""

from __future__ import annotations

from functools import cache
from math import prod

import pytest

import tiny
from sotto import ops
from sotto.device import Work
from sotto.models import synthetic
from sotto.models.base import Head
from sotto.plan import wgsl
from sotto.plan.costs import COSTS
from sotto.plan.plan import Dispatch, Plan, Tensor, Use, tensor
from sotto.plan.variants import SIMPLE, Variant
from sotto.plan.work import STEP_OPERATIONS, alone, attention, products, work
from sotto.source import MemorySource, Source
from unit.test_plan import record

SOURCE = MemorySource(tiny.build(tiny.Tiny()), "tiny", "tiny")
CHUNK = 32


def bound(dispatch: Dispatch) -> dict[str, Tensor]:
    """A dispatch's tensors by the kernel's names for them."""
    names = {declared.number: declared.name for declared in dispatch.kernel.bindings}
    return {names[binding.number]: binding.tensor for binding in dispatch.bindings}


@cache
def plan(
    tokens: int, *variants: Variant, head: Head = Head.CANDIDATES, source: Source = SOURCE, rank: int = 0
) -> Plan:
    """A forward pass with these variants, simple kernels for the rest."""
    return record(source, tokens, SIMPLE.but(*variants), head=head, rank=rank)


VARIANTS = [(), *((variant,) for variant in (*ops.DECODES, *ops.MATMULS, *ops.ATTENTIONS))]


def recorded() -> list[Plan]:
    """Every variant, one token, a few, and a chunk; every head; gate and up of one format; with an adapter."""
    whole = plan(1, ops.DECODES[0], source=synthetic.source("270m"))
    plans = [plan(tokens, *variants) for tokens in (1, 4, CHUNK) for variants in VARIANTS]
    adapted = [plan(tokens, ops.DECODES[0], rank=8) for tokens in (1, 4, CHUNK)]
    return [*plans, *adapted, whole, plan(CHUNK, head=Head.SCORES), plan(4, ops.DECODES[0], head=Head.BEST)]


def test_every_kernel_is_in_the_table() -> None:
    operations = {wgsl.operation(name) for name in wgsl.names()}
    assert operations and operations == COSTS.keys()


def test_the_plans_here_hold_every_kernel() -> None:
    assert {d.kernel.operation for p in recorded() for d in p.dispatches} == COSTS.keys()


def test_a_kernel_that_is_not_in_the_table_cannot_be_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sotto.plan.plan.COSTS", {name: COSTS[name] for name in COSTS if name != "geglu"})
    p = Plan("test", 4)
    with pytest.raises(ValueError, match=r"plan/costs\.py does not say what geglu computes"):
        ops.geglu(p, tensor("gate up", (4, 64), "f32", Use.SCRATCH))
    assert not p.dispatches


def test_products_are_counted_as_the_weights_are() -> None:
    """Two operations for every weight that is bound, adapters' too, but for a table in which rows are looked up."""
    for p in recorded():
        for d in p.dispatches:
            tensors = bound(d)
            weights, b = tensors.get("weights"), tensors.get("b")
            counted = prod(weights.shape) if weights is not None and d.kernel.operation != "embed" else 0
            if b is not None:  # whole, also where a shard of the matrix is computed
                counted += (weights or b).shape[0] * b.shape[1]
            assert products(d) == 2 * counted, d.label


def test_attention_is_counted_as_queries_keys_and_values_are() -> None:
    """Two operations for each number of the queries with the keys, and as many for the sums of the values."""
    found = 0
    for p in recorded():
        for d in p.dispatches:
            tensors = bound(d)
            expected = 0
            if d.kernel.operation == "attention":
                expected = 4 * tensors["q"].shape[1]
            if d.kernel.operation == "decode_attention":
                expected = 4 * (tensors["qkv"].shape[1] - 2 * prod(tensors["keys"].shape[1:]))
            found += expected > 0
            assert attention(d) == expected, d.label
    assert found > 100


def test_a_dispatch_knows_for_how_many_tokens_it_computes() -> None:
    """In a chunk only what follows what later chunks need is for one token; in a plan of a few, only what the last
    token's logits are made of."""
    for p in recorded():
        for number, d in enumerate(p.dispatches):
            one = p.tokens == 1 or number >= p.body > 0
            if p.scored or p.output.name == "best":
                one = False
            assert alone(d) == one, (p.name, d.label, d.kernel.operation)


def test_where_no_operations_are_counted_bytes_are() -> None:
    p = plan(CHUNK)
    found = {d.label: work(d, CHUNK) for d in p.dispatches}
    dim = p.dispatches[0].writes[0].shape[1]
    assert found["layer 0 / attention norm"] == Work(STEP_OPERATIONS, token=4 * dim)
    assert found["layer 6 / last row"] == Work(STEP_OPERATIONS + 4 * dim)
    rope = next(d for d in p.dispatches if d.kernel.operation == "rope_kv")
    queries = bound(rope)["q"].shape[1]
    assert found[rope.label] == Work(STEP_OPERATIONS, token=4 * queries), (
        "not the cache, which is bound whole"
    )
