#!/usr/bin/env python3
"""Start Sotto: fetch what it needs (once), serve the page on this computer, open the browser.

Needs Python 3.11 or newer and nothing else. `python3 serve.py --help` lists the options.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import webbrowser
from collections.abc import Sequence
from pathlib import Path

if sys.version_info < (3, 11):  # noqa: UP036 - a plain word instead of a traceback
    sys.exit(f"Sotto needs Python 3.11 or newer; this is Python {sys.version.split()[0]}.")

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "py"))

from sotto.assets import DEFAULT_MODEL, TerminalProgress, default_cache, fetch, known_models, model_path  # noqa: E402
from sotto.assets.cache import OWN_STAMPS_NAME, Stamps  # noqa: E402
from sotto.assets.pins import RUNTIME  # noqa: E402
from sotto.errors import SottoError  # noqa: E402
from sotto.model_files import model_files  # noqa: E402
from sotto.site.export import PART_SIZE, export  # noqa: E402
from sotto.site.server import Server  # noqa: E402
from sotto.site.site import ADAPTER_FILES, OfferedModel, Site  # noqa: E402

DEFAULT_ADAPTER = ROOT / "finetune" / "posts"  # of the default model
DEFAULT_PORT = 8765

LARGEST_PORT = 65535
MEGABYTE = 1_000_000


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line as options; exits with a usage message when it makes no sense."""
    parser = argparse.ArgumentParser(
        description="Gemma 3 in a browser tab: everything stays on this computer."
    )
    parser.add_argument(
        "--port", type=port_number, default=DEFAULT_PORT, help="port to serve on (%(default)s)"
    )
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser")
    parser.add_argument(
        "--model",
        default=DEFAULT_MODEL,
        metavar="PATH",
        help="a file of GGUF, any of those that one was split into, or of LiteRT (.task, .litertlm), a folder that "
        "holds one, a folder as transformers writes it, or the name of a known model: "
        f"{', '.join(known_models())} (%(default)s)",
    )
    parser.add_argument(
        "--lora", default="", metavar="FOLDER",
        help="a LoRA adapter for the model, as PEFT writes it; the page can switch it on and off",
    )  # fmt: skip
    parser.add_argument(
        "--cache",
        type=Path,
        default=default_cache(),
        metavar="FOLDER",
        help="where the runtime and the default model are kept (%(default)s)",
    )
    parser.add_argument(
        "--fetch-only",
        action="store_true",
        help="fetch and verify everything, then stop: afterwards no network is needed",
    )
    parser.add_argument(
        "--export",
        type=Path,
        metavar="FOLDER",
        help="write the whole site into a folder, for any static host, then stop (docs/publishing.md)",
    )
    parser.add_argument("--with-model", action="store_true", help="export the model and its adapter too")
    parser.add_argument(
        "--part-size",
        type=megabytes,
        default=PART_SIZE,
        metavar="MB",
        help=f"the largest file of an export; a model comes in such parts ({PART_SIZE // MEGABYTE})",
    )
    options = parser.parse_args(arguments)
    if options.with_model and not options.export:
        parser.error("--with-model goes with --export")
    return options


def find_adapter(name: str, model: str) -> Path | None:
    """The folder of the adapter to offer with a model: the given one, or the one that belongs to the default model.

    Raises:
        SottoError: the folder holds none.
    """
    if not name:
        return DEFAULT_ADAPTER if model == DEFAULT_MODEL and DEFAULT_ADAPTER.is_dir() else None
    folder = Path(name).expanduser().resolve()
    missing = [file for file in ADAPTER_FILES if not (folder / file).is_file()]
    if missing:
        raise SottoError(
            f"The folder {folder} has no {' and no '.join(missing)}.",
            "Give the folder of a LoRA adapter as PEFT writes it.",
        )
    return folder


def port_number(text: str) -> int:
    """A port from the command line; 0 takes any free one."""
    if not text.isdecimal() or int(text) > LARGEST_PORT:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number between 0 and {LARGEST_PORT}")
    return int(text)


def megabytes(text: str) -> int:
    """Bytes, of a whole number of MB from the command line."""
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of MB")
    return int(text) * MEGABYTE


def find_model(name: str, cache: Path, lora: str = "") -> OfferedModel:
    """The model to offer, a known name (fetched if need be) or the user's files, perhaps with an adapter.

    Raises:
        SottoError: there is no such file or adapter, or the known model cannot be fetched.
    """
    adapter = find_adapter(lora, name)
    if name in known_models():
        return OfferedModel(name, model_path(name, cache, TerminalProgress()), adapter)
    called, files = model_files(Path(name).expanduser(), known_models())
    path, *others = (file.absolute() for file in files)
    return OfferedModel(called, path, adapter, tuple(others))


def open_browser(address: str) -> None:
    """Open the page, where there is a screen to open it on."""
    if sys.platform in ("win32", "darwin") or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"):
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()


def run(options: argparse.Namespace) -> None:
    """Fetch, then serve until interrupted."""
    if options.fetch_only:
        fetch(RUNTIME, options.cache, TerminalProgress())
        find_model(options.model, options.cache, options.lora)
        print(f"Everything is in {options.cache}.")
        return
    if options.export:
        write_site(options)
        return
    with Server(options.port) as server:  # first of all: a port in use is known before a long download
        model = find_model(options.model, options.cache, options.lora)
        fetch(RUNTIME, options.cache, TerminalProgress())
        if model.name not in known_models():  # their hashes are pinned
            for file in model.files:
                Stamps(options.cache, OWN_STAMPS_NAME).sha256(file)  # the page knows a model by its content
        server.site = Site(ROOT, options.cache, [model])
        print(f"Sotto is at {server.address} (Ctrl-C stops it)", flush=True)
        if not options.no_browser:
            open_browser(server.address)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()


def write_site(options: argparse.Namespace) -> None:
    """Export the site."""
    fetch(RUNTIME, options.cache, TerminalProgress())
    models = [find_model(options.model, options.cache, options.lora)] if options.with_model else []
    site = Site(ROOT, options.cache, models)
    files = export(site, options.export, options.part_size, with_model=options.with_model)
    print(f"The site is in {options.export}: {len(files)} files. How to publish it: docs/publishing.md.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status."""
    options = parse_arguments(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # asked to end is as good as Ctrl-C
    try:
        run(options)
    except SottoError as error:
        print(f"{error.message}\n{error.hint}".strip(), file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. Run it again to go on.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
