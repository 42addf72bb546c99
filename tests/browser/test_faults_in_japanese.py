"""What goes wrong, on a page in Japanese: said in Japanese, with the engine's own sentence under the details."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from common import JAPANESE, PATIENCE
from pages import SHORT, go, state
from playwright.sync_api import Browser, Page, expect
from test_models_hub import look

import lora
from local_hub import Hub, Repository, serve_hub
from sotto.site.policy import POLICIES
from tiny import Tiny, build

SENTENCE = re.compile(r"[A-Za-z]+ [a-z]+ [a-z]+ [a-z]+")  # of English


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serve_hub() as hub:
        files = {
            "phi-Q4_0.gguf": build(Tiny(layers=1)).replace(
                b"\x06\0\0\0\0\0\0\0gemma3", b"\x04\0\0\0\0\0\0\0phi3"
            ),
            "model.safetensors": b"0",
            "a-00001-of-00002.gguf": b"GGUF",
            "gptq/config.json": b'{"model_type": "gemma3_text", "quantization_config": {"quant_method": "gptq"}}',
            "gptq/model.safetensors": b"0",
            "half/config.json": b'{"model_type": "gemma3_text"}',
            "half/model-00001-of-00002.safetensors": b"0",
            "dora/adapter_config.json": b'{"peft_type": "LORA", "use_dora": true}',
            "dora/adapter_model.safetensors": b"\x02\0\0\0\0\0\0\0{}",
        }
        hub.repositories["owner/none"] = Repository(files, licence="mit")
        hub.repositories["owner/gated"] = Repository(
            {"a.gguf": build(Tiny(layers=1))}, gated=True, licence="mit"
        )
        yield hub


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page(locale="ja-JP", service_workers="block")
    page.set_default_timeout(PATIENCE)
    yield page
    page.close()


def told(page: Page, place: str, key: str, english: str) -> None:
    """Wait for the words of a fault in a place; the engine's sentence is under the details, and else nowhere."""
    expect(page.locator(f"#{place}")).to_contain_text(JAPANESE[key])
    stem = place.removesuffix("-text")
    expect(page.locator(f"#{stem}-more")).to_be_visible()
    expect(page.locator(f"#{stem}-detail")).to_contain_text(english, use_inner_text=False)
    assert not SENTENCE.findall(page.inner_text("main.models"))


def test_faults_are_said_in_japanese(
    page: Page, tiny: str, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(POLICIES, "hub_worker.js", f"connect-src {hub.url} {hub.storage_url}")
    page.goto(tiny + SHORT)
    state(page, "ready")
    go(page, "models")
    page.evaluate("(url) => { document.documentElement.dataset.hub = url; }", hub.url)

    # Files that are none, and one that is damaged.
    other = tmp_path / "words.gguf"
    other.write_bytes(b'{"a": 1}')
    page.set_input_files("#pick", other)
    told(page, "models-fault", "fault.none", "words.gguf is not a model file")
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(build(Tiny(layers=1))[:3000])
    page.set_input_files("#pick", broken)
    told(page, "models-error-text", "fault.format", "broken.gguf is truncated")
    page.get_by_role("button", name=JAPANESE["error.before.action"]).click()
    state(page, "ready")

    # An adapter of another model.
    larger = tmp_path / "larger.gguf"
    larger.write_bytes(lora.gguf(lora.halves(lora.shapes_of(build(Tiny(layers=9))), 2)))
    page.set_input_files("#pick", larger)
    told(page, "adapters-fault", "fault.misfit", "which this model has not")

    # A hub that refuses, and what of it does not run here.
    look(page, "owner/gated")
    told(page, "hub-fault", "fault.token", "needs an access token")
    look(page, "owner/none")
    offers = page.locator("#hub-offers li")
    expect(offers).to_have_count(6)
    for why in ("architecture", "kind", "parts", "adapter", "quantized", "files"):
        said = JAPANESE[f"fault.offer.{why}"].format(by="GPTQ")
        expect(offers.filter(has_text=said)).to_have_count(1)
    expect(page.locator("#hub-fault")).to_be_empty()
    expect(page.locator("#hub-fault-more")).to_be_hidden()
    assert not SENTENCE.findall(page.inner_text("main.models"))
    look(page, "owner/none:absent.gguf")
    told(page, "hub-fault", "fault.absent", "has no model file absent.gguf")
