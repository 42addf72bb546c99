"""What the address and the fields of the page may ask for."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sotto.errors import InvalidSetting, SottoError
from sotto.page import fields
from sotto.page.options import Model, Models, Options, choose
from sotto.page.words import Words
from sotto.text.sampler import Sampling

FILE = Path(__file__).parents[2] / "web" / "words.json"
WORDS = [Words.load(FILE, language) for language in ("en", "ja")]


def model(name: str) -> Model:
    """A row of models.json."""
    return {"name": name, "url": f"/models/{name}.gguf", "size": 1, "sha256": None, "etag": '"a"'}


MODELS: Models = {"default": "small", "models": [model("small"), model("large")]}


def test_nothing_asked_for() -> None:
    assert Options.from_query("") == Options()


def test_everything_asked_for() -> None:
    query = "?model=tiny&context=512&max_tokens=20&temperature=0&seed=7"
    assert Options.from_query(query) == Options("tiny", 512, 20, 0.0, 7)
    query = "?top_k=5&top_p=0.5&min_p=0.1&repeat_penalty=1.2&stop=%0A&stop=end&loop_guard=0"
    asked = Options(top_k=5, top_p=0.5, min_p=0.1, repeat_penalty=1.2, stop=("\n", "end"), loop_guard=False)
    assert Options.from_query(query) == asked


@pytest.mark.parametrize(
    "name",
    ["context", "max_tokens", "temperature", "seed", "threads", "top_k", "top_p", "min_p", "repeat_penalty"],
)
@pytest.mark.parametrize("value", ["much", "nan", "1e999", "-3", "-0.5", "0x10"])
def test_what_is_not_possible_is_named(name: str, value: str) -> None:
    with pytest.raises(
        InvalidSetting, match=f"In the address, {name} is .*{value if value != '1e999' else ''}"
    ) as told:
        Options.from_query(f"?{name}={value}")
    assert "Correct or remove it" in told.value.hint


@pytest.mark.parametrize(
    "query",
    [
        "max_tokens=0",
        "max_tokens=1.5",
        "context=1",
        "seed=1.5",
        f"seed={2**64}",
        "threads=1.5",
        "temperature=1e4",
    ],
)
def test_numbers_have_a_kind_and_a_range(query: str) -> None:
    with pytest.raises(InvalidSetting, match=query.partition("=")[0]):
        Options.from_query(query)


@given(
    st.sampled_from(["context", "max_tokens", "temperature", "seed", "threads", "device", "model"]), st.text()
)
def test_any_address_is_read_or_answered(name: str, value: str) -> None:
    try:
        options = Options.from_query(urlencode({name: value}))
    except InvalidSetting:
        return
    assert options.context is None or options.context >= 2
    assert options.longest(1) >= 1 and options.threads >= 0
    assert 0 <= options.sampling(1).temperature <= 10


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from(fields.FIELDS), st.text(max_size=9)))
def test_whatever_is_in_the_fields_is_an_option_or_told(written: dict[str, str]) -> None:
    options, faults = fields.read(Options(), written)
    assert faults.keys() <= written.keys()
    for name in fields.FIELDS:
        if name in faults or name not in written:
            assert getattr(options, name) == getattr(Options(), name)
        for words in WORDS:
            assert name not in faults or fields.complaint(words, faults[name])


def test_fields_change_options() -> None:
    options = Options(context=512, seed=7)
    written = {
        "temperature": " 0.7", "max_tokens": "40", "seed": "", "versions": "２", "top_k": "0", "top_p": "1",
        "min_p": ".1", "repeat_penalty": "1.1", "stop": "\\n\\n\nThe end\n\n",
    }  # fmt: skip
    changed = Options(
        context=512, temperature=0.7, max_tokens=40, seed=None, versions=2, top_k=0, top_p=1, min_p=0.1,
        repeat_penalty=1.1, stop=("\n\n", "The end"),
    )  # fmt: skip
    assert fields.read(options, written) == (changed, {})
    again = {name: fields.shown(changed, name) for name in fields.FIELDS}
    assert fields.read(options, again) == (changed, {}), "what is shown is read as the same"
    assert changed.sampling(0.2) == Sampling(0.7, 0, 1, 0.1, 1.1)


def test_what_is_left_open_is_as_suits() -> None:
    options, faults = fields.read(
        Options(max_tokens=5, temperature=0.0, seed=3), dict.fromkeys(fields.OPEN, " ")
    )
    assert options == Options() and not faults
    assert (options.longest(96), options.sampling(0.1)) == (96, Sampling(0.1))
    given = Options(max_tokens=5, temperature=0.0, seed=2**64 - 1)
    assert (given.longest(96), given.sampling(0.1)) == (5, Sampling(0.0, seed=2**64 - 1))


@pytest.mark.parametrize(
    ("name", "text", "english", "japanese"),
    [
        ("temperature", "99", "A number from 0 to 10, with a point: 0.5", "0から10までの数（小数は 0.5 のように）"),
        *(("temperature", text, "A number from 0 to 10, ", "0から10") for text in ("1e9", "0,5", "nan", "-2")),
        *(("max_tokens", text, "A whole number, 1 or more", "1以上の整数") for text in ("0", "-5", "1.5", "1e3")),
        *(("seed", text, "A whole number from 0 to 18,446,744,", "0から18,4") for text in ("-7", "3.7", "1e30")),
        ("versions", "10", "A whole number from 1 to 9", "1から9までの整数"),
        ("top_k", "-1", "A whole number, 0 or more", "0以上の整数"),
        ("top_p", "0", "A number above 0, up to 1", "0より大きく1以下の数"),
        ("min_p", "1.1", "A number from 0 to 1", "0から1までの数"),
        ("repeat_penalty", "0", "A number from 0.01 to 100", "0.01から100までの数"),
    ],
)  # fmt: skip
def test_a_field_that_cannot_be_says_what_it_can(name: str, text: str, english: str, japanese: str) -> None:
    options, faults = fields.read(Options(), {name: text})
    assert options == Options()
    for words, told in zip(WORDS, (english, japanese), strict=True):
        assert fields.complaint(words, faults[name]).startswith(told)


def test_models_are_found_by_name_and_address() -> None:
    assert choose(MODELS, "")["name"] == "small"
    assert choose(MODELS, "large")["name"] == "large"
    assert choose(MODELS, "/models/large.gguf")["name"] == "large"
    with pytest.raises(SottoError, match=r"huge.*small, large"):
        choose(MODELS, "huge")
    with pytest.raises(SottoError, match="published without a model"):
        choose({"default": "", "models": []}, "")


def test_a_processor_is_one_of_three() -> None:
    assert Options.from_query("?device=cpu&threads=3") == Options(device="cpu", threads=3)
    assert Options.from_query("").device == ""
    assert Options.from_query("?versions=4").versions == 4
    with pytest.raises(InvalidSetting, match="versions is 10"):
        Options.from_query("?versions=10")
    assert Options.from_query("?variant=matmul:simple").variant == "matmul:simple"
    with pytest.raises(InvalidSetting, match="device is 'tpu'"):
        Options.from_query("?device=tpu")
