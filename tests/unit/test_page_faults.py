"""Each error reaches a person as the fault it is."""

from __future__ import annotations

import pytest

from sotto.errors import (
    ContextFull,
    DeviceError,
    FormatError,
    LimitError,
    NoCpu,
    SottoError,
    Unreachable,
    UnsupportedModel,
)
from sotto.page.faults import while_loading, while_writing


@pytest.mark.parametrize(
    ("error", "opened", "kind"),
    [
        (DeviceError("no adapter"), False, "adapter"),
        (NoCpu("no SIMD"), False, "browser"),
        (DeviceError("gone"), True, "lost"),
        (LimitError("too large"), True, "limits"),
        (FormatError("not a GGUF"), True, "file"),
        (UnsupportedModel("llama"), True, "unsupported"),
        (SottoError("no room"), True, "loading"),
        (Unreachable("x.gguf", "refused"), True, "server"),
        (KeyError("x"), True, "unknown"),
    ],
)
def test_while_loading(error: Exception, opened: bool, kind: str) -> None:
    fault = while_loading(error, opened)
    assert fault.kind == kind
    assert not fault.sound


def test_a_long_text_can_be_helped_at_once() -> None:
    fault = while_writing(ContextFull(2000, 1888))
    assert (fault.kind, fault.sound) == ("long", True)
    assert fault.values == {"count": 112, "tokens": 2000, "limit": 1888}


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (DeviceError("gone"), "lost"),
        (SottoError("odd"), "writing"),
        (ZeroDivisionError("division"), "unknown"),
    ],
)
def test_while_writing(error: Exception, kind: str) -> None:
    fault = while_writing(error)
    assert fault.kind == kind
    assert not fault.sound


def test_what_nobody_foresaw_comes_with_its_traceback() -> None:
    try:
        _ = {}["key"]
    except KeyError as error:
        assert "test_page_faults.py" in while_loading(error, True).detail
