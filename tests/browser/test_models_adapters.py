"""Adapters that a person brings to the page: dropped, used with the model that they fit, kept, renamed, deleted."""

from __future__ import annotations

from pathlib import Path

from common import ENGLISH, Serve
from pages import SHORT, go, state, write
from playwright.sync_api import Locator, Page, expect

import lora
from sotto.site.site import OfferedModel
from tiny import Tiny, build


def item(page: Page, name: str) -> Locator:
    """An adapter's row."""
    return page.locator("#adapters-kept li", has=page.locator(f'[value="{name}"]'))


def test_a_persons_own_adapters(page: Page, serve: Serve, runtime: Path, tmp_path: Path) -> None:
    offered = []
    for layers, name in ((3, "one"), (4, "two")):
        (tmp_path / f"{name}.gguf").write_bytes(build(Tiny(chat=True, layers=layers)))
        offered.append(OfferedModel(name, tmp_path / f"{name}.gguf"))
    address = serve(offered) + SHORT
    page.goto(address)
    state(page, "ready")
    without = write(page)

    # Its two files, chosen: it is kept, and on with the model that is loaded.
    shapes = lora.shapes_of((tmp_path / "one.gguf").read_bytes())
    small = lora.written(lora.files(lora.halves(shapes, 4)), tmp_path / "small")
    page.set_input_files("#pick", list(small.iterdir()))
    row = page.locator("#adapters-kept li")
    expect(row).to_have_count(1)
    expect(row).to_contain_text(ENGLISH["adapters.for"].format(name="google/gemma-3-270m"))
    switch = row.get_by_role("checkbox")
    expect(switch).to_be_checked()
    page.fill("#adapters-kept input[type=text]", "My posts")
    page.press("#adapters-kept input[type=text]", "Enter")
    expect(item(page, "My posts")).to_be_visible()
    go(page, "post")
    with_it = write(page)
    assert with_it != without

    # A second one, in GGUF, for a larger model: it is kept, and what keeps it from this one is told.
    larger = tmp_path / "larger.gguf"
    larger.write_bytes(lora.gguf(lora.halves(lora.shapes_of((tmp_path / "two.gguf").read_bytes()), 2)))
    page.set_input_files("#pick", larger)
    expect(page.locator("#adapters-fault")).to_contain_text("which this model has not")
    expect(item(page, "larger.gguf").get_by_role("checkbox")).not_to_be_checked()
    expect(item(page, "My posts").get_by_role("checkbox")).to_be_checked()

    # They are there at the next visit, without their files, each on with the model that it was switched on for.
    page.reload()
    state(page, "ready")
    expect(page.locator("#fact-adapters")).to_have_text("My posts")
    go(page, "post")
    assert write(page) == with_it
    page.goto(f"{address}&model=two#models")
    state(page, "ready")
    expect(page.locator("#adapters-fact")).to_be_hidden()
    item(page, "larger.gguf").get_by_role("checkbox").check()
    expect(page.locator("#fact-adapters")).to_have_text("larger.gguf")
    item(page, "My posts").get_by_role("checkbox").check()
    expect(page.locator("#fact-adapters")).to_have_text("larger.gguf, My posts")

    # Deleted at the second press, also while it is on.
    item(page, "larger.gguf").get_by_role("button", name=ENGLISH["models.drop"]).click()
    item(page, "larger.gguf").get_by_role("button", name=ENGLISH["models.drop.sure"]).click()
    expect(row).to_have_count(1)
    expect(page.locator("#fact-adapters")).to_have_text("My posts")
