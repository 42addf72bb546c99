"""Write tests/golden/gemma3-tokenizer.json: the ids that the library `tokenizers` gives with Gemma 3's tokenizer.json,
and with that of the tests' small vocabulary.

    pip install tokenizers==0.23.3
    python tools/reference_tokenizer.py FOLDER

FOLDER holds Gemma 3's tokenizer.json, as transformers 5 saves it. The file itself has 33 MB; the tests make its list of
merges of the default model's vocabulary, by the rule of transformers, and hold it against the checksum here.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from collections.abc import Sequence
from pathlib import Path

import tokenizers

ROOT = Path(__file__).resolve().parents[1]
sys.path += [str(ROOT / "py"), str(ROOT / "tests")]

import hugging
import tiny

GOLDEN = ROOT / "tests" / "golden"
WRITTEN = [
    "The history of the printing press begins in 1440.", "  two spaces,   three,    four", " " * 70 + "x" + " " * 31,
    "def f(x):\n\n\n    return x\n\t\tpass\r\n", "a\u2581b \u2581 c \u2581\u2581d", "<b>bold</b> > </p> <table>",
    "\u003e\u2581</ >\u2581\u2581</", "日本語の文章と、한국어 그리고 हिन्दी।", "🚀👩‍👩‍👧 \u0000\u0007\ufeff",
    "naïve café — “quotes” … ½", "\n" * 40, "aaaaaaaaaaaaaaaaaaaa", "0123456789 3.14159 1,000,000", "",
    "supercalifragilisticexpialidocious antidisestablishmentarianism",
]  # fmt: skip


def texts(tokens: Sequence[str], count: int) -> list[str]:
    """Texts of all kinds: written ones, and random ones of tokens and of characters."""
    generator = random.Random(20261128)
    plain = [token for token in tokens if not token.startswith("<") and token.strip()]
    found = list(WRITTEN)
    for number in range(count):
        length = generator.randrange(2, 12)
        if number % 2:
            pieces = "".join(generator.choices(plain, k=length))
            found.append(pieces if number % 4 == 1 else pieces.replace("\u2581", " "))
        else:
            found.append("".join(generator.choices("aeiou  \nthe<>/b.,\u2581\u2581é日の🚀", k=3 * length)))
    return found


def main() -> None:
    """Make the references."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    path = parser.parse_args().folder / "tokenizer.json"
    fields = json.loads(path.read_text("utf-8"))
    merges = [" ".join(pair) for pair in fields["model"]["merges"]]
    small = tiny.vocabulary(512)
    with_small = tokenizers.Tokenizer.from_str(json.dumps(hugging.tokenizer_json(small)))
    with_gemma = tokenizers.Tokenizer.from_file(str(path))
    found = {
        "engine": f"tokenizers {tokenizers.__version__}",
        "merges": len(merges),
        "merges_sha256": hashlib.sha256("\n".join(merges).encode()).hexdigest(),
    }
    for name, reference, tokens in (
        ("gemma", with_gemma, list(fields["model"]["vocab"])),
        ("tiny", with_small, hugging.spelled(small)),
    ):
        found[name] = [
            {"text": text, "ids": reference.encode(text, add_special_tokens=False).ids}
            for text in texts(tokens, 120)
        ]
    (GOLDEN / "gemma3-tokenizer.json").write_text(json.dumps(found, ensure_ascii=False) + "\n", "utf-8")


if __name__ == "__main__":
    main()
