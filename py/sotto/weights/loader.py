"""Brings a model's weights onto a device: from the store when they were converted before, else from the source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np

from .. import formats
from ..device import Device
from ..errors import StoreDamaged, StoreFull, about
from ..formats.checkpoint import Checkpoint
from ..reports import LoadProgress
from ..source import Folder, Source, opened
from ..store import Filler, Manifest, Placement, Store
from .image import Image
from .layout import LAYOUT_VERSION

AT_ONCE = 4  # damaged records that are made anew together: they are held in memory


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
            return Checkpoint.from_card(manifest.card), replace(manifest, card=b""), ""
        except StoreDamaged as error:
            files = await opened(source, whole=True)
            await store.drop(source.key)
            return await formats.open(files), None, str(error)
    return await formats.open(await opened(source, whole=True)), None, ""


@dataclass(frozen=True)
class Filled:
    """How the weights came onto the device.

    Attributes:
        cached: from the store.
        note: why the store was not written, where it was not.
        dropped: why the store's entry was not used but dropped, where it was.
        mended: bytes of the entry that were damaged, and made anew from the source.
    """

    cached: bool
    note: str = ""
    dropped: str = ""
    mended: int = 0


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
                return await self._copy(source, store, manifest)
            except StoreDamaged as error:
                dropped = str(error)
        files = await opened(source, whole=True)
        if store and dropped:
            await store.drop(source.key)
        return Filled(False, await self._convert(files, store), dropped)

    async def _copy(self, source: Source | Folder, store: Store, manifest: Manifest) -> Filled:
        """Raises StoreDamaged when the entry turns out not to be this model's image, or to be beyond mending."""
        total = manifest.nbytes
        if total != self.image.nbytes:
            raise StoreDamaged.of(f"they have {total:,} bytes, not {self.image.nbytes:,}")
        damaged = await store.fill(
            manifest,
            self.placements,
            self.device,
            lambda n: self.progress(LoadProgress("weights", n, total, True)),
        )
        note = await self._mend(source, store, manifest, damaged) if damaged else ""
        await self.device.finish()
        return Filled(True, note, mended=sum(nbytes for _, nbytes in manifest.spans(damaged)))

    async def _mend(
        self, source: Source | Folder, store: Store, manifest: Manifest, damaged: Sequence[int]
    ) -> str:
        """Make damaged records anew, from no more of the source than they were made of.

        Returns why they were not stored, where they were not. Raises StoreDamaged when they do not come out as they
        were, or all of the source would be read.
        """
        image, note, before = self.image, "", 0
        groups = [damaged[first : first + AT_ONCE] for first in range(0, len(damaged), AT_ONCE)]
        total = sum(image.needed(manifest.spans(group)) for group in groups)
        if total >= image.source_nbytes:
            raise StoreDamaged.of(f"{len(damaged)} of {len(manifest.records)} records are missing or altered")
        files = await opened(source, whole=False)
        for group in groups:
            spans = manifest.spans(group)
            records = [np.zeros(nbytes, np.uint8) for _, nbytes in spans]
            with about(source.name):
                async with aclosing(image.convert_again(files, spans)) as pieces:
                    async for done, offset, data in pieces:
                        for (at, nbytes), record in zip(spans, records, strict=True):
                            first, last = max(offset, at), min(offset + data.size, at + nbytes)
                            if first < last:
                                record[first - at : last - at] = data[first - offset : last - offset]
                        self.progress(LoadProgress("weights", before + done, total, False))
            for number, (at, _), record in zip(group, spans, records, strict=True):
                try:
                    await store.mend(manifest, number, record)
                except StoreFull as error:
                    note = str(error)
                Filler(self.placements, self.device).append(record, at)
            before += image.needed(spans)
        return note

    async def _convert(self, source: Source | Folder, store: Store | None) -> str:
        """Returns why the store was not written, where it was not."""
        image, vocabulary = self.image, self.checkpoint.vocabulary
        note = ""
        writer = None
        if vocabulary:
            with about(source.name):
                vocabulary.check_normal()
        if store:
            created = datetime.now(UTC).isoformat(timespec="seconds")
            about_entry = source.key, LAYOUT_VERSION, image.nbytes, source.name, created
            try:  # no name for the card, which has megabytes and is not wanted any more
                writer = await store.begin(Manifest(*about_entry, self.checkpoint.to_card()))
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
