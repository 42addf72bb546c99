"""What the address and the fields of the page may ask for."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sotto.errors import InvalidSetting, SottoError
from sotto.page.options import Model, Models, Options, choose


def model(name: str) -> Model:
    """A row of models.json."""
    return {"name": name, "url": f"/models/{name}.gguf", "size": 1, "sha256": None, "etag": '"a"'}


MODELS: Models = {"default": "small", "models": [model("small"), model("large")]}


def test_nothing_asked_for() -> None:
    assert Options.from_query("") == Options()


def test_everything_asked_for() -> None:
    query = "?model=tiny&context=512&max_tokens=20&temperature=0&seed=7"
    assert Options.from_query(query) == Options("tiny", 512, 20, 0.0, 7)


@pytest.mark.parametrize("name", ["context", "max_tokens", "temperature", "seed", "threads"])
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
    assert options.context >= 2 and options.max_tokens >= 1 and options.threads >= 0
    assert 0 <= options.temperature <= 1000


@given(st.text(max_size=9), st.text(max_size=9), st.text(max_size=9), st.text(max_size=9))
def test_whatever_is_in_the_fields_is_an_option(
    temperature: str, tokens: str, seed: str, versions: str
) -> None:
    Options().changed(temperature, tokens, seed, versions)


def test_fields_change_options() -> None:
    options = Options(context=512, seed=7)
    changed = Options(context=512, temperature=0.3, max_tokens=40, seed=None, versions=2)
    assert options.changed("0.3", "40", "", "2") == changed
    assert options.changed("", "-3", "12", "-1").max_tokens == 1
    assert options.changed("", "-3", "12", "-1").versions == 1
    assert options.changed("", "", "7", "1e9").versions == 9
    assert options.changed("", "", "7", "") == options
    assert options.changed("warm", "1e999", "7", "many") == options


def test_models_are_found_by_name_and_address() -> None:
    assert choose(MODELS, "")["name"] == "small"
    assert choose(MODELS, "large")["name"] == "large"
    assert choose(MODELS, "/models/large.gguf")["name"] == "large"
    with pytest.raises(SottoError, match=r"huge.*small, large"):
        choose(MODELS, "huge")


def test_a_processor_is_one_of_three() -> None:
    assert Options.from_query("?device=cpu&threads=3") == Options(device="cpu", threads=3)
    assert Options.from_query("").device == ""
    assert Options.from_query("?versions=4").versions == 4
    with pytest.raises(InvalidSetting, match="versions is 10"):
        Options.from_query("?versions=10")
    assert Options.from_query("?variant=matmul:simple").variant == "matmul:simple"
    with pytest.raises(InvalidSetting, match="device is 'tpu'"):
        Options.from_query("?device=tpu")
