"""How a model is loaded: what was chosen now goes before the address, and that before what was chosen before."""

from __future__ import annotations

import json

import pytest

from sotto.page.choices import USUAL, Choices, ChosenByModel
from sotto.page.options import Options
from sotto.page.storage import PREFIX, Storage
from sotto.reports import Settings


class Area(dict[str, str]):
    """A localStorage."""

    getItem = dict.get  # noqa: N815
    setItem = dict.__setitem__  # noqa: N815

    def removeItem(self, key: str) -> None:  # noqa: N802
        self.pop(key, None)

    def storage(self) -> Storage:
        """As a page that has just been opened has it."""
        return Storage(lambda: self, self._read, lambda act: None)

    def _read(self) -> str:
        return json.dumps({key.removeprefix(PREFIX): text for key, text in self.items()})


def test_each_model_has_its_own() -> None:
    area = Area()
    chosen = ChosenByModel(area.storage())
    chosen.keep("a", Choices(device="gpu", context=4096))
    chosen.keep("a", Choices(precision="f32", adapters={"one": 0.0}))
    chosen.keep("a", Choices(adapters={"two": 0.5}))
    again = ChosenByModel(area.storage())
    assert again.of("a") == Choices("gpu", 4096, "f32", adapters={"one": 0.0, "two": 0.5})
    assert again.of("b") == Choices()
    again.forget("a")
    assert ChosenByModel(area.storage()).of("a") == Choices() and not area


def test_what_was_said_last_counts() -> None:
    before = Choices("gpu", 4096, "f16", 3)
    asked = Choices.asked(Options.from_query("?device=cpu&context=1024"))
    now = Choices(device="low-power")
    assert now.over(asked).over(before) == Choices("low-power", 1024, "f16", 3)
    assert Choices.asked(Options.from_query("")) == Choices()
    assert Choices().settings(Options()) == Settings()
    pinned = Options.from_query("?variant=matmul:simple&weights=q4_0")
    wanted = Choices.asked(pinned).over(before)
    assert wanted.settings(pinned) == Settings(4096, variant="f16,matmul:simple", weights="q4_0")
    assert Choices(weights=USUAL).over(wanted).settings(pinned).weights == ""


@pytest.mark.parametrize(
    "text",
    (
        *("", "[]", "{", "[" * 100_000, '"gpu"', '{"device": "tpu"}', '{"context": 1}', '{"threads": "3"}'),
        *(
            '{"precision": "f64"}',
            '{"weights": "int3"}',
            '{"adapters": {"a": 7.5}}',
            '{"adapters": {"a": "on"}}',
            '{"adapters": []}',
        ),
    ),
)
def test_what_is_damaged_is_left_out(text: str) -> None:
    assert Choices.from_json(text) == Choices()


def test_what_is_sound_beside_it_stays() -> None:
    assert Choices.from_json('{"device": "tpu", "context": 512, "more": 1}') == Choices(context=512)
