"""To what the weights of safetensors files are rounded, and how the error is told."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import hugging
import tiny
from sotto import formats
from sotto.api import drive
from sotto.cli import inspect, options
from sotto.devices.reference.device import NumpyDevice
from sotto.engine.engine import Engine
from sotto.errors import FilesNeeded, FormatError, InvalidSetting
from sotto.formats import blocks
from sotto.native.disk import DiskStore
from sotto.page import statistics
from sotto.page.words import Words
from sotto.reports import WEIGHTS, LoadStats, Settings
from sotto.source import KeptSource, MemorySource
from sotto.weights import imports, layout

SOURCE = hugging.folder(hugging.files())
CHECKPOINT = drive(formats.open(SOURCE))
ROOT = Path(__file__).parents[2]
ENGLISH = Words.load(ROOT / "web" / "words.json", "en")


def values(rows: int, columns: int) -> np.ndarray:
    found = np.random.default_rng(rows).standard_normal((rows, columns)).astype(np.float32)
    found[1] = 0
    return found


@pytest.mark.parametrize(("name", "highest"), [("q4r", 7), ("q8r", 127)])
@pytest.mark.parametrize("type_name", ["F32", "F16", "BF16"])
def test_codes_with_a_scale_for_a_row(name: str, highest: int, type_name: str) -> None:
    """scale = max|value| / highest, codes rounded to the nearest, as ai-edge-quantizer has it; (13, 160) is padded."""
    rows, columns = 13, 160
    form = layout.FORMATS[name]
    data = blocks.quantize(type_name, values(rows, columns))
    exact = blocks.dequantize(type_name, data, (rows, columns))
    planes = layout.convert(type_name, data, rows, columns, form)
    assert planes[0].size == form.weight_bytes(rows, columns)
    assert planes[1].size == form.scale_plane_bytes(rows, columns) == 16 * layout.ROW_SCALE_BYTES
    scale = np.maximum(np.abs(exact).max(axis=1, keepdims=True), np.float32(1e-9)) / np.float32(highest)
    expected = np.rint(exact / scale) * scale
    assert np.array_equal(layout.dequantize(form, *planes, rows, columns), expected.astype(np.float32))
    pairs = planes[1].view("<f4").reshape(-1, 2)
    assert np.array_equal(pairs[:rows, 0], scale[:, 0]) and not pairs[rows:].any()
    assert np.array_equal(pairs[:, 1], pairs[:, 0] * (8 if highest == 7 else 0))
    assert form.is_finite(*planes)


@pytest.mark.parametrize("bad", [np.inf, np.nan, -np.inf])
def test_what_is_no_number_is_refused(bad: float) -> None:
    given = values(8, 64)
    given[3, 5] = bad
    for name in ("q4r", "q8r", "q4", "q8"):
        form = layout.FORMATS[name]
        assert not form.is_finite(*layout.convert("F32", given.reshape(-1).view(np.uint8), 8, 64, form))
    held = {**hugging.tensors()}
    held["model.layers.1.mlp.up_proj.weight"][3, 5] = bad
    files = {**hugging.files(), "model.safetensors": hugging.safetensors(held, "F32")}
    with pytest.raises(FormatError, match=r"up_proj\.weight .* no finite number"):
        loaded(hugging.folder(files), "int8")


def test_blocks_of_32_are_those_of_ggml() -> None:
    given = values(8, 64)
    planes = layout.convert("F32", given.reshape(-1).view(np.uint8), 8, 64, layout.FORMATS["q4"])
    expected = layout.convert("Q4_0", blocks.quantize("Q4_0", given), 8, 64)
    assert all(np.array_equal(*pair) for pair in zip(planes, expected, strict=True))


def loaded(source: formats.Folder | KeptSource, weights: str = "", store: DiskStore | None = None) -> Engine:
    return drive(Engine.load(source, NumpyDevice(), store, Settings(32, chunks=(8,), weights=weights)))


@pytest.mark.parametrize(
    ("name", "memory", "scheme"),
    [
        ("gemma-3-1b-it", None, "int8"),
        ("gemma-3-1b-it", 1 << 30, "int8"),
        ("gemma-3-1b-it", 1 << 18, "q4_0"),
        ("gemma-3-1b-it-qat-int4-unquantized", None, "int4"),
        ("gemma-3-1b-it-qat-q4_0-unquantized", None, "q4_0"),
    ],
)
def test_what_suits(name: str, memory: int | None, scheme: str) -> None:
    found = imports.choose(replace(CHECKPOINT, name=name), "", memory)
    assert found and found.name == scheme


def test_what_is_asked_for() -> None:
    assert set(WEIGHTS) == {"", imports.ORIGINAL, *imports.SCHEMES}
    for name in imports.SCHEMES:
        assert imports.choose(CHECKPOINT, name, None) == imports.SCHEMES[name]
    assert imports.choose(CHECKPOINT, imports.ORIGINAL, None) is None
    assert imports.choose(replace(CHECKPOINT, format="GGUF"), "int4", None) is None, (
        "a file's own choice stays"
    )
    with pytest.raises(InvalidSetting, match="int3"):
        Settings(weights="int3")


def test_errors_are_told_and_logprobs_follow() -> None:
    ids = [2, 300, 301, 302, 303, 20, 400]
    exact = drive(loaded(SOURCE, imports.ORIGINAL).score(ids))
    found = {}
    for name in imports.SCHEMES:
        engine = loaded(SOURCE, name)
        stats = engine.load_stats
        assert stats.weights == name and stats.rounding is not None
        found[name] = stats.rounding, float(np.abs(drive(engine.score(ids)) - exact).mean())
    # Of normal numbers: a scale of max/127 for 64 columns, a step of which is 0.02, has an error of 0.6 %.
    assert 0.003 < found["int8"][0] < 0.012
    assert 0.05 < found["q4_0"][0] < found["int4"][0] < 0.2
    assert found["int8"][1] < found["int4"][1] / 4


def test_what_it_costs_is_told_as_it_was_measured() -> None:
    """One figure in the docs, the command line and the page."""
    text = (ROOT / "docs" / "benchmarks" / "README.md").read_text("utf-8")
    assert (
        f"{imports.ORIGINAL_NLL:.2f}"
        == f"{float(re.findall(r'own weights give ([0-9.]+) in f32', text)[0]):.2f}"
    )
    assert list(statistics.weights(ENGLISH, LoadStats(False, {}, {"weights": 1}))) == []
    for name, scheme in imports.SCHEMES.items():
        (nll,) = re.findall(rf"^\| `{name}`: .*\| ([0-9.]+) \|$", text, re.MULTILINE)
        assert scheme.nll == round(float(nll), 2), name
        stats = LoadStats(False, {}, {"weights": 1}, weights=name, rounding=0.0123)
        told = list(statistics.weights(ENGLISH, stats))
        assert (
            told[0] == f"rounded to {name}, 1.2% from the file’s" and f"3.71 to {scheme.nll:.2f}" in told[1]
        )
        assert list(statistics.weights(ENGLISH, replace(stats, rounding=None))) == [
            f"rounded to {name}",
            told[1],
        ]
        assert f"{name}: 1.23%" in options.rounding_line(name, 0.0123)
        assert f"3.71 to {scheme.nll:.2f}" in options.rounding_line(name, 0.0123)


def test_the_error_is_that_of_all_rows() -> None:
    """It is estimated of one in eight tiles; of equal rows that is exact."""
    given = np.tile(values(16, 64)[:8], (16, 1))
    form = layout.FORMATS["q4r"]
    data = given.reshape(-1).view(np.uint8)
    planes = layout.convert("F32", data, 128, 64, form)
    rounding = imports.Rounding()
    assert rounding.share == 0
    rounding.add("F32", data, form, planes, 64)
    found = layout.dequantize(form, *planes, 128, 64)
    assert rounding.share == pytest.approx(np.linalg.norm(found - given) / np.linalg.norm(given))


def test_the_cache_holds_what_was_asked_for_last(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    for weights, cached in (
        ("", False),
        ("", True),
        ("int8", True),
        ("int4", False),
        ("int4", True),
        ("", False),
    ):
        stats = loaded(SOURCE, weights, store).load_stats
        assert (stats.cached, stats.weights) == (cached, weights or "int8")
        assert (stats.rounding is None) == cached


def test_what_is_kept_stays_until_it_is_there_in_another_rounding(tmp_path: Path) -> None:
    store = DiskStore(tmp_path)
    assert not loaded(SOURCE, "int4", store).load_stats.cached
    gone = KeptSource(SOURCE.key, "tiny", SOURCE.size)
    with pytest.raises(
        FilesNeeded, match="tiny is kept with its weights as int4, and can become original only"
    ):
        loaded(gone, "original", store)
    stats = loaded(gone, "int4", store).load_stats
    assert (stats.cached, stats.weights) == (True, "int4")


def test_inspect_tells_it_before_anything_is_loaded(tmp_path: Path) -> None:
    path = hugging.write(tmp_path / "tiny", hugging.files())
    done = CliRunner().invoke(inspect.command, [str(path), "--weights", "int4", "--json"])
    facts = json.loads(done.stdout)
    assert facts["scheme"] == "int4" and 0.05 < facts["share"] < 0.2
    assert (facts["format"], facts["tensors"]["BF16"]["stored"]) == ("safetensors", "q4r")
    assert not facts["tensors"]["BF16"]["exact"]
    told = CliRunner().invoke(inspect.command, [str(path)]).stdout
    assert "q8r, rounded" in told and "rounded to int8: 0." in told
    told = CliRunner().invoke(inspect.command, [str(path), "--weights", "original"]).stdout
    assert "rounded" not in told


# --- Types of GGUF files --------------------------------------------------------------------------------------------


def typed(types: dict[str, str], store: DiskStore | None = None) -> LoadStats:
    """How the load of a tiny GGUF file went."""
    sizes = tiny.Tiny(layers=2, types={**dict.fromkeys(tiny.DEFAULT_TYPES, "Q4_0"), **types})
    source = MemorySource(tiny.build(sizes), "tiny.gguf", "typed")
    return loaded(source, "", store).load_stats


def test_types_that_no_format_holds_are_told(tmp_path: Path) -> None:
    rounded = {"blk.0.attn_q": "Q5_1", "blk.1.attn_q": "Q5_K", "blk.0.attn_k": "Q6_K"}
    store = DiskStore(tmp_path)
    first, again = typed(rounded, store), typed(rounded, store)
    assert first.rounded_types == again.rounded_types == ("Q5_1", "Q5_K") and again.rounding is None
    # Of normal numbers: codes of max/127 for 32 columns, a step of which is about 0.018, have an error of 0.5 %.
    assert first.rounding is not None and 0.003 < first.rounding < 0.008
    (line,) = filter(None, options.weights_lines(first))
    assert line.startswith("Q5_1, Q5_K: rounded to 8 bits, 0.") and not list(options.weights_lines(again))
    exact = typed({"blk.0.attn_k": "Q6_K"})
    assert (exact.rounded_types, exact.rounding) == ((), 0) and not list(
        filter(None, options.weights_lines(exact))
    )


def test_how_much_weights_grow_is_told() -> None:
    small = typed(dict.fromkeys(tiny.DEFAULT_TYPES, "IQ2_XXS") | {"token_embd": "IQ2_XXS"})
    assert small.grown and small.device_bytes["weights"] > 4 * small.source_bytes
    (line,) = filter(None, options.weights_lines(small))
    assert line.startswith("The weights take ") and " MB in the file." in line
    assert not typed({}).grown
