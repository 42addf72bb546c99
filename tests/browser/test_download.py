"""Every way that a hub and a network have of going wrong under download.js: all bytes come, or it is told why not."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np
import pytest
from common import ROOT
from pages import PageError, in_page, open_blank
from playwright.sync_api import Page, Route

from local_hub import COMMIT, Fault, Hub, Repository, serve_hub
from sotto.site.policy import ISOLATION, POLICIES

BLOCK = 1 << 16
DATA = np.random.default_rng(0).integers(0, 256, 7 * BLOCK + 1000, np.uint8).tobytes()
SMALL = b'{"small": 1}' * 2000
DIGEST = hashlib.sha256(DATA).hexdigest()
NAME = "owner/data"
FETCH = """(async () => {
    const { download } = await import(`${origin}/download.js`);
    const file = download(v.id, v.name, v.url, v.size, v.token, v.ahead);
    await file.begin(() => {});
    try {
        const parts = [];
        for (let at = 0; at < v.size; at += v.step) parts.push(await file.read(at, Math.min(v.step, v.size - at)));
        const all = await new Blob(parts).arrayBuffer();
        await file.close(true);
        return Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", all)));
    } catch (error) {
        await file.close(false);
        throw error;
    }
})()"""


@pytest.fixture
def hub(page: Page, site: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """One that a page which has small blocks may ask."""
    with serve_hub() as hub:
        hub.repositories[NAME] = Repository({"data.gguf": DATA, "data.json": SMALL})
        monkeypatch.setitem(POLICIES, "hub_worker.js", f"connect-src {hub.url} {hub.storage_url}")

        def smaller(route: Route) -> None:
            script = (ROOT / "web" / "download.js").read_text("utf-8")
            assert "BLOCK = 16 << 20" in script
            script = script.replace("BLOCK = 16 << 20", f"BLOCK = {BLOCK}")
            route.fulfill(body=script, content_type="text/javascript", headers=ISOLATION)

        page.route("**/download.js", smaller)
        open_blank(page, site)
        yield hub


def fetch(
    page: Page, hub: Hub, ahead: int = 2, token: str = "", step: int = 50_000, file: str = "data.gguf"
) -> str:
    """The sha256 of what arrives."""
    url, size = f"{hub.url}/{NAME}/resolve/{COMMIT}/{file}", len(hub.repositories[NAME].files[file])
    got = in_page(
        page, FETCH, id=f"{DIGEST} {file}", name=f"{NAME}:{file}", url=url, size=size, token=token, ahead=ahead,
        step=step,
    )  # fmt: skip
    return bytes(got).hex()


@pytest.mark.parametrize(
    ("faults", "extra"),
    [
        ([], 0),
        ([Fault(cut=1000), Fault(cut=0), None, Fault(cut=BLOCK - 1)], 1000 + BLOCK - 1),
        ([Fault(status=503), None, Fault(status=500)], 0),
        ([Fault(status=429, retry_after="1")], 0),
        ([Fault(status=429, retry_after="Sun, 29 Nov 2026 12:00:00 GMT")], 0),
        ([None, Fault(lies=500)], BLOCK),
        ([None, Fault(lies=-500)], BLOCK),
        ([None, Fault(gzip=True)], BLOCK + 100),
        ([None, Fault(whole=True)], len(DATA)),
        ([None, None, Fault(gzip=True, cut=100)], BLOCK + 100),
    ],
    ids=["well", "cut", "5xx", "429", "429 until", "more announced", "less announced", "gzip", "200", "gzip, cut"],
)  # fmt: skip
def test_all_bytes_arrive(page: Page, hub: Hub, faults: list[Fault | None], extra: int) -> None:
    hub.faults += faults
    assert fetch(page, hub) == DIGEST
    # What came right before the line broke, a browser gives or not; and what is sent packed counts otherwise.
    assert len(DATA) - (extra and BLOCK) <= hub.sent <= len(DATA) + extra
    assert not hub.faults


@pytest.mark.parametrize(
    "faults",
    [
        [Fault(whole=True)],
        [Fault(whole=True, gzip=True)],
        [Fault(cut=100), Fault(whole=True)],
        [Fault(whole=True, cut=100), Fault(whole=True, gzip=True)],
    ],
    ids=["200", "gzip", "cut, then 200", "cut, then gzip"],
)
def test_a_small_file_may_come_whole(page: Page, hub: Hub, faults: list[Fault]) -> None:
    """As hubs send texts that they pack on the way: no ranges of those can be had."""
    more = [Fault(whole=True)] * 9
    hub.faults += [*faults, *more]
    assert fetch(page, hub, file="data.json") == hashlib.sha256(SMALL).hexdigest()
    assert len(hub.faults) >= len(more) - 1, "a browser may ask again by itself, where the line broke"


def test_links_that_expire_are_asked_for_again(page: Page, hub: Hub) -> None:
    hub.link_seconds = -1
    with pytest.raises(PageError, match="HubStatus: 403"):
        fetch(page, hub)
    hub.link_seconds = 60
    assert fetch(page, hub) == DIGEST


@pytest.mark.parametrize(
    ("faults", "told"),
    [
        ([None, *[Fault(portal=True)] * 3], "WebPage: a web page answered"),
        ([None, *[Fault(whole=True)] * 40], "NoRange: the server sends whole files only"),
        ([None, *[Fault(cut=0)] * 40], "Network: "),
        ([None, *[Fault(status=503)] * 40], "HubStatus: 503 - -"),
        ([None, Fault(status=429, retry_after="3600")], "HubStatus: 429 - 3600"),
        ([None, Fault(status=404)], "HubStatus: 404"),
    ],
    ids=["portal", "200", "nothing", "503", "429", "404"],
)
def test_what_cannot_be_had_is_told_and_gone_on_later(
    page: Page, hub: Hub, faults: list[Fault | None], told: str
) -> None:
    """Blocks one after the other, so that the first has arrived."""
    hub.faults += faults
    with pytest.raises(PageError, match=told):
        fetch(page, hub, ahead=0)
    hub.faults.clear()
    hub.sent = 0
    assert fetch(page, hub) == DIGEST
    assert hub.sent == len(DATA) - BLOCK


@pytest.mark.parametrize("other", [DATA[:-1] + b"?", DATA[:-5000]], ids=["other bytes", "shorter"])
def test_a_file_that_is_replaced_in_the_middle_is_not_mixed(page: Page, hub: Hub, other: bytes) -> None:
    hub.faults += [None, Fault(replaced=other)]
    with pytest.raises(PageError, match="Replaced"):
        fetch(page, hub, ahead=0)
    hub.sent = 0
    assert fetch(page, hub) == DIGEST
    assert hub.sent == len(DATA)  # begun anew


def test_a_token_goes_to_the_hub_alone(page: Page, hub: Hub) -> None:
    """The storage refuses whoever brings one."""
    hub.repositories[NAME].gated = True
    hub.tokens |= {"hf_no", "hf_yes"}
    hub.accepted |= {"hf_yes"}
    for token, told in (("", "401 GatedRepo"), ("hf_no", "403 GatedRepo"), ("hf_old", "401 -")):
        with pytest.raises(PageError, match=f"HubStatus: {told}"):
            fetch(page, hub, token=token)
    assert not hub.sent
    assert fetch(page, hub, token="hf_yes") == DIGEST
