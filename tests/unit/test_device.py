"""How processors say what is to be done otherwise for them, and that nobody asks what they are called instead."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np

import sotto
from sotto.device import AdapterInfo, Traits, flat

GPU = AdapterInfo("A GPU", "", "", "", "", False, (), runtime="Browser 1")
PACKAGE = Path(sotto.__file__).parent
# Facts shown to people, and those that make the traits of them
TELLS = ("cli", "page", "device.py", "bench/desk.py")


def test_a_gpu_needs_nothing_special() -> None:
    assert Traits.of(GPU) == Traits()
    assert Traits.of(replace(GPU, runtime="")) == Traits(tunable=False), "for what would a result hold?"


def test_a_gpu_in_software_computes_and_compiles_on_the_hosts_cores() -> None:
    traits = Traits.of(replace(GPU, software=True))
    assert traits.tunable and traits.wgsl and traits.most_threads == 0
    assert traits.few_cores and traits.dear_barriers and traits.dear_compiler and traits.lazy_compiler


def test_the_cpu_has_few_cores_and_one_kernel_for_a_job() -> None:
    assert Traits.of(replace(GPU, wgsl=False)) == Traits(wgsl=False, tunable=False, few_cores=True)


def test_nobody_steers_by_what_a_device_is_called() -> None:
    asks = re.compile(r"\badapter\.(software|wgsl|runtime)\b|isinstance\([^)]*\bCpuDevice\b")
    found = {
        f"{path.relative_to(PACKAGE)}: {line.strip()}"
        for path in PACKAGE.rglob("*.py")
        if not path.relative_to(PACKAGE).as_posix().startswith(TELLS)
        for line in path.read_text("utf-8").splitlines()
        if asks.search(line)
    }
    assert found == set()


def test_any_buffer_as_bytes() -> None:
    values = np.arange(6, dtype="<f4").reshape(2, 3)
    expected = values.tobytes()
    for data in (values, np.asfortranarray(values), memoryview(values), expected, bytearray(expected)):
        assert flat(data).tobytes() == expected and flat(data).dtype == np.uint8
    assert flat(values[:, ::2]).tobytes() == values[:, ::2].tobytes()
    assert np.shares_memory(flat(values), values)
    assert flat(b"").size == flat(np.empty(0, np.float32)).size == 0
