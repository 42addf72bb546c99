"""JavaScript in a page, from a test."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page


class PageError(Exception):
    """What a JavaScript expression threw: its name and message."""

    def __init__(self, name: str, message: str) -> None:
        super().__init__(f"{name}: {message}")
        self.name = name
        self.message = message


def open_blank(page: Page, site: str) -> None:
    """Put a page at an address of the site where nothing is: no scripts, but isolated as every page is."""
    page.goto(f"{site}blank")


def in_page(page: Page, expression: str, **values: object) -> Any:
    """The value of a JavaScript expression, which may await; `v` holds the values. It has a minute.

    Raises:
        PageError: the expression threw, or did not come to an end.
    """
    result = page.evaluate(
        f"""async (v) => {{
            const late = new Promise((resolve) => setTimeout(() => resolve({{ name: "Timeout" }}), 60000));
            const work = async () => {{
                try {{ return {{ value: await (async () => {expression})() }}; }}
                catch (error) {{ return {{ name: error.name, message: error.message }}; }}
            }};
            return await Promise.race([work(), late]);
        }}""",
        values,
    )
    if "name" in result:
        raise PageError(result["name"], result.get("message", ""))
    return result.get("value")
