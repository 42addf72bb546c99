"""How a model is loaded is remembered for that model: processor, context, precision; what the address asks
for is not."""

from __future__ import annotations

from pathlib import Path

from common import ENGLISH, Serve
from pages import SHORT, before_bridge, fault, state, until, write
from playwright.sync_api import Page, expect

from sotto.site.site import OfferedModel
from tiny import Tiny, build

# Two GPUs, as a laptop has them, of which Windows may give either: here they are the same one, by two names.
TWO = """const ask = GPU.prototype.requestAdapter;
GPU.prototype.requestAdapter = async function (options) {
    if (options?.forceFallbackAdapter) return null;
    const adapter = await ask.call(this, options);
    const description = options?.powerPreference === "low-power" ? "Small GPU" : "Large GPU";
    const info = { vendor: "x", architecture: "swiftshader", device: "", description, isFallbackAdapter: false };
    Object.defineProperty(adapter, "info", { value: info });
    return adapter;
}"""
NONE = "GPU.prototype.requestAdapter = async () => null"


def loaded(page: Page, processor: str, context: str) -> None:
    """Wait until the model is there, on this processor and with this context."""
    expect(page.locator("#fact-processor")).to_contain_text(processor)
    expect(page.locator("#fact-context")).to_have_text(f"{context} tokens")
    state(page, "ready")


def test_each_model_is_loaded_as_it_was_chosen(
    page: Page, serve: Serve, runtime: Path, tmp_path: Path
) -> None:
    offered = []
    for seed, name in enumerate(("one", "two")):
        (tmp_path / f"{name}.gguf").write_bytes(build(Tiny(chat=True, seed=seed)))
        offered.append(OfferedModel(name, tmp_path / f"{name}.gguf"))
    address = serve(offered) + SHORT
    before_bridge(page, TWO)
    page.goto(address)
    loaded(page, "CPU", "2,048")
    page.click("#model summary")
    expect(page.locator("#precision")).to_be_hidden()
    until(page, "document.querySelector('#device [value=gpu]').textContent === 'Large GPU'")
    page.select_option("#device", label="Small GPU")
    loaded(page, "Small GPU", "2,048")
    page.select_option("#precision", "f32")
    until(page, "document.documentElement.dataset.state !== 'ready'")
    loaded(page, "Small GPU", "2,048")
    page.fill("#context", "512")
    page.press("#context", "Tab")
    page.click("#context-load")
    loaded(page, "Small GPU", "512")

    # Another model has its own, and the one before comes back as it was; the address asks for once.
    page.goto(f"{address}&model=two")
    loaded(page, "CPU", "2,048")
    page.goto(f"{address}&device=cpu")
    loaded(page, "CPU", "512")
    page.goto(address)
    loaded(page, "Small GPU", "512")
    expect(page.locator("#precision")).to_have_value("f32")

    # A GPU that is not there any more is not asked for for ever; who asks for one by the address is told.
    page.unroute("**/bridge.js")
    before_bridge(page, NONE)
    page.reload()
    loaded(page, ENGLISH["why.none"], "512")
    assert write(page)
    page.goto(f"{address}&device=gpu")
    fault(page, "adapter")
    page.get_by_role("button", name=ENGLISH["error.cpu.action"]).click()
    loaded(page, ENGLISH["why.asked"], "512")
