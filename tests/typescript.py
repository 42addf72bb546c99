"""TypeScript's compiler, which checks the types in the page's JavaScript: pinned like everything that is fetched.

Only the tests use it, so it is no part of what serve.py fetches. To move to a new version, put in its sizes and
hashes; `--listFilesOnly` says which descriptions of the language and of browsers it reads.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

from playwright._impl._driver import compute_driver_executable

from sotto.assets import default_cache, fetch
from sotto.assets.pins import File, Group, Package, Part

VERSION = "6.0.3"
FOLDER = f"test/typescript-{VERSION}"

_PACKAGE = Package(
    "npm",
    f"typescript@{VERSION}",
    4_515_854,
    "33cd0ee1beaa8c9e9d15a9da836c62ddea4c34a42d7c2d349dbc80d94165d22a",
)

_FILES = {  # name in the package: bytes, sha256
    "LICENSE.txt": (9_197, "a7d00bfd54525bc694b6e32f64c7ebcf5e6b7ae3657be5cc12767bce74654a47"),
    "lib/_tsc.js": (6_239_091, "1c59e77a54b186ec43fa7f3e0d3c4bb15ca5eb5ba43e96b1d3a267139eddd3e3"),
}

_DESCRIPTIONS = {  # X of lib/lib.X.d.ts: bytes, sha256
    "decorators": (13_153, "1ce14b81c5cc821994aa8ec1d42b220dd41b27fcc06373bce3958af7421b77d4"),
    "decorators.legacy": (1_287, "b3a048b3e9302ef9a34ef4ebb9aecfb28b66abb3bce577206a79fee559c230da"),
    "dom": (2_349_483, "d6b1eba8496bdd0eed6fc8a685768fe01b2da4a0388b5fe7df558290bffcf32f"),
    "es2015.collection": (5_305, "105ba8ff7ba746404fe1a2e189d1d3d2e0eb29a08c18dded791af02f29fb4711"),
    "es2015.core": (22_824, "eadcffda2aa84802c73938e589b9e58248d74c59cb7fcbca6474e3435ac15504"),
    "es2015": (1_202, "3f88bedbeb09c6f5a6645cb24c7c55f1aa22d19ae96c8e6959cbd8b85a707bc6"),
    "es2015.generator": (2_518, "00343ca5b2e3d48fa5df1db6e32ea2a59afab09590274a6cccb1dbae82e60c7c"),
    "es2015.iterable": (18_185, "ebd9f816d4002697cb2864bea1f0b70a103124e18a8cd9645eeccc09bdf80ab4"),
    "es2015.promise": (3_161, "2c1afac30a01772cd2a9a298a7ce7706b5892e447bb46bdbeef720f7b5da77ad"),
    "es2015.proxy": (5_212, "7b0225f483e4fa685625ebe43dd584bb7973bbd84e66a6ba7bbe175ee1048b4f"),
    "es2015.reflect": (6_454, "c0a4b8ac6ce74679c1da2b3795296f5896e31c38e888469a8e0f99dc3305de60"),
    "es2015.symbol": (1_610, "3084a7b5f569088e0146533a00830e206565de65cae2239509168b11434cd84f"),
    "es2015.symbol.wellknown": (10_971, "c5079c53f0f141a0698faa903e76cb41cd664e3efb01cc17a5c46ec2eb0bef42"),
    "es2016.array.include": (5_165, "32cafbc484dea6b0ab62cf8473182bbcb23020d70845b406f80b7526f38ae862"),
    "es2016": (926, "7fe93b39b810eadd916be8db880dd7f0f7012a5cc6ffb62de8f62a2117fa6f1f"),
    "es2016.intl": (1_445, "fca4cdcb6d6c5ef18a869003d02c9f0fd95df8cfaf6eb431cd3376bc034cad36"),
    "es2017.arraybuffer": (876, "b93ec88115de9a9dc1b602291b85baf825c85666bf25985cc5f698073892b467"),
    "es2017": (1_123, "bb0074cc08b84a2374af33d8bf044b80851ccc9e719a5e202eacf40db2c31600"),
    "es2017.date": (1_877, "f5c06dcc3fe849fcb297c247865a161f995cc29de7aa823afdd75aaaddc1419b"),
    "es2017.intl": (1_410, "c7b3542146734342e440a84b213384bfa188835537ddbda50d30766f0593aff9"),
    "es2017.object": (2_434, "b77e16112127a4b169ef0b8c3a4d730edf459c5f25fe52d5e436a6919206c4d7"),
    "es2017.sharedmemory": (7_170, "fbffd9337146eff822c7c00acbb78b01ea7ea23987f6c961eba689349e744f8c"),
    "es2017.string": (2_339, "a995c0e49b721312f74fdfb89e4ba29bd9824c770bbb4021d74d2bf560e4c6bd"),
    "es2017.typedarrays": (1_503, "ce6180fa19b1cccd07ee7f7dbb9a367ac19c0ed160573e4686425060b6df7f57"),
    "es2018.asyncgenerator": (2_653, "3f02e2476bccb9dbe21280d6090f0df17d2f66b74711489415a8aa4df73c9675"),
    "es2018.asynciterable": (2_218, "45e3ab34c1c013c8ab2dc1ba4c80c780744b13b5676800ae2e3be27ae862c40c"),
    "es2018": (1_049, "1a7daebe4f45fb03d9ec53d60008fbf9ac45a697fdc89e4ce218bc94b94f94d6"),
    "es2018.intl": (2_982, "805c86f6cca8d7702a62a844856dbaa2a3fd2abef0536e65d48732441dde5b5b"),
    "es2018.promise": (1_314, "e42e397f1a5a77994f0185fd1466520691456c772d06bf843e5084ceb879a0ad"),
    "es2018.regexp": (1_193, "f4c2b41f90c95b1c532ecc874bd3c111865793b23aebcc1c3cbbabcd5d76ffb0"),
    "es2019.array": (3_124, "ab26191cfad5b66afa11b8bf935ef1cd88fabfcb28d30b2dfa6fad877d050332"),
    "es2019": (1_032, "f94b133a3cb14a288803be545ac2683e0d0ff6661bcd37e31aaaec54fc382aed"),
    "es2019.intl": (919, "689da16f46e647cef0d64b0def88910e818a5877ca5379ede156ca3afb780ac3"),
    "es2019.object": (1_434, "2088bc26531e38fb05eedac2951480db5309f6be3fa4a08d2221abb0f5b4200d"),
    "es2019.string": (1_489, "cb9d366c425fea79716a8fb3af0d78e6b22ebbab3bd64d25063b42dc9f531c1e"),
    "es2019.symbol": (967, "500934a8089c26d57ebdb688fc9757389bb6207a3c8f0674d68efa900d2abb34"),
    "es2020.bigint": (38_258, "bc21cc8b6fee4f4c2440d08035b7ea3c06b3511314c8bab6bef7a92de58a2593"),
    "es2020": (1_162, "f59d0650799f8782fd74cf73c19223730c6d1b9198671b1c5b3a38e1188b5953"),
    "es2020.date": (2_917, "7ca53d13d2957003abb47922a71866ba7cb2068f8d154877c596d63c359fed25"),
    "es2020.intl": (22_399, "48915f327cd1dea4d7bd358d9dc7732f58f9e1626a29cc0c05c8c692419d9bb7"),
    "es2020.number": (1_548, "b7bf9377723203b5a6a4b920164df22d56a43f593269ba6ae1fdc97774b68855"),
    "es2020.promise": (1_764, "54725f8c4df3d900cb4dac84b64689ce29548da0b4e9b7c2de61d41c79293611"),
    "es2020.sharedmemory": (5_089, "e5594bc3076ac29e6c1ebda77939bc4c8833de72f654b6e376862c0473199323"),
    "es2020.string": (2_451, "2f3eb332c2d73e729f3364fcc0c2b375e72a121e8157d25a82d67a138c83a95c"),
    "es2020.symbol.wellknown": (1_566, "6f4427f9642ce8d500970e4e69d1397f64072ab73b97e476b4002a646ac743b1"),
    "es2021": (997, "8a15b4607d9a499e2dbeed9ec0d3c0d7372c850b2d5f1fb259e8f6d41d468a84"),
    "es2021.intl": (8_206, "a917a49ac94cd26b754ab84e113369a75d1a47a710661d7cd25e961cc797065f"),
    "es2021.promise": (2_223, "db9709688f82c9e5f65a119c64d835f906efe5f559d08b11642d56eb85b79357"),
    "es2021.string": (1_553, "4b25b8c874acd1a4cf8444c3617e037d444d19080ac9f634b405583fd10ce1f7"),
    "es2021.weakref": (3_132, "37be57d7c90cf1f8112ee2636a068d8fd181289f82b744160ec56a7dc158a9f5"),
    "es2022.array": (4_637, "6d3261badeb7843d157ef3e6f5d1427d0eeb0af0cf9df84a62cfd29fd47ac86e"),
    "es2022": (1_069, "26e0fe14baee4e127f4365d1ae0b276f400562e45e19e35fd2d4c296684715e6"),
    "es2022.error": (2_340, "195daca651dde22f2167ac0d0a05e215308119a3100f5e6268e8317d05a92526"),
    "es2022.intl": (7_653, "8b11e4285cd2bb164a4dc09248bdec69e9842517db4ca47c1ba913011e44ff2f"),
    "es2022.object": (1_046, "0508571a52475e245b02bc50fa1394065a0a3d05277fbf5120c3784b85651799"),
    "es2022.regexp": (1_304, "fc611fea8d30ea72c6bbfb599c9b4d393ce22e2f5bfef2172534781e7d138104"),
    "es2022.string": (1_116, "8f9af488f510c3015af3cc8c267a9e9d96c4dd38a1fdff0e11dc5a544711415b"),
    "es5": (218_972, "bcd24271a113971ba9eb71ff8cb01bc6b0f872a85c23fdbe5d93065b375933cd"),
}

TYPESCRIPT = Group(
    f"TypeScript {VERSION}",
    tuple(
        File(
            f"{FOLDER}/{name}",
            size,
            sha256,
            (f"https://cdn.jsdelivr.net/npm/typescript@{VERSION}/{name}",),
            (Part(_PACKAGE, f"package/{name}", size),),
        )
        for name, (size, sha256) in {
            **_FILES,
            **{f"lib/lib.{name}.d.ts": pinned for name, pinned in _DESCRIPTIONS.items()},
        }.items()
    ),
)


def check(project: Path) -> list[str]:
    """What the compiler finds in a project, one line for each; names of files are relative to the project's folder.

    It runs on the node that Playwright brings, so that nothing has to be installed.

    Raises:
        AssetError: the compiler could not be fetched.
    """
    fetch((TYPESCRIPT,), default_cache())
    node, _ = compute_driver_executable()
    compiler = default_cache().resolve() / FOLDER / "lib" / "_tsc.js"
    done = subprocess.run(
        [node, compiler, "--project", project.resolve(), "--pretty", "false"],
        cwd=project.resolve(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.stderr == ""
    found = [line for line in done.stdout.splitlines() if not line.startswith(" ")]
    assert bool(found) == bool(done.returncode), done.stdout
    return found
