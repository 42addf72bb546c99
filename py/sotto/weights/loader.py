"""Brings a model's weights onto a device: from the store when they were converted before, else from the source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

from ..device import Device
from ..errors import StoreDamaged, StoreFull
from ..formats import gguf
from ..formats.gguf import Header
from ..reports import LoadProgress
from ..source import Source
from ..store import Manifest, Placement, Store
from .image import Image
from .layout import LAYOUT_VERSION


async def read_header(source: Source, store: Store | None, manifest: Manifest | None) -> tuple[Header, bytes]:
    """A model file's header, parsed and as it is. Raises FormatError; StoreDamaged for the stored one."""
    if store and manifest:
        data = await store.head(manifest, manifest.header_nbytes)
        return gguf.parse(data), data
    return await gguf.read_header(source)


@dataclass(frozen=True)
class Loader:
    """What filling a model's buffers needs to know."""

    device: Device
    image: Image
    placements: Sequence[Placement]
    header: bytes
    progress: Callable[[LoadProgress], None]

    async def fill(self, source: Source, store: Store | None, manifest: Manifest | None) -> str:
        """Bring the weights to the device. Returns "cached", or why the store was not written, or ""."""
        if store and manifest:
            total = manifest.nbytes
            try:
                await store.fill(
                    manifest,
                    self.placements,
                    self.device,
                    lambda n: self.progress(LoadProgress("weights", n, total, True)),
                )
                await self.device.finish()
                return "cached"
            except StoreDamaged:
                pass  # the entry is gone; convert again
        return await self._convert(source, store)

    async def _convert(self, source: Source, store: Store | None) -> str:
        image = self.image
        note = ""
        writer = None
        if store:
            created = datetime.now(UTC).isoformat(timespec="seconds")
            try:
                writer = await store.begin(
                    Manifest(
                        source.key, LAYOUT_VERSION, image.nbytes, image.header_nbytes, source.name, created
                    )
                )
            except StoreFull as error:
                note = str(error)
        places = iter(self.placements)
        place = next(places, None)
        at = 0
        try:
            async with aclosing(image.convert(self.header, source)) as pieces:
                async for done, data in pieces:
                    end = at + data.size
                    while place and place.image_offset < end:
                        first = max(place.image_offset, at)
                        last = min(place.image_offset + place.nbytes, end)
                        if last > first:
                            self.device.write(
                                place.buffer,
                                place.buffer_offset + first - place.image_offset,
                                data[first - at : last - at],
                            )
                        if last < place.image_offset + place.nbytes:
                            break
                        place = next(places, None)
                    at = end
                    if writer:
                        try:
                            await writer.append(data)
                        except StoreFull as error:
                            note, writer = str(error), None
                    self.progress(LoadProgress("weights", done, image.source_nbytes, False))
            if writer:
                try:
                    await writer.commit()
                except StoreFull as error:
                    note = str(error)
        except BaseException:
            if writer:
                await writer.abort()
            raise
        await self.device.finish()
        return note
