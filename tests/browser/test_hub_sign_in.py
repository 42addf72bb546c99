"""Signing in at a hub from the page: there, back again, and a gated model."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from common import ENGLISH, ROOT
from pages import SHORT, write
from playwright.sync_api import Page, expect
from test_models_hub import MODEL, NAME, fetch, loaded, look, says

from local_hub import Hub, Repository, serve_hub
from sotto.site.policy import POLICIES
from sotto.site.server import Server
from sotto.site.site import OfferedModel, Site
from tiny import Tiny, build

APP = "an-app"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub() as hub:
        hub.repositories[NAME] = Repository({"tiny-Q4_0.gguf": MODEL}, gated=True)
        hub.tokens |= {hub.sign_in.token}
        hub.accepted |= {hub.sign_in.token}
        yield hub


@pytest.fixture
def address(hub: Hub, runtime: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The address of a site that the hub knows as an app.

    It is another folder: where a page is left and come back to, Chromium lets nobody change what its workers get.
    """
    monkeypatch.setitem(POLICIES, "hub_worker.js", f"connect-src {hub.url} {hub.storage_url}")
    for name in ("py", "kernels"):
        (tmp_path / name).symlink_to(ROOT / name, target_is_directory=True)
    shutil.copytree(ROOT / "web", tmp_path / "web")
    page, site = tmp_path / "web" / "index.html", tmp_path / "web" / "site.json"
    page.write_text(page.read_text("utf-8").replace("https://huggingface.co", hub.url), "utf-8")
    assert json.loads(site.read_text("utf-8")) == {
        "hub_client_id": ""
    }  # as it is published: nobody can sign in
    site.write_text(json.dumps({"hub_client_id": APP}), "utf-8")
    model = tmp_path / "tiny.gguf"
    model.write_bytes(build(Tiny(chat=True)))
    with Server(0) as server:
        server.site = Site(tmp_path, runtime, [OfferedModel("tiny", model)])
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hub.sign_in.apps[APP] = {server.address}
        yield server.address
        server.shutdown()


def sign_in(page: Page, answer: str) -> None:
    """Go to the hub, and come back with an answer: a link's id."""
    page.get_by_role("button", name=ENGLISH["hub.sign.in"]).click()
    page.click(f"#{answer}")
    expect(page.locator("main.models")).to_be_visible()


def kept(page: Page) -> str:
    """All that the browser keeps for the next visit."""
    return str(page.evaluate("JSON.stringify({ ...localStorage })"))


def test_signing_in_at_the_hub(page: Page, address: str, hub: Hub) -> None:
    page.goto(f"{address}{SHORT}#models")
    loaded(page, "tiny")
    look(page, NAME)
    says(page, "hub-fault", "needs an access token")

    # Refused on the hub's page: that is told, at the address that was left.
    sign_in(page, "deny")
    says(page, "hub-fault", "was refused on the hub")
    assert page.url == f"{address}{SHORT}#models"
    assert not hub.asked("/oauth/token", "POST")

    # An answer to what nobody began here is not sent on.
    page.get_by_role("button", name=ENGLISH["hub.sign.in"]).click()
    expect(page.locator("#allow")).to_be_visible()
    page.goto(f"{address}?code=theirs&state=theirs")
    says(page, "hub-fault", "does not belong to what was begun here")
    page.goto(f"{address}?code=theirs&state=theirs#models")
    expect(page.locator("#hub-sign")).to_have_text(ENGLISH["hub.sign.in"])
    assert not hub.asked("/oauth/token", "POST")

    # The hub takes the code for none.
    hub.sign_in.refusal = "Code has expired"
    sign_in(page, "allow")
    says(page, "hub-fault", "Code has expired")
    hub.sign_in.refusal = ""

    # Allowed: the gated model comes, and what was given for it is forgotten with the page.
    sign_in(page, "allow")
    says(page, "hub-signed", ENGLISH["hub.signed"])
    assert "code=" not in page.url and hub.sign_in.given == [hub.sign_in.token]
    look(page, NAME)
    fetch(page)
    page.click("#hub-yes")
    loaded(page, "tiny-Q4_0.gguf")
    assert hub.sign_in.token not in kept(page)
    page.click("#screens [data-screen=post]")
    assert write(page)
    page.reload()
    page.click("#screens [data-screen=models]")
    expect(page.locator("#hub-sign")).to_have_text(ENGLISH["hub.sign.in"])
    assert page.input_value("#hub-token") == ""

    # Kept when that is wanted, until signing out.
    page.check("#hub-keep")
    sign_in(page, "allow")
    says(page, "hub-signed", ENGLISH["hub.signed"])
    page.reload()
    says(page, "hub-signed", ENGLISH["hub.signed"])
    assert hub.sign_in.token in kept(page)
    look(page, NAME)
    expect(page.locator("#hub-offers li")).to_have_count(1)
    page.get_by_role("button", name=ENGLISH["hub.sign.out"]).click()
    expect(page.locator("#hub-signed")).to_be_empty()
    assert hub.sign_in.token not in kept(page)
