"""Work that has no result: it lets Chromium keep what it has compiled of Pyodide.

V8 compiles a function anew, and well, once it has run hot. What it has compiled so it gives to the browser, to be kept
for the next visit, whenever there is a megabyte more of it (`wasm_caching_hard_threshold` in V8's flag-definitions.h).
It should also do so after two quiet seconds, which was not seen in Chromium 156. The start of a page ends somewhere
within such a megabyte. Without what it compiled last, every later visit compiles the loop that runs Python's bytecode,
the largest function of all, up to ten times over.

So here is done what pages do not do: with parts of CPython that are more than a megabyte of machine code together.
"""

from __future__ import annotations

import ast
import binascii
import bz2
import cmath
import copy
import csv
import datetime
import decimal
import hashlib
import io
import json
import marshal
import math
import pickle
import random
import re
import struct
import tokenize
import xml.parsers.expat
import zlib
from collections.abc import Callable

# CPython has a string's functions once for each width of its characters, and once more for ASCII.
ALPHABETS = (0x21, 0xC0, 0x3041, 0x1F300)
LETTERS = 4000  # in a text
CODECS = ("shift_jis", "euc_jp", "iso2022_jp", "gb18030", "big5", "euc_kr", "utf-7", "cp1252", "koi8_r")
FUNCTIONS = (math.sin, math.tan, math.exp, math.log, math.gamma, math.lgamma, math.erf, math.cbrt)
HASHES = ("md5", "sha1", "sha256", "sha512", "sha3_256", "blake2b", "blake2s")
SOURCE = """
async def f(a, *b, c=1, **d) -> int:
    try:
        x = [i async for i in a if i] + {k: v for k, v in d.items()}[c:2, ...]
    except* (ValueError, TypeError) as e:
        raise e from None
    finally:
        match a:
            case {'k': [1, *_]} | C(x=2): pass
            case _ if (y := 2): z = lambda: f'{y!r:>{c}}' % -a @ b ** ~d
    with a as b, c: assert a < b <= c is not d, 'no'
"""


def text_of(first: int) -> str:
    """A text of words and commas whose letters begin with a code point."""
    letters = (
        chr(first + index * 7919 % 90) + " " * (index % 5 == 0) + ",;" * (index % 11 == 0)
        for index in range(LETTERS)
    )
    return "".join(letters)


TEXTS = [text_of(first) for first in ALPHABETS]


def strings(text: str) -> None:
    """Search, cut, change, compare and encode a text."""
    piece = text[100:103]
    for search in (text.find, text.rfind, text.count, text.split, text.partition, text.rpartition):
        search(piece)
    for change in (str.upper, str.lower, str.title, str.casefold, str.swapcase, str.split, str.splitlines):
        change(text)
    for cut in (text.strip, text.lstrip, text.rstrip, text.split):
        cut(",;")
    text.replace(piece, "-").expandtabs().zfill(2 * LETTERS).center(2 * LETTERS)
    text.translate({ord(piece[0]): "é"}).isalnum()
    for codec in ("utf-8", "utf-16", "utf-32", "unicode_escape"):
        text.encode(codec).decode(codec)
    text.encode("ascii", "replace")
    text.encode("latin-1", "xmlcharrefreplace")
    max(ascii(repr(text)), text[::-1] + "".join(list(text[::2])))
    re.sub(r"(\w+)\s*([,;]+)", r"\2\1", text)
    re.findall(r"[^\s,;]{2,5}?|(?<=,);", text)
    re.split(r"(?i)[a-zé]+", text)


def codecs() -> None:
    """Write all texts in other encodings, and read them."""
    for text in TEXTS:
        for codec in CODECS:
            text.encode(codec, "ignore").decode(codec, "ignore")


