"""The page as an app that was installed, which the system opens files with."""

from __future__ import annotations

from pathlib import Path

import pytest
from common import PATIENCE, Profile
from pages import SHORT, state
from playwright.sync_api import expect


@pytest.mark.parametrize(
    ("name", "content", "shown"),
    [
        ("opened.txt", "What was opened with Sotto.", "What was opened with Sotto."),
        ("opened.html", "<h1>A title</h1><p>And <b>a</b> text.</p>", "A title\n\nAnd a text."),
    ],
)
def test_a_file_that_is_opened_with_it(
    profile: Profile, tiny: str, tmp_path: Path, name: str, content: str, shown: str
) -> None:
    """As the system does it: the browser starts the app with the file, and the page finds it in its launchQueue."""
    file = tmp_path / name
    file.write_text(content, "utf-8")
    context = profile()
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(tiny + SHORT)
    state(page, "ready")
    debugger = context.new_cdp_session(page)
    read = debugger.send("Page.getAppManifest")
    assert read["errors"] == [] and len(read["manifest"]["screenshots"]) == 2
    app = {"manifestId": page.evaluate("new URL('./', location.href).href")}
    debugger.send("PWA.install", app | {"installUrlOrBundleUrl": page.url})
    handlers = debugger.send("PWA.getOsAppState", app)["fileHandlers"]
    assert any(file.suffix in accepted["fileExtensions"] for each in handlers for accepted in each["accepts"])
    debugger.send("PWA.launchFilesInApp", app | {"files": [str(file)]})
    expect(page.locator("#source")).to_have_value(shown)  # the page that is open already takes it
