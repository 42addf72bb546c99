"""Files whose text a person wants in the text box: dropped and chosen, good and bad, in a real Chromium."""

from __future__ import annotations

from base64 import b64encode

from common import ENGLISH
from playwright.sync_api import Page, expect

from office import docx, pdf

# Lets a file fall on the text box as a person's does.
DROP = """([name, data, size]) => {
    const bytes = size ? new Uint8Array(size) : Uint8Array.from(atob(data), (character) => character.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], name));
    const box = document.getElementById("source");
    for (const kind of ["dragover", "drop"]) {
        box.dispatchEvent(new DragEvent(kind, { dataTransfer, bubbles: true, cancelable: true }));
    }
}"""


def test_files_dropped_and_chosen(page: Page, tiny: str) -> None:
    asked: list[str] = []
    page.on(
        "request",
        lambda request: "documents/" in request.url and asked.append(request.url.rpartition("/")[2]),
    )
    box, note = page.locator("#source"), page.locator("#source-note")

    def drop(name: str, data: bytes, size: int = 0) -> None:
        expect(page.locator("#write")).to_contain_text(ENGLISH["write"])  # the page's first script has run
        page.evaluate(DROP, [name, b64encode(data).decode(), size])

    def told(kind: str, name: str) -> None:
        text = ENGLISH[f"document.{kind}"].format(name=name, most=30, count="", number="")
        expect(note).to_contain_text(text.removesuffix(" characters.").strip())

    page.goto(tiny)
    drop("notes.md", "The ferry\r\n\r\nis late. 船".encode())  # long before Python is there
    expect(box).to_have_value("The ferry\n\nis late. 船")
    expect(note).to_contain_text("notes.md: 21 characters.")
    assert asked == [], "libraries come when they are needed"

    drop("timetable.pdf", pdf("The ferry comes at 19:30.", "Bring a coat."))
    expect(box).to_have_value("The ferry comes at 19:30.\n\nBring a coat.")
    expect(note).to_contain_text("brings back what was here")
    page.locator("#source").press("Control+z")
    expect(box).to_have_value("The ferry\n\nis late. 船")
    page.set_input_files(
        "#source-file", {"name": "letter.docx", "mimeType": "", "buffer": docx("Dear Anna,", "yes.")}
    )
    expect(box).to_have_value("Dear Anna,\n\nyes.")
    assert len(asked) == 3 and asked[0].startswith("pypdf-")

    for name, data, kind in (
        ("scan.pdf", pdf(""), "scanned"),
        ("secret.pdf", pdf("x", password="secret"), "locked"),
        ("half.docx", docx("x" * 99)[:200], "broken"),
        ("huge.txt", b"", "large"),
    ):
        drop(name, data, 0 if data else 30_000_001)
        told(kind, name)
        expect(page.locator("#source-cancel")).to_be_hidden()
        expect(box).to_have_value("Dear Anna,\n\nyes.")
    assert len(asked) == 3, "and are fetched once"

    page.set_input_files(
        "#source-file", {"name": "long.pdf", "mimeType": "", "buffer": pdf(*["a page"] * 900)}
    )
    expect(page.locator("#source-cancel")).to_be_visible()
    page.keyboard.press("Escape")
    expect(note).to_contain_text(ENGLISH["document.cancelled"])
    expect(box).to_have_value("Dear Anna,\n\nyes.")
    page.route("**/runtime/documents/*", lambda route: route.abort())
    page.reload()
    drop("again.pdf", pdf("x"))
    told("unread", "again.pdf")
    expect(box).to_have_value("Dear Anna,\n\nyes.")