def hashes() -> None:
    """Hash bytes, and write them in other ways."""
    data = bytes(range(256)) * 500
    for name in HASHES:
        hashlib.new(name, data, usedforsecurity=False).digest()
    binascii.a2b_base64(binascii.b2a_base64(data))
    binascii.hexlify(data, ":")
    binascii.a2b_qp(binascii.b2a_qp(data[:20000]))
    binascii.crc_hqx(data, binascii.crc32(data) % 2**16)


def packing() -> None:
    """Compress and decompress."""
    data = "".join(TEXTS).encode()[:30000]
    for level in (1, 6, 9):
        zlib.decompress(zlib.compress(data, level))
    bz2.decompress(bz2.compress(data[:20000]))


def numbers() -> None:
    """Compute with decimals, whole numbers and floats."""
    with decimal.localcontext(prec=60):
        for index in range(1, 40):
            value = decimal.Decimal(2).sqrt() * index / 7 + decimal.Decimal(str(index / 3))
            (value.ln() + value.exp()).quantize(decimal.Decimal("0.001"))
            format(value**3, ",.3f")
            divmod(value, 3)
            value.to_eng_string()
    for index in range(1, 60):
        large, other = 3 ** (40 * index), 7 ** (30 * index)
        int(str(large * other // (large + 1) ^ other & large | other >> 77))
        large.to_bytes(2000)
        hex(pow(large, 65537, math.isqrt(other)) + math.gcd(large, other) + math.comb(60, index % 50))
        real = index / 7
        for function in FUNCTIONS:
            function(real)
        math.fsum([float.fromhex(real.hex()), float(repr(round(real, 5)))] * 25)
        cmath.exp(cmath.sqrt(real)) + complex(real, 2) ** 3
        format(real, "e")
    chance = random.Random(3)
    chance.shuffle([chance.gauss(0, 1) for _ in range(500)])


def keeping() -> None:
    """Write objects, tables and times, and read them."""
    value = {
        "a": [1, 2.5, "x" * 20, None, (1, 2), {3, 4}, b"abc", 10**30],
        "b": {str(i): i for i in range(100)},
    }
    for protocol in (0, 2, 5):
        pickle.loads(pickle.dumps(value, protocol))
    marshal.loads(marshal.dumps(copy.deepcopy(value)))
    json.loads(json.dumps([1, 2.5, "é", {"a": None}] * 100, indent=1))
    table = io.StringIO()
    csv.writer(table).writerows([index, f"a,{index}", 'q"'] for index in range(200))
    list(csv.reader(io.StringIO(table.getvalue())))
    struct.unpack(">hiqfd10s", struct.pack(">hiqfd10s", 1, 2, 3, 4.5, 6.5, b"x"))
    for index in range(100):
        day = datetime.datetime(2020, 1, 1) + datetime.timedelta(days=index, seconds=index)
        datetime.datetime.fromisoformat(day.isoformat()).strftime("%Y-%m-%d")
        day.isocalendar()


def markup() -> None:
    """Parse XML in encodings of one and of two bytes."""
    body = "<d e='f&amp;'>x &lt; y<![CDATA[z]]><!-- k --></d>" * 300
    for codec in ("utf-8", "utf-16", "iso-8859-1"):
        text = f"<?xml version='1.0' encoding='{codec}'?><a b='c'>{body}</a>"
        xml.parsers.expat.ParserCreate().Parse(text.encode(codec), True)


def source() -> None:
    """Parse Python, and compile it."""
    compile(ast.parse(SOURCE * 20), "source", "exec")
    list(tokenize.generate_tokens(io.StringIO(SOURCE).readline))


WORK: tuple[tuple[int, Callable[[], None]], ...] = (
    *((90, lambda text=text: strings(text)) for text in TEXTS),
    (90, codecs),
    (40, hashes),
    (100, packing),
    (20, numbers),
    (150, keeping),
    (250, markup),
    (20, source),
)


def heat() -> None:
    """Do all of it, as often as it takes to run hot."""
    for times, work in WORK:
        for _ in range(times):
            work()
