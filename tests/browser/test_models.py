"""The screen of models: a person's own file, chosen or dropped, and what the browser keeps."""

from __future__ import annotations

from pathlib import Path

from common import ENGLISH, ROOT, Serve
from pages import CLEARED, SHORT, go, in_page, state, write
from playwright.sync_api import Locator, Page, expect

from sotto.assets.cache import OWN_STAMPS_NAME, Stamps
from sotto.site.site import OfferedModel
from tiny import Tiny, build

DROP = """(async () => {
    const bytes = await (await fetch(v.path)).arrayBuffer();
    const dataTransfer = new DataTransfer();
    for (const name of v.names) dataTransfer.items.add(new File([bytes], name));
    for (const kind of ["dragover", "drop"]) {
        document.body.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
        if ((kind === "dragover") === document.getElementById("drop").hidden) throw new Error("the curtain");
    }
})()"""


def drop(page: Page, path: str, *names: str) -> None:
    """Drop files with the content of an address."""
    in_page(page, DROP, path=path, names=names)


def item(page: Page, name: str) -> Locator:
    """A kept model's row."""
    return page.locator("#models-kept li", has=page.locator(f'[value="{name}"]'))


def kept(page: Page, in_use: str, *others: str) -> None:
    """Wait until these models are kept, and one of them is in use."""
    expect(item(page, in_use)).to_contain_text(ENGLISH["models.in.use"])
    for name in others:
        expect(item(page, name)).to_contain_text(ENGLISH["models.use"])
    expect(page.locator("#models-kept li")).to_have_count(1 + len(others))


def loaded(page: Page, name: str, how: str) -> None:
    """Wait until a model of this name is there, from the cache or converted."""
    expect(page.locator("#model-name")).to_have_text(name)
    state(page, "ready")
    expect(page.locator("#fact-weights")).to_contain_text(how)


def test_what_a_person_does_in_a_list_goes_on_while_it_is_written_again(
    page: Page, serve: Serve, runtime: Path, tmp_path: Path
) -> None:
    models = []
    for name, seed in (("one", 1), ("two", 2)):
        path = tmp_path / f"{name}.gguf"
        path.write_bytes(build(Tiny(chat=True, seed=seed)))
        Stamps(runtime, OWN_STAMPS_NAME).sha256(path)  # as serve.py does
        models.append(OfferedModel(name, path))
    page.goto(f"{serve(models)}{SHORT}#models")
    loaded(page, "one", "prepared now")
    # Keys press the buttons that name them: an offer's number is no such name.
    page.evaluate("() => addEventListener('click', () => { document.body.dataset.pressed = ''; })")
    page.press("#hub-address", "1")
    assert page.get_attribute("body", "data-pressed") is None
    page.locator("#models-offered").get_by_role("button", name=ENGLISH["models.use"]).click()
    loaded(page, "two", "prepared now")
    kept(page, "two", "one")

    # A name is half written when the list says of another model that it is in use.
    item(page, "one").get_by_role("button", name=ENGLISH["models.use"]).click()
    field = page.locator('#models-kept [value="two"]')
    field.fill("My")
    kept(page, "one", "two")
    loaded(page, "one", "cache")
    expect(field).to_be_focused()
    field.press("End")
    page.keyboard.type(" own")
    expect(field).to_have_value("My own")

    # A press that ends the name has begun on a button of the same list, and the new name is there before it ends.
    button = item(page, "two").get_by_role("button", name=ENGLISH["models.drop"])
    button.hover()
    page.mouse.down()
    kept(page, "one", "My own")
    page.mouse.up()
    expect(item(page, "My own")).to_contain_text(ENGLISH["models.drop.sure"])
    expect(item(page, "one")).not_to_contain_text(ENGLISH["models.drop.sure"])

    # What is no name is not taken, and the field has the name that is kept.
    field = page.locator('#models-kept [value="My own"]')
    field.fill(" ")
    field.press("Enter")
    expect(page.locator("#models-fault")).not_to_be_empty()
    expect(field).to_have_value("My own")


