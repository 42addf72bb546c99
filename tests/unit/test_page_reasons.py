"""Why something failed: the engine's sentence on an English page, words for its kind on another, the sentence below."""

from __future__ import annotations

import json

import pytest
from test_page_words import FILE

from sotto import errors
from sotto.errors import KINDS, FormatError, SottoError, UnsupportedModel, kind_of
from sotto.page.reasons import cause, reason
from sotto.page.words import Words

ENGLISH, JAPANESE = (Words.load(FILE, language) for language in ("en", "ja"))
SAID = json.loads(FILE.read_text("utf-8"))["ja"]


def every() -> list[type[SottoError]]:
    """Every class of errors that a person may meet."""
    found = [each for each in vars(errors).values() if isinstance(each, type)]
    return [each for each in found if issubclass(each, SottoError)]


def test_every_class_has_its_words() -> None:
    for cls in every():
        error = SottoError.__new__(cls)
        SottoError.__init__(error, "x.gguf is wrong.", "Do this.")
        assert f"fault.{kind_of(error)}" in SAID, cls
        assert reason(ENGLISH, error) == ("x.gguf is wrong. Do this.", "")
        text, detail = reason(JAPANESE, error)
        assert text == SAID[f"fault.{kind_of(error)}"] and detail == "x.gguf is wrong. Do this."
    classes = list(KINDS)
    hidden = [cls for at, cls in enumerate(classes) if issubclass(cls, tuple(classes[:at]))]
    assert not hidden, "a class after one that it is of would never count"


@pytest.mark.parametrize(
    ("error", "of", "key"),
    [
        (SottoError("a", kind="misfit"), "", "misfit"),
        (UnsupportedModel("a", kind="misfit"), "adapter", "misfit"),
        (UnsupportedModel("a"), "adapter", "adapter.unsupported"),
        (FormatError("a"), "saved", "saved.format"),
        (SottoError("a", kind="nobody wrote words for it"), "", "other"),
    ],
)
def test_the_nearest_words_are_taken(error: SottoError, of: str, key: str) -> None:
    assert reason(JAPANESE, error, of) == (SAID[f"fault.{key}"], "a")


def test_why_a_kernel_is_not_used() -> None:
    for kind in ("lost", "wrong", "device", "unsupported", "limits"):
        assert cause(ENGLISH, kind, "The GPU refused it") == "The GPU refused it"
        assert cause(JAPANESE, kind, "The GPU refused it") == SAID[f"cause.{kind}"]
    assert cause(JAPANESE, "of another version", "x") == SAID["cause.other"]
