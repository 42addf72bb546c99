"""Adapters from a hub, in the page: told apart from models before they are fetched, held against the models that are
here, fetched over a bad line, checked, kept with where they came from, and used."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from common import ENGLISH, Serve
from pages import SHORT, go, write
from playwright.sync_api import Page, expect
from test_models_hub import BLOCK, fetch, loaded, look, look_again, says, smaller, until_kept

import lora
from local_hub import Fault, Hub, Repository, serve_hub
from sotto.site.policy import POLICIES
from sotto.site.site import OfferedModel
from tiny import Tiny, build

NAME = "owner/posts"
MODEL = build(Tiny(chat=True, layers=3))
SHAPES = lora.shapes_of(MODEL)
PEFT = lora.files(lora.halves(SHAPES, 64))
MATRICES = "adapter_model.safetensors"


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub() as hub:
        hub.tokens |= {"hf_yes"}
        hub.accepted |= {"hf_yes"}
        hub.repositories[NAME] = Repository({"README.md": b"#", **PEFT}, gated=True)
        larger = lora.halves(lora.shapes_of(build(Tiny(layers=4))), 2)
        hub.repositories["owner/others"] = Repository(
            {
                "tiny-Q4_0.gguf": MODEL,
                "larger-Q4_0.gguf": lora.gguf(larger, **{"general.base_model.0.name": "Larger"}),
                "dora/adapter_config.json": json.dumps(lora.config(use_dora=True)).encode(),
                f"dora/{MATRICES}": PEFT[MATRICES],
            },
            licence="mit",
        )
        wrong = lora.files(lora.halves(SHAPES, 1))
        hub.repositories["owner/wrong"] = Repository(wrong, licence="mit", announced={MATRICES: "0" * 64})
        yield hub


def test_adapters_from_a_hub(
    page: Page, serve: Serve, runtime: Path, tmp_path: Path, hub: Hub, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert len(PEFT[MATRICES]) > 2 * BLOCK
    monkeypatch.setitem(POLICIES, "hub_worker.js", f"connect-src {hub.url} {hub.storage_url}")
    page.route("**/download.js", smaller)
    (tmp_path / "tiny.gguf").write_bytes(MODEL)
    page.goto(serve([OfferedModel("tiny", tmp_path / "tiny.gguf")]) + SHORT)
    loaded(page, "tiny")
    without = write(page)
    go(page, "models")
    page.evaluate("(url) => { document.documentElement.dataset.hub = url; }", hub.url)

    # What it is, whose, and whether it fits a model that is here is said after a look at its headers.
    page.evaluate("document.querySelector('#hub-token-label').hidden = false")
    page.fill("#hub-token", "hf_yes")
    look(page, NAME)
    offer = page.locator("#hub-offers li")
    expect(offer).to_have_count(1)
    for text in (
        ENGLISH["hub.adapter"],
        ENGLISH["adapters.for"].format(name="google/gemma-3-270m"),
        ENGLISH["hub.fits"].format(names="tiny"),
    ):
        expect(offer).to_contain_text(text)
    assert 0 < hub.sent < len(PEFT[MATRICES]) / 10

    # The terms come first; stopped in the middle, what has arrived is kept, and gone on from.
    hub.faults += [None, *[Fault(status=429, retry_after="59")] * 99]
    hub.sent = 0
    fetch(page)
    expect(page.locator("#hub-terms")).to_be_visible()
    page.click("#hub-yes")
    says(page, "hub-what", NAME)
    until_kept(page, 1)
    page.click("#hub-stop")
    expect(page.locator("#hub-fetching")).to_be_hidden()
    hub.faults.clear()
    part = page.locator("#hub-unfinished li")
    expect(part).to_contain_text(f"{NAME}:{MATRICES}")
    expect(page.locator("#adapters-kept li")).to_have_count(0)
    look_again(page)
    expect(offer).to_contain_text(ENGLISH["hub.fits"].format(names="tiny"))
    hub.faults += [Fault(cut=10_000), Fault(status=503)]
    hub.sent = 0
    fetch(page)
    row = page.locator("#adapters-kept li")
    expect(row).to_have_count(1)
    expect(row).to_contain_text(f"{NAME}:{MATRICES}")
    expect(row.locator("input[type=text]")).to_have_value(NAME)
    expect(row.get_by_role("checkbox")).to_be_checked()
    expect(page.locator("#adapters-fault")).to_be_empty()
    expect(part).to_have_count(0)
    assert hub.sent <= sum(map(len, PEFT.values())) - BLOCK + 10_000
    go(page, "post")
    with_it = write(page)
    assert with_it != without

    # It is there without the hub, on with the model it was switched on for.
    sent = hub.sent
    page.reload()
    loaded(page, "tiny")
    expect(page.locator("#fact-adapters")).to_have_text(NAME)
    assert write(page) == with_it and hub.sent == sent

    # A file whose name says that it is a model, and one that does more than LoRA; what does not fit is kept, and told.
    go(page, "models")
    page.evaluate("(url) => { document.documentElement.dataset.hub = url; }", hub.url)
    look(page, "owner/others")
    expect(offer).to_have_count(3)
    expect(offer.filter(has_text="tiny-Q4_0.gguf")).to_contain_text(ENGLISH["hub.recommended"])
    expect(offer.filter(has_text="dora")).to_contain_text("DoRA")
    expect(offer.filter(has_text="dora").get_by_role("button")).to_have_count(0)
    larger = offer.filter(has_text="larger-Q4_0.gguf")
    for text in (ENGLISH["hub.adapter"], ENGLISH["hub.fits.none"], "for Larger"):
        expect(larger).to_contain_text(text)
    larger.get_by_role("button").click()
    expect(row).to_have_count(2)
    for _ in range(2):  # the same again, when it is tried again
        expect(page.locator("#adapters-fault")).to_contain_text("larger-Q4_0.gguf changes layers.3")
        page.evaluate("document.querySelector('#adapters-fault').textContent = ''")
        page.locator("#adapters-kept li", has_text="for Larger").get_by_role("checkbox").click()
    expect(page.locator("#adapters-fault")).to_contain_text("larger-Q4_0.gguf changes layers.3")
    expect(page.locator("#fact-adapters")).to_have_text(NAME)

    # Other bytes than the hub announces are thrown away.
    look(page, "owner/wrong")
    expect(offer).to_have_count(1)
    fetch(page)
    says(page, "hub-fault", "not what the hub says it is")
    expect(row).to_have_count(2)
    expect(part).to_have_count(0)