def test_a_persons_own_model(page: Page, serve: Serve, runtime: Path, tmp_path: Path) -> None:
    served = tmp_path / "tiny.gguf"
    served.write_bytes(build(Tiny(chat=True, layers=3)))
    Stamps(runtime, OWN_STAMPS_NAME).sha256(served)  # as serve.py does
    own = tmp_path / "own.gguf"
    own.write_bytes(build(Tiny(chat=True, layers=3, seed=5)))
    address = f"{serve([OfferedModel('tiny', served)])}{SHORT}"
    page.goto(address)
    loaded(page, "tiny", "prepared now")
    go(page, "models")
    kept(page, "tiny")
    expect(page.locator("#models-server")).to_be_hidden()  # all that the server has is kept

    page.set_input_files("#pick", own)
    loaded(page, "own.gguf", "prepared now")
    kept(page, "own.gguf", "tiny")
    expect(item(page, "own.gguf")).to_contain_text(ENGLISH["models.from.file"])
    expect(page.locator("#models-room")).to_contain_text("free")
    go(page, "post")
    post = write(page)
    assert post

    # The same content by another name and another way is the same entry.
    drop(page, "models/tiny.gguf", "other.gguf")
    loaded(page, "tiny", "cache")
    assert write(page) != post
    go(page, "models")
    kept(page, "tiny", "own.gguf")

    # What is no model, or several, changes nothing, and is told where models are; a text goes into the box.
    go(page, "post")
    drop(page, "models/tiny.gguf", "a.gguf", "b.gguf")
    expect(page.locator("#models-fault")).to_contain_text("several models: a.gguf, b.gguf")
    expect(page.locator("main.models")).to_be_visible()
    drop(page, "words.json", "words.gguf")
    expect(page.locator("#models-fault")).to_contain_text("words.gguf is not a model file")
    kept(page, "tiny", "own.gguf")
    drop(page, "manifest.webmanifest", "notes.txt")
    expect(page.locator("#source")).to_have_value(
        (ROOT / "web" / "manifest.webmanifest").read_text("utf-8").strip()
    )

    # A model that cannot run is told, and the one before comes back.
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(served.read_bytes()[:3000])
    page.set_input_files("#pick", broken)
    expect(page.locator("#models-error-title")).to_have_text(ENGLISH["error.file"])
    page.get_by_role("button", name=ENGLISH["error.before.action"]).click()
    loaded(page, "tiny", "cache")
    expect(page.locator("#models-error")).to_be_hidden()
    kept(page, "tiny", "own.gguf")

    # Used, renamed, and remembered: it comes back without its file and without the server's models.
    item(page, "own.gguf").get_by_role("button", name=ENGLISH["models.use"]).click()
    loaded(page, "own.gguf", "cache")
    page.fill('#models-kept [value="own.gguf"]', "My own")
    page.press('#models-kept [value="own.gguf"]', "Enter")
    kept(page, "My own", "tiny")
    expect(page.locator("#model-name")).to_have_text("My own")
    page.route("**/models/**", lambda route: route.abort())
    page.reload()
    loaded(page, "My own", "cache")
    go(page, "post")
    assert write(page) == post

    # Deleted at the second press.
    go(page, "models")
    item(page, "tiny").get_by_role("button", name=ENGLISH["models.drop"]).click()
    item(page, "tiny").get_by_role("button", name=ENGLISH["models.drop.sure"]).click()
    kept(page, "My own")
    expect(page.locator("#models-server")).to_contain_text("tiny")

    # What the browser has cleared is found and told, and the server's model is there.
    page.unroute("**/models/**")
    in_page(page, CLEARED)
    page.goto(address)
    loaded(page, "tiny", "prepared now")
    expect(page.locator("#note")).to_contain_text("My own")
