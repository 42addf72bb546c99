"""Brings a model's weights onto a device: from the store when they were converted before, else from the source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime

from .. import formats
from ..device import Device
from ..errors import StoreDamaged, StoreFull, about
from ..formats.checkpoint import Checkpoint
from ..reports import LoadProgress
from ..source import Folder, Source
from ..store import Filler, Manifest, Placement, Store
from .image import Image
from .layout import LAYOUT_VERSION


async def find(source: Source | Folder, store: Store | None) -> tuple[Manifest | None, str]:
    """The stored entry of a model, and what is to be said of one that was there but could not be used."""
    try:
        return (await store.find(source.key) if store else None), ""
    except StoreDamaged as error:
        return None, str(error)


async def read_checkpoint(
    source: Source | Folder, store: Store | None, manifest: Manifest | None
) -> tuple[Checkpoint, Manifest | None, str]:
    """What there is to know of a model, its entry in the store if that is still there, else what is to be said of it.

    Raises FormatError. What was stored with the converted weights goes before the file, whose header takes far longer
    to read.
    """
    if store and manifest:
        try:
            return Checkpoint.from_card(manifest.card), manifest, ""
        except StoreDamaged as error:
            await store.drop(source.key)
            return await formats.open(source), None, str(error)
    return await formats.open(source), None, ""


@dataclass(frozen=True)
class Filled:
    """How the weights came onto the device.

    Attributes:
        cached: from the store.
        note: why the store was not written, where it was not.
        dropped: why the store's entry was not used but dropped, where it was.
    """

    cached: bool
    note: str = ""
    dropped: str = ""


@dataclass(frozen=True)
class Loader:
    """What filling a model's buffers needs to know."""

    device: Device
    image: Image
    placements: Sequence[Placement]
    checkpoint: Checkpoint
    progress: Callable[[LoadProgress], None]

    async def fill(self, source: Source | Folder, store: Store | None, manifest: Manifest | None) -> Filled:
        """Bring the weights to the device: from the store, or where it has no entry that can be used, converted."""
        dropped = ""
        if store and manifest:
            try:
                await self._copy(store, manifest)
                return Filled(True)
            except StoreDamaged as error:
                dropped = str(error)
        return Filled(False, await self._convert(source, store), dropped)

    async def _copy(self, store: Store, manifest: Manifest) -> None:
        """Raises StoreDamaged when the entry turns out not to be this model's whole image; it is gone then."""
        total = manifest.nbytes
        if total != self.image.nbytes:
            await store.drop(manifest.key)
            raise StoreDamaged.of(f"they have {total:,} bytes, not {self.image.nbytes:,}")
        await store.fill(
            manifest,
            self.placements,
            self.device,
            lambda n: self.progress(LoadProgress("weights", n, total, True)),
        )
        await self.device.finish()

    async def _convert(self, source: Source | Folder, store: Store | None) -> str:
        """Returns why the store was not written, where it was not."""
        image = self.image
        note = ""
        writer = None
        if store:
            created = datetime.now(UTC).isoformat(timespec="seconds")
            card = self.checkpoint.to_card()
            try:
                writer = await store.begin(
                    Manifest(source.key, LAYOUT_VERSION, image.nbytes, source.name, created, card)
                )
            except StoreFull as error:
                note = str(error)
        filler = Filler(self.placements, self.device)
        try:
            with about(source.name):
                async with aclosing(image.convert(source)) as pieces:
                    async for done, data in pieces:
                        filler.append(data)
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
