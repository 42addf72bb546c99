"""Numbers as people read them."""

from __future__ import annotations

import pytest

from sotto.page import format as numbers


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "0.00"),
        (0.0123, "0.012"),
        (0.0996, "0.10"),
        (0.523, "0.52"),
        (4.16, "4.2"),
        (42.08, "42.1"),
        (99.97, "100"),
        (1240.4, "1,240"),
    ],
)
def test_precise(value: float, expected: str) -> None:
    assert numbers.precise(value) == expected


@pytest.mark.parametrize(
    ("nbytes", "expected"),
    [
        (0, "0 kB"),
        (999_499, "999 kB"),
        (999_500, "1 MB"),
        (253_113_024, "253 MB"),
        (1_054_012_582, "1.05 GB"),
    ],
)
def test_size(nbytes: int, expected: str) -> None:
    assert numbers.size(nbytes) == expected


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, (1, "seconds")),
        (9.2, (10, "seconds")),
        (10.1, (15, "seconds")),
        (88.0, (90, "seconds")),
        (90.1, (2, "minutes")),
        (121.0, (3, "minutes")),
    ],
)
def test_rough_never_promises_too_much(seconds: float, expected: tuple[int, str]) -> None:
    assert numbers.rough(seconds) == expected
