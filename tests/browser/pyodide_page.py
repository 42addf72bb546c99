"""Pyodide in a page, for tests of the code that drives a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pages import in_page, open_blank
from playwright.sync_api import Page

HERE = Path(__file__).parent
START = """void (globalThis.python = new Worker(
    URL.createObjectURL(new Blob([v.worker], { type: 'text/javascript' })), { type: 'module' }))"""
CALL = """new Promise((resolve, reject) => {
    python.onmessage = ({ data }) => data.name
        ? reject(Object.assign(new Error(data.message), { name: data.name })) : resolve(data.value);
    python.onerror = (event) => reject(new Error(event.message));
    python.postMessage(v);
})"""


class Python:
    """Pyodide in a worker of a page, with the project's code."""

    def __init__(self, page: Page, site: str) -> None:
        self.page = page
        open_blank(page, site)
        in_page(page, START, worker=(HERE / "pyodide_worker.js").read_text("utf-8"))

    def call(self, name: str, argument: object = None) -> Any:
        """Await a coroutine of inside_pyodide.py."""
        source = (HERE / "inside_pyodide.py").read_text("utf-8")
        return in_page(self.page, CALL, source=source, name=name, argument=argument)
