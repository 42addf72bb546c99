"""What people may set, on the command line and in the library. The address: test_page_options.py."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import sotto
import tiny
from sotto import api, values
from sotto.cli import chat, generate, options
from sotto.devices.reference.device import NumpyDevice
from sotto.errors import InvalidSetting, SottoError
from sotto.reports import RunStats, Settings
from sotto.source import MemorySource

KINDS = st.one_of(st.integers(), st.floats(), st.booleans(), st.text(), st.none(), st.lists(st.integers()))


@pytest.fixture(scope="module")
def model() -> Iterator[sotto.Model]:
    types = dict.fromkeys(tiny.DEFAULT_TYPES, "F16")
    sizes = tiny.Tiny(layers=1, width=128, hidden=128, heads=2, head_dim=32, chat=True, types=types)
    source = MemorySource(tiny.build(sizes), "tiny.gguf", "tiny")
    with api.load_from(source, NumpyDevice(), Settings(context=64, chunks=(16,))) as ready:
        yield ready


@pytest.mark.parametrize("command", [generate.command, chat.command])
@pytest.mark.parametrize(
    ("option", "value", "name"),
    [
        ("--top-k", "-1", "top_k"),
        ("--top-k", "2.5", "top-k"),
        ("--temp", "nan", "temperature"),
        ("--temp", "inf", "temperature"),
        ("--repeat-penalty", "1e-46", "repeat_penalty"),
        ("--repeat-last-n", "3.7", "repeat-last-n"),
        ("--seed", "-1", "seed"),
        ("--seed", "1.5", "seed"),
        ("--max-tokens", "-1", "max_tokens"),
        ("--max-tokens", "1.5", "max-tokens"),
        ("--context", "1", "context"),
    ],
)
def test_the_command_line_names_a_wrong_value(command: object, option: str, value: str, name: str) -> None:
    """Before any model is looked for."""
    done = CliRunner().invoke(command, ["--model", "there is none.gguf", option, value])  # type: ignore[arg-type]
    assert done.exit_code == 2
    told = " ".join(done.output.split())
    assert name in told and value in told
    assert "does not exist" not in told


@pytest.mark.parametrize(
    ("name", "wrong"),
    [("max_tokens", v) for v in (1.5, -1, True, None, "9", float("nan"))]
    + [("top_k", v) for v in (2.5, -1, True)]
    + [("seed", 1.5), ("repeat_penalty", 1e-46), ("repeat_last", 3.7), ("temperature", float("nan"))]
    + [
        ("temperature", float("inf")),
        ("temperature", True),
        ("stop", "a word"),
        ("stop", [""]),
        ("stop", [1]),
    ],
)
def test_the_library_names_a_wrong_value(model: sotto.Model, name: str, wrong: object) -> None:
    with pytest.raises(InvalidSetting, match="stop" if name == "stop" else f"^{name} is"):
        model.generate("the", **{name: wrong})  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        model.chat([sotto.Message("user", "the")], **{name: wrong})  # type: ignore[arg-type]


def test_numpys_numbers_are_numbers(model: sotto.Model) -> None:
    given = {
        "max_tokens": np.int64(3),
        "top_k": np.int32(5),
        "temperature": np.float32(0.5),
        "seed": np.uint64(2**63),
    }
    assert "".join(model.generate("the", **given)) == "".join(  # type: ignore[arg-type]
        model.generate("the", max_tokens=3, top_k=5, temperature=0.5, seed=2**63)
    )
    assert list(model.generate("the", max_tokens=0)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"context": 1},
        {"context": 2.0},
        {"candidates": 0},
        {"candidates": 1025},
        {"chunks": (0,)},
        {"variant": 3},
    ],
)
def test_a_load_names_a_wrong_value(wrong: dict[str, object]) -> None:
    with pytest.raises(InvalidSetting, match="a chunk" if "chunks" in wrong else next(iter(wrong))):
        Settings(**wrong)  # type: ignore[arg-type]
    for threads in (0, 1.5, True):
        with pytest.raises(InvalidSetting, match="threads"):
            api.load("there is none.gguf", threads=threads)  # type: ignore[arg-type]


@given(KINDS, st.integers(-5, 5), st.integers(-5, 5))
def test_a_value_is_what_was_asked_for_or_refused(value: object, least: int, most: int) -> None:
    for check, kinds in ((values.whole, (int,)), (values.number, (int, float))):
        try:
            found = check("it", value, least, most)
        except SottoError as error:
            assert error.message.startswith("it is ") and str(least) in error.hint
            assert type(value) not in kinds or not least <= value <= most  # type: ignore[operator]
        else:
            assert found == value and least <= found <= most and type(value) in kinds


def test_what_is_said_behind_an_answer() -> None:
    assert "repeated itself" in options.remark(RunStats(new_tokens=300, stop_reason="loop"), shown=True)
    assert "control tokens: 3" in options.remark(RunStats(new_tokens=3, stop_reason="eos"), shown=False)
    assert options.remark(RunStats(new_tokens=3, stop_reason="eos"), shown=True) == ""
    kept = RunStats(prompt_tokens=182, reused_tokens=181, read_tokens=1, prefill_seconds=0.125)
    assert (
        options.reading(kept) == "1 of 182 prompt tokens read in 0.12 s (8.0 tokens/s), 181 kept from before"
    )
    stopped = RunStats(prompt_tokens=182, prefill_seconds=0.125)
    assert options.reading(stopped) == "0 of 182 prompt tokens read"
