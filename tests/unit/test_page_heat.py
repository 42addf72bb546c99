"""What runs to get code compiled must run: in Pyodide nobody would hear of it."""

from __future__ import annotations

import warnings

from sotto.page.heat import heat


def test_all_of_it_runs_and_says_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        heat()
