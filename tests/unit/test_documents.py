"""Files of people as texts: each kind as its own program writes it, and those that cannot be read, told apart."""

from __future__ import annotations

import io
import random

import pytest
from pypdf import PdfReader, PdfWriter

from office import docx, pdf
from sotto.documents.document import LARGEST, LONGEST, Reading, needs, parts, read
from sotto.errors import DocumentError

TEXT = "The ferry is late.\n\nIt comes at 19:30."
JAPANESE = "今日は雪です。\n船は出ません。"


PAGE = """<!doctype html><html><head><meta charset="utf-8"><title>Site</title><style>p { color: red }</style></head>
<body><nav><a href="/">Home</a></nav><h1>The   ferry</h1><p>is <b>late</b>,
said R&amp;D.<br>Sorry!</p><script>alert("no")</script><ul><li>19:30</li><li>21:00</li></ul>
<table><tr><th>Day</th><th>Time</th></tr><tr><td>Monday</td><td>8</td></tr></table><pre>a  b
 c</pre><footer>© Site</footer></body></html>"""


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("a.txt", TEXT.encode(), TEXT),
        ("a.TXT", b"\xef\xbb\xbf" + TEXT.replace("\n", "\r\n").encode(), TEXT),
        ("a.txt", b"\xff\xfe" + JAPANESE.encode("utf-16-le"), JAPANESE),
        ("a.txt", JAPANESE.encode("cp932"), JAPANESE),
        ("a.txt", JAPANESE.encode("euc-jp"), JAPANESE),
        ("a.txt", "Grüße – “so”".encode("cp1252"), "Grüße – “so”"),
        ("a.md", b"# Title\n\n\n\n* one  \n", "# Title\n\n* one"),
        ("a.html", PAGE.encode(), "The ferry\n\nis late, said R&D.\nSorry!\n\n- 19:30\n\n- 21:00\n\n\tDay\tTime\n"),
        ("a.htm", '<meta charset="shift_jis"><p>雪です'.encode("cp932"), "雪です"),
        ("a.html", b"<p>open <nav>never closed <p>text", "open"),
        ("a.pdf", pdf("The ferry is late.", "It comes at 19:30."), TEXT),
        ("not named.txt", pdf("The ferry is late."), "The ferry is late."),
        ("a.docx", docx("The ferry is late.", "It comes at 19:30."), TEXT),
        ("a.docx", docx(*JAPANESE.split("\n")), JAPANESE.replace("\n", "\n\n")),
    ],
)  # fmt: skip
def test_files_are_read(name: str, data: bytes, expected: str) -> None:
    found = read(name, data)
    assert found.startswith(expected.strip()) if name == "a.html" else found == expected


def test_a_page_has_no_more_than_what_is_read_of_it() -> None:
    found = read("a.html", PAGE.encode())
    assert found.endswith("a  b\n c")
    for other in ("Home", "alert", "red", "©", "Site"):
        assert other not in found


@pytest.mark.parametrize(
    ("name", "data", "kind"),
    [
        ("a.odt", b"PK", "kind"),
        ("a", b"text", "kind"),
        ("a.txt", b"", "empty"),
        ("a.html", b"<script>1</script>", "empty"),
        ("a.docx", docx(), "empty"),
        ("scan.pdf", pdf("", ""), "scanned"),
        ("a.pdf", pdf("x", password="secret"), "locked"),
        ("a.pdf", pdf("a text")[:300], "broken"),
        ("a.pdf", b"%PDF-1.7\n", "broken"),
        ("a.pdf", b"these are words", "broken"),
        ("a.docx", docx("x" * 99)[:200], "broken"),
        ("a.docx", b"words", "broken"),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(99), "locked"),
        ("a.docx", docx("x", more=bytes(100_000_001)), "large"),
        ("a.txt", random.Random(1).randbytes(4000), "broken"),
        ("a.txt", b"word " * (LONGEST // 5 + 1), "long"),
        ("a.txt", bytes(LARGEST + 1), "large"),
    ],
)
def test_what_cannot_be_read_is_told_apart(name: str, data: bytes, kind: str) -> None:
    with pytest.raises(DocumentError) as told:
        read(name, data)
    assert told.value.kind == kind
    assert name in told.value.message and told.value.hint


def test_every_page_is_told_of() -> None:
    data = pdf(*(f"Page {number}" for number in range(5)))
    assert [(count, part.strip()) for part, count in parts("a.pdf", data)] == [
        (5, f"Page {number}") for number in range(5)
    ]
    assert needs("a.pdf", data) == needs("a.txt", data) == "pypdf"
    assert (needs("A.DOCX", b""), needs("a.txt", b"")) == ("mammoth", "")


def test_a_password_that_is_empty_locks_nothing() -> None:
    writer = PdfWriter(clone_from=PdfReader(io.BytesIO(pdf("Open to all."))))
    writer.encrypt("", owner_password="owner", algorithm="RC4-128")
    file = io.BytesIO()
    writer.write(file)
    assert read("a.pdf", file.getvalue()) == "Open to all."


def test_damage_anywhere_is_told() -> None:
    """Whatever a library meets ends as an error for people."""
    random_ = random.Random(7)
    for name, whole in (("a.pdf", pdf("one", "two")), ("a.docx", docx("one", "two"))):
        for _ in range(30):
            data = bytearray(whole)
            for _ in range(random_.randint(1, 12)):
                data[random_.randrange(len(data))] = random_.randrange(256)
            try:
                assert read(name, bytes(data))
            except DocumentError as error:
                assert error.kind in ("broken", "scanned", "empty", "locked", "kind", "large")


def test_a_text_is_counted_as_it_comes() -> None:
    reading = Reading("a.pdf", b"%PDF-")
    for _ in range(LONGEST // 1000):
        reading.add("x" * 1000)
    with pytest.raises(DocumentError, match="more than 500,000"):
        reading.add("one more")
