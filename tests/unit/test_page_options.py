"""What the address and the fields of the page may ask for."""

from __future__ import annotations

import pytest

from sotto.errors import SottoError
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


@pytest.mark.parametrize("name", ["context", "max_tokens", "temperature", "seed"])
@pytest.mark.parametrize("value", ["much", "nan", "1e999"])
def test_what_is_no_number_is_named(name: str, value: str) -> None:
    with pytest.raises(SottoError, match=name):
        Options.from_query(f"?{name}={value}")


def test_fields_change_options() -> None:
    options = Options(context=512, seed=7)
    assert options.changed("0.3", "40", "") == Options(context=512, temperature=0.3, max_tokens=40, seed=None)
    assert options.changed("", "-3", "12").max_tokens == 1
    assert options.changed("", "", "7") == options
    assert options.changed("warm", "1e999", "7") == options


def test_models_are_found_by_name_and_address() -> None:
    assert choose(MODELS, "")["name"] == "small"
    assert choose(MODELS, "large")["name"] == "large"
    assert choose(MODELS, "/models/large.gguf")["name"] == "large"
    with pytest.raises(SottoError, match=r"huge.*small, large"):
        choose(MODELS, "huge")


def test_a_processor_is_one_of_three() -> None:
    assert Options.from_query("?device=cpu&threads=3") == Options(device="cpu", threads=3)
    assert Options.from_query("").device == ""
    assert Options.from_query("?variant=matmul:simple").variant == "matmul:simple"
    with pytest.raises(SottoError, match="device=tpu"):
        Options.from_query("?device=tpu")
