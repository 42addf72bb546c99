"""Whether a model fits into a processor's memory, asked before its weights are read; and what would fit instead."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from ..errors import LimitError, OutOfMemory
from ..model_files import stem_of
from ..models import synthetic
from ..weights import layout
from ..weights.image import Image

LEAST_CONTEXT = 512  # tokens: with fewer a model is of no use
VARIANTS = ("Q8_0", "Q4_0")
"""Of published files those that take least on a device: one with next to no loss, and the smallest."""
_VARIANT = re.compile(
    r"(?<![a-z0-9])(?:ud-)?(?:bf16|fp?16|fp?32|i?q\d(?:_[0-9a-z]+)+|tq\d_0|mxfp4)(?![a-z0-9])", re.I
)
_WORDS = {"cache": "KV cache", "constants": "tables"}
_TABLES = ("embedding", "head")


@dataclass(frozen=True)
class Room:
    """What a model wants of a processor's memory.

    Attributes:
        name: of the model's file.
        processor: what it is called.
        memory: bytes that it has for everything; None where nobody tells.
        image: the converted weights.
        needed: bytes that the model takes with a context, by kind.
        context: that was asked for, in tokens.
    """

    name: str
    processor: str
    memory: int | None
    image: Image
    needed: Callable[[int], Mapping[str, int]]
    context: int

    def check(self, least: int) -> None:
        """Raises LimitError when the model needs more than there is.

        Args:
            least: bytes that it takes at least; what plans add to that is little, and takes long to find out.
        """
        if not self._fits(least):
            raise self._too_large(f"where there are {_megabytes(self.memory or 0)}")

    def refused(self, error: OutOfMemory) -> LimitError:
        """What to tell when the processor had not enough left, though nobody knew how much that is."""
        return self._too_large(f"which has not so much left ({error.message})")

    def _fits(self, nbytes: int) -> bool:
        return self.memory is None or nbytes <= self.memory

    def _too_large(self, why: str) -> LimitError:
        kinds = self.needed(self.context)
        shares = ", ".join(
            f"{_WORDS.get(kind, kind)} {_megabytes(nbytes)}" for kind, nbytes in kinds.items() if nbytes > 5e5
        )
        return LimitError(
            f"{self.name} needs {_megabytes(sum(kinds.values()))} of memory with a context of {self.context:,} tokens "
            f"({shares}) on {self.processor}, {why}.",
            self._advice(),
        )

    def _advice(self) -> str:
        """What to take instead: a shorter context, else a smaller file, else a smaller model."""
        context = self.context // 2
        while self.memory is not None and context >= LEAST_CONTEXT:
            if self._fits(sum(self.needed(context).values())):
                return f"Take a shorter context: one of {context:,} tokens fits."
            context //= 2
        least = self.needed(min(self.context, LEAST_CONTEXT))
        rest = sum(least.values()) - least["weights"]
        own = [(part.name, (part.rows, part.columns)) for part in self.image.parts if part.form]
        for kind in VARIANTS if self.memory is not None else VARIANTS[-1:]:
            weights = _weights(own, kind)
            if weights < self.image.nbytes * 0.95 and self._fits(weights + rest):
                file = variant_of(self.name, kind)
                which = f"the {kind} file of the same collection ({file})"
                return f"Take {which if file else f'a {kind} file of this model'}: {_needs(weights + rest)}."
        for size, config in reversed(synthetic.SHAPES.items()):
            weights = _weights(synthetic.tensors(config).items(), VARIANTS[-1])
            if size[0].isdigit() and weights < self.image.nbytes * 0.95 and self._fits(weights + rest):
                other = f"Gemma 3 {size.upper()} as {VARIANTS[-1]}"
                return f"Take a smaller model, such as {other}: {_needs(weights + rest)}."
        return "Use another processor, or another computer."


def variant_of(name: str, kind: str) -> str:
    """What the file of another variant is called in the same collection; "" where this file's name tells of none."""
    stem = stem_of(name)
    name = f"{stem}.gguf" if stem else name
    found = list(_VARIANT.finditer(name))
    if not found:
        return ""
    last = found[-1]
    return name[: last.start()] + (kind.lower() if last[0].islower() else kind) + name[last.end() :]


def _weights(matrices: Iterable[tuple[str, tuple[int, ...]]], kind: str) -> int:
    """Bytes on a device of matrices (rows, columns) in a file called `kind`; quantizers keep the embedding finer."""
    total = 0
    for name, shape in matrices:
        if len(shape) == 2:
            rows, columns = shape
            fine = "Q8_0" if kind == "Q8_0" or columns % 256 else "Q6_K"
            form = layout.format_of(fine if name in _TABLES else kind)
            total += form.weight_bytes(rows, columns) + form.scale_plane_bytes(rows, columns)
    return total


def _needs(nbytes: int) -> str:
    return f"it needs about {_megabytes(nbytes)}"


def _megabytes(nbytes: int) -> str:
    return f"{nbytes / 1e6:,.0f} MB"
