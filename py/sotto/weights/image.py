"""From a file's tensors to the records a model binds: which tensors, which shapes, in which order.

A model lists what it wants (`Wanted`); `Image.of` holds the list against the checkpoint's tensors and lays the planes
out as one linear image, plane after plane. The image is what the caches keep and what devices are filled from; it
depends on the checkpoint and the layout only, not on the device. `convert` streams it, a few megabytes at a time, in
order.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import FormatError, UnsupportedModel
from ..formats import blocks, tiles
from ..formats.checkpoint import TensorInfo, Transform, transformed
from ..source import Folder, Source, file_of
from . import compiled, layout
from .imports import Rounding, Scheme
from .layout import aligned
from .reads import Part, Rows, all_rows, planned

SELDOM = (
    256  # tiles of which one is looked at, of types that numpy decodes far slower than they are converted
)
READS_AHEAD = 2  # reads begun before their bytes are needed
RANGES_AHEAD = (
    8  # of such a read: one of more ranges is begun when it is its turn, or a browser would have too many
)


@dataclass(frozen=True)
class Wanted:
    """A weight as the model binds it.

    Attributes:
        name: the model's name for it.
        sources: canonical names of the checkpoint's tensors, stacked by rows in this order.
        shapes: their expected shapes: (rows, columns) each, or one (length,) for a vector.
        optional: the checkpoint need not have it.
    """

    name: str
    sources: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    optional: bool = False


class Image:
    """The converted model as one run of bytes.

    Attributes:
        parts: what it consists of, in order.
        nbytes: total length.
        source_nbytes: bytes of the source tensors that conversion reads.
        rounded_types: types of the file whose values no format holds, and which are therefore rounded to one that
            comes near; what a scheme rounds is not among them.
        rounding: once it has been converted, how far what was rounded is from the source.
    """

    def __init__(self, parts: list[Part], nbytes: int) -> None:
        self.parts = parts
        self.nbytes = nbytes
        self.source_nbytes = sum(s.all_bytes for p in parts for s in p.sources)
        matrices = [(part.form, info.type) for part in parts if part.form for info in part.sources]
        self.rounded_types = sorted(
            {name for form, name in matrices if form == layout.format_of(name) and not layout.is_exact(name)}
        )
        self.rounding = Rounding()

    @classmethod
    def of(
        cls, tensors: Mapping[str, TensorInfo], wanted: list[Wanted], scheme: Scheme | None = None
    ) -> Image:
        """Lay out what the model wants.

        Args:
            scheme: what floats are rounded to.

        Raises:
            FormatError: a tensor is missing or has another shape than the file's own settings say.
            UnsupportedModel: a tensor type or a width without kernels, or a tensor that the model does not know,
                named.
        """
        parts: list[Part] = []
        end = 0
        _check_all_known(tensors, wanted)
        for want in wanted:
            if want.optional and not any(name in tensors for name in want.sources):
                continue
            infos = [
                _checked(tensors, name, shape) for name, shape in zip(want.sources, want.shapes, strict=True)
            ]
            row = 0
            for group in _same_format(infos, scheme):
                if len(group[0].shape) == 1:
                    part = Part(
                        want.name,
                        tuple(group),
                        0,
                        1,
                        group[0].shape[0],
                        None,
                        end,
                        4 * group[0].shape[0],
                        0,
                        0,
                    )
                else:
                    rows, columns = sum(info.shape[0] for info in group), group[0].shape[1]
                    form = _format_of(group[0], scheme)
                    if columns % layout.BLOCK:
                        raise UnsupportedModel(
                            f"{group[0].source} has {columns} columns; the kernels need a multiple of {layout.BLOCK}.",
                            "Choose another model.",
                        )
                    weight_bytes = form.weight_bytes(rows, columns)
                    scale_offset = aligned(end + weight_bytes)
                    scale_bytes = form.scale_plane_bytes(rows, columns)
                    part = Part(
                        want.name, tuple(group), row, rows, columns, form,
                        end, weight_bytes, scale_offset, scale_bytes,
                    )  # fmt: skip
                    row += rows
                parts.append(part)
                end = aligned(max(part.offset + part.weight_bytes, part.scale_offset + part.scale_bytes))
        return cls(parts, end)

    async def convert(self, source: Source | Folder) -> AsyncGenerator[tuple[int, NDArray[np.uint8]]]:
        """Yield the image from beginning to end as (bytes of the source's tensors used so far, next bytes).

        The bytes are valid until the next are asked for. Holds a few reads of the source, one conversion, and one
        scale plane at a time.
        """
        at = done = 0
        async with aclosing(self._planes(source)) as planes:
            async for done, offset, data in planes:
                if offset > at:
                    yield done, np.zeros(offset - at, np.uint8)
                yield done, data
                at = offset + data.size
        if at < self.nbytes:
            yield done, np.zeros(self.nbytes - at, np.uint8)

    def needed(self, spans: Sequence[tuple[int, int]]) -> int:
        """Bytes of the source that `convert_again` reads for these spans of the image."""
        return sum(rows.nbytes for rows in all_rows(self.parts) if rows.within(spans))

    async def convert_again(
        self, source: Source | Folder, spans: Sequence[tuple[int, int]]
    ) -> AsyncGenerator[tuple[int, int, NDArray[np.uint8]]]:
        """Yield (bytes of the source used so far, offset in the image, bytes) of all that lies in these spans.

        What lies beside them may come too; the gaps between planes, which are zeros, do not. No more of the source is
        read than this takes.

        Args:
            spans: of the image, offset and bytes.
        """
        wanted = [rows for rows in all_rows(self.parts) if rows.within(spans)]
        async with aclosing(self._converted(source, wanted)) as converted:
            async for done, rows, plane, scale in converted:
                (at, _), (scale_at, _) = rows.spans
                yield done, at, plane
                if scale.size:
                    yield done, scale_at, scale

    async def _planes(self, source: Source | Folder) -> AsyncGenerator[tuple[int, int, NDArray[np.uint8]]]:
        """Yield (bytes of the source used so far, offset in the image, bytes) in the image's order."""
        filled = 0
        scales = np.empty(0, np.uint8)
        async with aclosing(self._converted(source, list(all_rows(self.parts)))) as converted:
            async for done, rows, plane, scale in converted:
                part = rows.part
                if rows.first == 0:
                    filled, scales = 0, np.empty(part.scale_bytes, np.uint8)
                yield done, rows.spans[0][0], plane
                scales[filled : filled + scale.size] = scale
                filled += scale.size
                if scales.size and rows.first + rows.count == part.rows:
                    yield done, part.scale_offset, scales

    async def _converted(
        self, source: Source | Folder, wanted: Sequence[Rows]
    ) -> AsyncGenerator[tuple[int, Rows, NDArray[np.uint8], NDArray[np.uint8]]]:
        """Yield (bytes of the source used so far, rows, their weights, their scales), in the order given."""
        convert = compiled.converter()
        tiled = any(Transform.TILES in info.transforms for part in self.parts for info in part.sources)
        untile = compiled.untiler() if tiled else tiles.untiled
        reads = list(planned(wanted))
        expected = done = 0
        none = np.empty(0, np.uint8)
        for number, read in enumerate(reads):
            for ahead in reads[expected : number + READS_AHEAD + 1]:
                if ahead is not read and len(ahead.ranges) > RANGES_AHEAD:
                    break
                for begin, nbytes in ahead.ranges:
                    file_of(source, ahead.file).expect(begin, nbytes)
                expected += 1
            file = file_of(source, read.file)
            raw = [np.frombuffer(await file.read(*extent), np.uint8) for extent in read.ranges]
            for rows in read.rows:
                part = rows.part
                shape = (rows.count, part.columns) if part.form else (part.columns,)
                data = read.part(raw, rows)
                kind, data = transformed(rows.tensor, data, shape, untile)
                done += rows.nbytes
                if part.form is None:
                    vector = blocks.dequantize(kind, data, shape)
                    _check_finite(rows, bool(np.isfinite(vector).all()))
                    yield done, rows, vector.astype("<f4").view(np.uint8), none
                    continue
                as_it_is = layout.format_of(kind) == part.form
                if as_it_is:
                    plane, scale = convert(kind, data, rows.count, part.columns)
                else:
                    plane, scale = layout.convert(kind, data, rows.count, part.columns, part.form)
                _check_finite(rows, part.form.is_finite(plane, scale))
                if not as_it_is:
                    self.rounding.add(kind, data, part.form, (plane, scale), part.columns)
                elif rows.tensor.type in self.rounded_types:
                    self.rounding.add(kind, data, part.form, (plane, scale), part.columns, SELDOM)
                yield done, rows, plane, scale


def _check_finite(rows: Rows, is_finite: bool) -> None:
    """Raise FormatError where converted rows hold what is no finite number."""
    if not is_finite:
        raise FormatError(
            f"The tensor {rows.tensor.source} (type {rows.tensor.type}) holds what is no finite number.",
            "The file is damaged or was converted wrongly: try another copy.",
        )


def _check_all_known(tensors: Mapping[str, TensorInfo], wanted: list[Wanted]) -> None:
    """Raise UnsupportedModel for a tensor that the model would not use: it changes what should be computed."""
    used = {source for want in wanted for source in want.sources}
    unknown = [info.source for name, info in tensors.items() if name not in used]
    if unknown:
        more = f" and {len(unknown) - 1:,} more" if len(unknown) > 1 else ""
        raise UnsupportedModel(
            f"The file has the tensor {unknown[0]}{more}, which Sotto does not know of a model of this kind.",
            "Choose another file of this model.",
        )


def _checked(tensors: Mapping[str, TensorInfo], name: str, shape: tuple[int, ...]) -> TensorInfo:
    info = tensors.get(name)
    if info is None:
        raise FormatError(
            f"The file has no tensor for {name}.", "It may be incomplete, or made for another program."
        )
    if info.shape != shape:
        raise FormatError(
            f"{info.source} has shape {list(info.shape)}; by the file's own settings it should be {list(shape)}.",
            "The file is damaged or was converted wrongly: try another copy.",
        )
    try:
        layout.format_of(info.type)
    except UnsupportedModel as error:
        raise UnsupportedModel(f"{info.source}: {error.message}", error.hint) from None
    return info


def _format_of(info: TensorInfo, scheme: Scheme | None) -> layout.Format:
    """The format of a matrix."""
    return scheme.format_of(info) if scheme else layout.format_of(info.type)


def _same_format(infos: list[TensorInfo], scheme: Scheme | None) -> list[list[TensorInfo]]:
    """Group neighbours that share a format, so that each group is one matrix. Whole tiles only."""
    groups: list[list[TensorInfo]] = []
    for info in infos:
        last = groups[-1] if groups else None
        if (
            last
            and _format_of(last[-1], scheme) == _format_of(info, scheme)
            and last[-1].shape[0] % layout.ROWS == 0
        ):
            last.append(info)
        else:
            groups.append([info])
    return groups
