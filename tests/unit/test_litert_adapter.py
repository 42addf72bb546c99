"""LoRA adapters in LiteRT's files for phones. (Of random halves in a file that litert-torch 0.10.0 wrote, all came back
bit for bit on 2026-11-28.)"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from test_mutated_files import MUTATIONS, mutated

import litert
import lora
import tiny
from sotto import formats
from sotto.api import drive
from sotto.cli import inspect_file
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import FormatError, SottoError, UnsupportedModel
from sotto.formats.adapter import Adapter
from sotto.reports import Settings
from sotto.source import MemorySource

SIZES = tiny.Tiny(layers=2, width=64, hidden=64, heads=2, head_dim=32)
MODEL = tiny.build(replace(SIZES, types=dict.fromkeys(tiny.DEFAULT_TYPES, "F32")))
LETTERS = {"query": "q", "key": "k", "value": "v", "output": "o"}
SCALE = 2.0
ATTENTION = {n: s for n, s in lora.shapes_of(MODEL).items() if n.rpartition(".")[2] in LETTERS}
HALVES = lora.halves(ATTENTION, 4, strength=0.3)
PRODUCTS = lora.products(HALVES, lambda path, rank: SCALE)
Tensor = tuple[str, np.ndarray]


def tensors() -> list[Tensor]:
    """By the names and in the order that litert-torch gives them: transposed, A with the scale in it."""
    found = []
    for name in ATTENTION:
        _, layer, kind = name.split(".")
        module = f"base_model.model.model.layers.{layer}.{lora.MODULE[kind]}"
        for half, scale in (("a", SCALE), ("b", 1.0)):
            values = HALVES[f"{module}.lora_{half.upper()}.weight"].T * np.float32(scale)
            found.append((f"lora_atten_{LETTERS[kind]}_{half}_prime_weight_{layer}", values))
    return found


def file(given: list[Tensor], kind: int = litert.F32) -> bytes:
    model = litert.Tflite(inside=True)
    for name, values in given:
        model.tensor(name, values.shape, kind, values.astype("<f4").tobytes())
    model.metadata.append(("lora_rank", 0))
    return model.build()


def opened(data: bytes) -> Adapter:
    return drive(formats.open_adapter(MemorySource(data, "lora.tflite", "k")))


def test_what_an_adapter_for_phones_changes() -> None:
    adapter = opened(file(tensors()))
    assert (adapter.format, adapter.ranks, adapter.projections) == (
        "LiteRT",
        (4, 4),
        dict.fromkeys(LETTERS, 2),
    )
    assert adapter.factors.keys() == PRODUCTS.keys()
    for name, factors in adapter.factors.items():
        np.testing.assert_allclose(factors.scale * factors.b @ factors.a, PRODUCTS[name], atol=1e-6)


def test_it_runs_as_the_merged_model() -> None:
    ids = [2, *range(300, 320)]

    def scores(data: bytes, adapters: tuple[tuple[str, Adapter, float], ...] = ()) -> np.ndarray:
        source = MemorySource(data, "tiny.gguf", "k")
        engine = drive(
            Engine.load(source, NumpyDevice(), None, Settings(64, chunks=(16,)), adapters=adapters)
        )
        return np.array(drive(engine.score(ids)))

    plain, merged = scores(MODEL), scores(lora.merged(MODEL, PRODUCTS))
    got = scores(MODEL, (("one", opened(file(tensors())), 1.0),))
    assert np.abs(merged - plain).mean() > 0.2
    assert np.abs(got - merged).mean() < 0.02 * np.abs(merged - plain).mean()


def test_taken_for_a_model_it_says_what_it_is() -> None:
    checkpoint = drive(formats.open(MemorySource(file(tensors()), "lora.tflite", "k")))
    assert formats.is_adapter(checkpoint)
    (problem,) = inspect_file.problems(checkpoint)
    assert "lora.tflite is a LoRA adapter" in str(problem) and "--lora" in str(problem)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda all: all[1:], "no matrix A for layers.0.query"),
        (lambda all: [*all, ("lora_atten_z_a_prime_weight_0", all[0][1])], "holds the tensor lora_atten_z"),
        (lambda all: [*all, all[0]], "the matrix A for layers.0.query twice"),
        (
            lambda all: [(all[0][0], all[0][1][None]), *all[1:]],
            "q_a_prime_weight_0 of .* is not a matrix of f32",
        ),
        (lambda all: [(all[0][0], all[0][1][:, :3]), *all[1:]], "do not fit each other"),
        (lambda all: [(all[0][0], all[0][1] * np.nan), *all[1:]], "not numbers"),
        (lambda all: [], "changes nothing"),
    ],
)
def test_what_is_damaged_is_refused(change: Callable[[list[Tensor]], list[Tensor]], complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint) as error:
        opened(file(change(tensors())))
    assert error.value.hint


def test_another_type_and_another_model() -> None:
    with pytest.raises(FormatError, match="is not a matrix of f32"):
        opened(file(tensors(), litert.F16))
    with pytest.raises(UnsupportedModel, match=r"layers\.1\.query, which this model has not"):
        opened(file(tensors())).outline.check_fits(
            {n: s for n, s in ATTENTION.items() if n.startswith("layers.0.")}
        )


def test_mutated_adapters_are_refused_or_read() -> None:
    generator = random.Random(20261128)
    data = file(tensors())
    header = len(data) - 4 * sum(values.size for _, values in tensors())
    refused, count = 0, MUTATIONS or 200
    for _ in range(count):
        try:
            adapter = opened(mutated(data, header, generator))
        except SottoError as error:
            assert error.message and len(str(error)) < 1000
            refused += 1
        else:
            assert {name.rpartition(".")[2] for name in adapter.factors} <= LETTERS.keys()
    assert count // 4 < refused < count
