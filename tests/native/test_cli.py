"""The command `sotto` as a user calls it: a process of its own, a real GPU adapter, errors included."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import tiny
import vulkan
from sotto.bench.report import Report
from sotto.cli import COMMANDS, UNREAD
from sotto.native.disk import NOTES
from sotto.plan import wgsl
from sotto.reports import Settings
from sotto.text.sampler import PICKS

ROOT = Path(__file__).resolve().parents[2]
# One format for all matrices: the fewer kernels there are, the sooner they are compiled.
TYPES = dict.fromkeys(tiny.DEFAULT_TYPES, "Q4_0")
SIZES = tiny.Tiny(layers=2, types=TYPES)

Run = subprocess.CompletedProcess[str]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model files, and the cache of everything run here."""
    vulkan.choose_driver()
    folder = tmp_path_factory.mktemp("cli")
    (folder / "base.gguf").write_bytes(tiny.build(SIZES))
    (folder / "chat.gguf").write_bytes(tiny.build(tiny.Tiny(layers=2, types=TYPES, chat=True)))
    (folder / "text.gguf").write_text("This is no model.")
    odd = tiny.Tiny(layers=2, types={"blk.1.ffn_down": "NVFP4"}, metadata={"split.no": 0, "split.count": 1})
    (folder / "odd.gguf").write_bytes(tiny.build(odd))
    (folder / "half.gguf").write_bytes(tiny.build(SIZES)[:200_000])
    return folder


@pytest.fixture
def environment(folder: Path) -> dict[str, str]:
    paths = os.pathsep.join([str(ROOT / "py"), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PYTHONPATH": paths, "SOTTO_CACHE": str(folder / "cache"), "NO_COLOR": "1"}


@pytest.fixture
def sotto(folder: Path, environment: dict[str, str]) -> Callable[..., Run]:
    """Runs the command in the models' folder; a crash's traceback never passes for a message."""

    def run(*arguments: str, given: str | None = None, code: int = 0, **variables: str) -> Run:
        done = subprocess.run(
            [sys.executable, "-m", "sotto", *arguments],
            cwd=folder, env=environment | variables, input=given, capture_output=True, text=True,
            timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        return done

    return run


MODEL = ("--model", "base.gguf", "--context", "64")
SIMPLE = ("--variant", "decode:simple,matmul:simple,attention:simple")


# --- Answers ----------------------------------------------------------------------------------------------


def test_help_and_version(sotto: Callable[..., Run]) -> None:
    text = sotto("--help").stdout
    assert all(re.search(rf"^  {name} ", text, re.MULTILINE) for name in COMMANDS)
    for name in COMMANDS:
        assert sotto(name, "--help").stdout.startswith(f"Usage: sotto {name}")
    assert re.fullmatch(r"sotto, version \d+\.\d+\.\d+\n", sotto("--version").stdout)


def test_generate(sotto: Callable[..., Run], folder: Path) -> None:
    options = (*MODEL, "-n", "8", "--temp", "0")
    plain = sotto("generate", *options, "the", "quiet", "garden", "--verbose")
    assert plain.stdout.strip()
    assert "8 new" in plain.stderr and "tokens/s" in plain.stderr
    kept = {path.name for path in (folder / "cache" / "weights").iterdir()}
    assert len(kept - {NOTES}) == 1
    facts = json.loads(sotto("generate", *options, "--json", "-", given="the quiet garden").stdout)
    assert facts["text"] + "\n" == plain.stdout
    assert (facts["new_tokens"], facts["stop_reason"]) == (8, "length")
    assert facts["decode_rate"] > 0
    schema = {"type": "object", "properties": {"the": {"type": "integer"}}, "required": ["the"]}
    (folder / "schema.json").write_text(json.dumps(schema))
    held = json.loads(sotto("generate", *options, "-n", "24", "--json-schema", "schema.json", "the").stdout)
    assert list(held) == ["the"] and isinstance(held["the"], int)
    sampled = ("generate", *MODEL, "-n", "8", "--temp", "2", "--top-k", "100", "--seed", "5", "the quiet")
    assert sotto(*sampled).stdout == sotto(*sampled, "--no-cache").stdout != plain.stdout


def test_score(sotto: Callable[..., Run], folder: Path) -> None:
    (folder / "short.txt").write_text("the quiet garden writes", "utf-8")
    facts = json.loads(sotto("score", *MODEL, "short.txt", "--json").stdout)
    logprobs = np.array(facts["logprobs"])
    assert facts["mean_nll"] == pytest.approx(-logprobs.mean(), rel=1e-6)
    assert facts["perplexity"] == pytest.approx(np.exp(facts["mean_nll"]))
    assert facts["windows"] == 1 and facts["tokens"] == len(logprobs) + 1
    (folder / "ids.json").write_text(json.dumps([2, *range(290, 390)]))
    facts = json.loads(sotto("score", *MODEL, "--ids", "ids.json", "--json").stdout)
    assert len(facts["logprobs"]) == 100 and facts["windows"] == 3
    told = sotto("score", *MODEL, "-", given="the quiet garden writes " * 20).stdout
    assert "windows of 64 (the text is longer)" in told and "perplexity" in told


def test_chat(sotto: Callable[..., Run]) -> None:
    options = ("-m", "chat.gguf", "-c", "64", "-n", "5", "--temp", "0")
    one = sotto("chat", *options, given="the press\n").stdout
    two = sotto("chat", *options, given="the press\n\nand the garden\n" + "the " * 80 + "\n")
    assert two.stdout.startswith(one) and len(two.stdout) > len(one)
    assert "too long" in two.stderr, "a message that does not fit is told, and the conversation goes on"
    told = sotto("chat", *MODEL, given="the press\n", code=1).stderr
    assert "base model" in told and "gemma-3-1b-it" in told and " on " not in told.splitlines()[0], (
        "before it loads"
    )


def test_bench(sotto: Callable[..., Run], folder: Path) -> None:
    options = (*MODEL, *SIMPLE, "--device", "gpu", "--prefill", "8,100", "--decode", "5", "--runs", "2")
    report = Report.from_json(sotto("bench", *options, "--profile", "--json").stdout)
    short, long = report.prefill
    assert short.tokens == 8 and short.rate and short.rate.runs == 2 and not short.notes
    assert short.rate.min <= short.rate.median <= short.rate.max
    assert [point.warm for point in short.points] == [False, True, True]
    assert short.points[0].at < short.points[1].at < short.points[2].at < report.seconds
    assert short.time_to_first_token and short.time_to_first_token.median >= 8 / short.rate.max > 0
    assert long.rate is None and long.notes[0].kind == "out.context"
    decode = report.decode
    assert decode and decode.tokens == 5 and decode.rate and decode.rate.runs == 2
    assert decode.cold_rate == decode.points[0].value
    assert decode.mode == "batches", "no token is guessed"
    assert decode.share_of_limit and short.share_of_limit
    assert report.load.cold and report.load.cached and report.load.cold.stages["pipelines"] > 0
    assert report.read_back_bytes_per_token == Settings().candidates * 8 + 4 * PICKS
    assert report.memory_bytes == sum(report.memory_bytes_by_kind.values())
    plans = json.loads(sotto("inspect", "base.gguf", "-c", "64", *SIMPLE, "--json").stdout)
    assert report.dispatches_per_token == plans["plans"]["decode"]["dispatches"]
    assert report.memory_bytes == plans["gpu_bytes"]
    assert report.probes and report.probes.read.rate > 1e6 and (report.probes.f32 or 0) > 1e6
    assert 0 < report.probes.empty_dispatch < 0.1
    assert report.encode_seconds_per_token
    assert report.kernels
    assert sum(row.dispatches for row in report.kernels["decode"]) == report.dispatches_per_token
    assert report.adapter.name and report.adapter.driver and "Dawn" in report.machine.engine
    assert report.agreement and report.agreement.tokens > 20 and report.agreement.share > 0.95
    assert report.complete and report.threads == 0
    assert not list((folder / "cache").glob("bench-*")), "the measured cache is removed"


def test_bench_on_the_cpu(sotto: Callable[..., Run]) -> None:
    options = (*MODEL, "--prefill", "8", "--decode", "4", "--after", "6", "--runs", "1", "--warmup", "2")
    report = Report.from_json(sotto("bench", *options, "--device", "cpu", "--threads", "1", "--json").stdout)
    assert (report.adapter.name, report.threads) == ("CPU", 1)
    assert report.probes and report.probes.int8 and report.probes.f32 is None
    assert report.prefill[0].share_of_limit and report.decode and report.decode.share_of_limit
    assert report.decode.after == 6 and [point.warm for point in report.decode.points] == [False, False, True]
    table = sotto("bench", *options, "--device", "cpu", "--no-probes", "--csv").stdout.splitlines()
    assert table[0].startswith("figure,tokens") and any(line.startswith("decode,4,run 3,") for line in table)
    told = sotto("bench", *MODEL, "--preset", "quick", "--runs", "1", "--device", "cpu").stdout
    assert re.search(r"^prefill 32 ", told, re.MULTILINE) and "prefill 512" not in told
    assert re.search(r"^decode 32 ", told, re.MULTILINE)


def test_bench_shortens_itself(sotto: Callable[..., Run]) -> None:
    options = ("--device", "gpu", "--no-probes", "--no-cache", "--prefill", "8,32", "--budget", "1")
    told = sotto("bench", *MODEL, *options).stdout
    assert "time budget of 1 s" in told
    assert re.search(r"^decode \d+ ", told, re.MULTILINE)


def test_inspect_shows_what_cannot_run(sotto: Callable[..., Run]) -> None:
    told = sotto("inspect", "odd.gguf").stdout
    assert "gemma3, base model" in told and re.search(r"^NVFP4 +1 .* not read", told, re.MULTILINE)
    assert re.search(r"^layers +2 *$", told, re.MULTILINE) and "KV cache" not in told
    words = " ".join(told.split())
    assert (
        "cannot run here. odd.gguf: blk.1.ffn_down.weight: Sotto cannot read tensors of type NVFP4" in words
    )
    facts = json.loads(sotto("inspect", "odd.gguf", "--json").stdout)
    assert "NVFP4" in facts["problems"][0] and facts["config"]["layers"] == 2 and "plans" not in facts
    assert "NVFP4" in sotto("inspect", "odd.gguf", "--plan", "decode", code=1).stderr


def test_inspect_needs_no_gpu(sotto: Callable[..., Run]) -> None:
    nowhere = {"VK_ICD_FILENAMES": "/nonexistent"}
    facts = json.loads(sotto("inspect", "--shape", "1b", "--json", **nowhere).stdout)
    assert facts["config"]["dim"] == 1152 and facts["parameters"] > 999e6
    assert facts["gpu_bytes_by_kind"].keys() == {"weights", "cache", "constants", "scratch"}
    told = sotto("inspect", "base.gguf", "-c", "64", **nowhere).stdout
    assert "gemma3, base model" in told and "Q4_0" in told and "KV cache" in told
    assert re.search(r"^eps +1e-06 *$", told, re.MULTILINE) and facts["config"]["eps"] == 1e-6
    steps = sotto("inspect", "base.gguf", "-c", "64", *SIMPLE, "--plan", "decode", **nowhere).stdout
    assert re.search(r"layer 1 / attention +attention +1x1x1", steps)
    assert (
        "There is no plan 'prefill 7'" in sotto("inspect", "base.gguf", "--plan", "prefill 7", code=1).stderr
    )


def test_inspect_prints_a_kernel(sotto: Callable[..., Run]) -> None:
    """The very text that a plan compiles, without a model, a GPU or an option left to guess."""
    kernel = wgsl.load("matmul_tiled", "q4", stage="f16")
    printed = sotto("inspect", "--kernel", "matmul_tiled", "--format", "q4", "--option", "stage=f16")
    assert printed.stdout == kernel.source and not printed.stderr
    assert "#include" not in printed.stdout and printed.stdout.startswith("enable f16;")
    assert sotto("inspect", "--kernel", "rms_norm").stdout == wgsl.load("rms_norm").source
    rows = ("element=f32", "input=sum", "low_rank=none", "sweep=rows", "tokens=2")
    options = [word for option in rows for word in ("--option", option)]
    printed = sotto("inspect", "--kernel", "decode_qkv", "--format", "q4", *options)
    assert printed.stdout == wgsl.load("decode_qkv", "q4", **dict(o.split("=") for o in rows)).source


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("matmul_quick",), "There is no kernel 'matmul_quick'. There are: attention, "),
        (("matmul",), "matmul is not told its format. "
         "matmul takes format: bf16, f16, f32, q4, q4m, q4r, q8, q8h, q8r."),
        (("matmul", "--format", "q5"), "'q5' is no format of matmul. matmul takes format: bf16"),
        (("matmul_tiled", "--format", "q4"), "matmul_tiled is not told its stage."),
        (("rms_norm", "--format", "q4"), "rms_norm has no option 'format'. rms_norm takes no options."),
        (("matmul", "--option", "q4"), "--option 'q4' is not KEY=VALUE."),
        (("matmul", "--format", "q4", "--option", "format=q8"), "The option format is given twice."),
        (
            ("decode_down", "--format", "f16", "--option", "element=int8", "--option", "input=copy",
             "--option", "low_rank=none", "--option", "rows=2", "--option", "sweep=lanes_memory",
             "--option", "tokens=1"),
            "do not go together: there is no lib/decode/pieces/int8/f16.wgsl.",
        ),
        (
            ("decode_down", "--format", "q4", "--option", "element=f32", "--option", "input=copy",
             "--option", "low_rank=none", "--option", "rows=2", "--option", "sweep=rows", "--option", "tokens=1"),
            "decode_down has no rows with these options.",
        ),
    ],
)  # fmt: skip
def test_kernels_that_cannot_be_printed(
    sotto: Callable[..., Run], arguments: tuple[str, ...], told: str
) -> None:
    assert told in " ".join(sotto("inspect", "--kernel", *arguments, code=1).stderr.split())


def test_variants_are_pinned(sotto: Callable[..., Run]) -> None:
    run = ("generate", *MODEL, "-n", "4", "--temp", "0", "the")
    pinned = sotto(*run, "--device", "gpu", *SIMPLE)
    assert pinned.stdout == sotto(*run, "--device", "cpu", "--variant", "decode:simple").stdout
    for command in (run, ("bench", *MODEL), ("inspect", "base.gguf")):
        stderr = sotto(*command, "--variant", "matmul:quick", code=1).stderr
        assert "There is no kernel variant 'matmul:quick'" in stderr and "matmul:simple" in stderr


def test_adapters(sotto: Callable[..., Run]) -> None:
    facts = json.loads(sotto("adapters", "--json").stdout)
    name = facts["adapters"][0]["name"]
    assert facts["cpu"]["name"] == "CPU" and facts["cpu"]["threads"] >= 1
    told = sotto("adapters").stdout
    assert name in told and "WebAssembly, relaxed SIMD" in told
    none = sotto("adapters", VK_ICD_FILENAMES="/nonexistent")
    assert "WebAssembly" in none.stdout and none.stderr.startswith("No GPU adapter was found")
    assert len(none.stderr.splitlines()) == 1, "nothing of the driver's own"
    run = ("generate", *MODEL, "-n", "1", "the")
    assert sotto(*run, "--adapter", name[:6].lower()).stdout
    assert sotto(*run, SOTTO_ADAPTER="0").stdout


@pytest.mark.parametrize("lost", [("wasmtime",), ("wgpudawn",), ("wasmtime", "wgpudawn")])
def test_adapters_lists_what_there_is_and_says_what_is_missing(
    sotto: Callable[..., Run], environment: dict[str, str], tmp_path: Path, lost: tuple[str, ...]
) -> None:
    """A package that cannot be imported costs its own processor only."""
    for package in lost:
        (tmp_path / f"{package}.py").write_text(f"raise ImportError('no wheel of {package} here')\n", "utf-8")
    paths = os.pathsep.join([str(tmp_path), environment["PYTHONPATH"]])
    code = int(len(lost) == 2)
    told = sotto("adapters", code=code, PYTHONPATH=paths)
    facts = json.loads(sotto("adapters", "--json", code=code, PYTHONPATH=paths).stdout)
    for package in ("wasmtime", "wgpudawn"):
        assert (f"pip install {package}" in told.stderr) == (package in lost)
    assert ("WebAssembly" in told.stdout) == (facts["cpu"] is not None) == ("wasmtime" not in lost)
    assert ("Dawn" in told.stdout) == bool(facts["adapters"]) == ("wgpudawn" not in lost)


def test_the_cpu(sotto: Callable[..., Run]) -> None:
    """By name, and because there is no GPU or only a software one; the text does not depend on the threads."""
    run = ("generate", *MODEL, "-v", "-n", "6", "--temp", "0", "the quiet garden")
    one = sotto(*run, "--device", "cpu", "--threads", "1")
    assert re.match(r"base\.gguf on .*CPU.*, 1 thread\n", one.stderr), "and nothing of a driver before it"
    for other in (sotto(*run, "--device", "cpu"), sotto(*run, VK_ICD_FILENAMES="/nonexistent")):
        assert other.stdout == one.stdout and "CPU" in other.stderr
    facts = json.loads(sotto("adapters", "--json").stdout)
    if all(adapter["software"] for adapter in facts["adapters"]):
        assert "CPU" in sotto(*run).stderr


# --- Errors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command", [("generate", *MODEL, "--device", "gpu", "the"), ("bench", *MODEL, "--device", "gpu")]
)
def test_no_adapter(sotto: Callable[..., Run], command: tuple[str, ...]) -> None:
    stderr = sotto(*command, code=1, VK_ICD_FILENAMES="/nonexistent").stderr
    assert "sotto: No GPU adapter was found.\nOn Linux, install" in stderr


@pytest.mark.parametrize("variables", [{}, {"SOTTO_ADAPTER": "Voodoo 2"}])
def test_unknown_adapter(sotto: Callable[..., Run], variables: dict[str, str]) -> None:
    option = () if variables else ("--adapter", "Voodoo 2")
    stderr = sotto("generate", *MODEL, *option, "the", code=1, **variables).stderr
    assert "No adapter matches 'Voodoo 2'" in stderr and "There are: 0 " in stderr


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("missing.gguf", "missing.gguf does not exist"),
        ("text.gguf", "is not a GGUF file"),
        ("half.gguf", "half.gguf"),
        (".", "half.gguf is truncated"),  # of several files, the one that cannot be read
    ],
)
def test_files_that_are_no_model(sotto: Callable[..., Run], model: str, told: str) -> None:
    for command in (("generate", "the", "-m"), ("inspect",)):
        stderr = sotto(*command, model, code=1).stderr
        assert "sotto: " in stderr and told in stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("generat",), "No such command 'generat'"),
        (("generate", "--tempo", "1", "the"), "No such option"),
        (
            ("generate", *MODEL, "--temp", "-1", "the"),
            "temperature is -1.0. It must be a number from 0 to 10.",
        ),
        (("generate", "-n", "many", "the"), "'many' is not a valid integer"),
        (("score", "words.json", "--ids", "words.json"), "Give either a text file or --ids FILE"),
        (("score", "-"), "Standard input is empty"),
        (("score",), "Standard input is empty"),
        (("score", "--ids", "-"), "Standard input is empty"),
        (("generate", *MODEL), "Standard input is empty"),
        (("generate", *MODEL, "--stop", "", "the"), "a text of at least one character is wanted"),
        (("chat",), "such as gemma-3-270m-it"),
        (("generate", *MODEL, "--json-schema", "words.json", "the"), "It must be a JSON schema: an object"),
        (("generate", *MODEL, "--json-schema", "text.gguf", "the"), "text.gguf is not JSON"),
        (("bench", "--json", "--csv"), "Give either --json or --csv"),
        (("bench", *MODEL, "--shape", "tiny"), "Give either --model or --shape"),
        (("inspect", "base.gguf", "--kernel", "rms_norm"), "--kernel prints a kernel alone"),
        (("score", "missing.txt"), "missing.txt cannot be read: No such file"),
        (("score", "--ids", "text.gguf"), "text.gguf is not JSON"),
        (("score", "--ids", "words.json"), "must hold a JSON array of token ids"),
        (("bench", "--prefill", "8,x"), "not a list of lengths"),
        (("bench", "--shape", "7b"), "'7b' is not one of"),
        (("inspect", "base.gguf", "--shape", "1b"), "Give one model"),
        (("inspect", "base.gguf", "--format", "q4"), "--format and --option are for --kernel"),
    ],
)
def test_wrong_usage(sotto: Callable[..., Run], folder: Path, arguments: tuple[str, ...], told: str) -> None:
    (folder / "words.json").write_text('["the", "garden"]')
    assert told in " ".join(sotto(*arguments, given="", code=2).stderr.split())


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("the " * 80,), "too long"),
        (("--context", "9000", "the"), "A context of 9,000 tokens is not possible"),
    ],
)
def test_settings_that_cannot_be(sotto: Callable[..., Run], arguments: tuple[str, ...], told: str) -> None:
    stderr = sotto("generate", *MODEL, *arguments, code=1).stderr
    assert told in " ".join(stderr.split())


def test_ids_outside_the_vocabulary(sotto: Callable[..., Run], folder: Path) -> None:
    (folder / "large.json").write_text("[2, 99999]")
    assert "a token is 99999." in sotto("score", *MODEL, "--ids", "large.json", code=1).stderr


# --- Interruptions ----------------------------------------------------------------------------------------


def start(folder: Path, environment: dict[str, str]) -> subprocess.Popen[bytes]:
    """A generation that goes on for long, after its first output."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sotto", "generate", "-m", "base.gguf", "-c", "4000", "-n", "3900", "the"],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.read(1)
    return process


@pytest.fixture
def interruptible() -> Iterator[None]:
    """What a shell starts in the background ignores Ctrl-C, and what that starts does too."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_control_c(folder: Path, environment: dict[str, str]) -> None:
    process = start(folder, environment)
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Traceback" not in stderr


@pytest.mark.usefixtures("interruptible")
def test_control_c_in_a_finaliser(environment: dict[str, str]) -> None:
    """Python ignores what is raised there: it must come again."""
    script = """
import sys, time
from sotto import cli

class Last:
    def __del__(self):
        raise KeyboardInterrupt

def command(**_):
    last = Last()
    del last
    end = time.monotonic() + 20
    while time.monotonic() < end:
        pass

cli.sotto.main = command
try:
    cli.main()
except KeyboardInterrupt:
    sys.exit(cli.INTERRUPTED)
"""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 130
    assert b"Traceback" not in done.stderr


def test_broken_pipe(folder: Path, environment: dict[str, str]) -> None:
    process = start(folder, environment)
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    stderr = process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == UNREAD
    assert b"Traceback" not in stderr and b"Exception" not in stderr


@pytest.mark.parametrize(
    "command",
    [("inspect", "--kernel", "rms_norm"), ("inspect", "base.gguf"), ("inspect", "base.gguf", "--json")],
)
def test_nobody_reads_the_output(folder: Path, environment: dict[str, str], command: tuple[str, ...]) -> None:
    """Also where all of it is written at the very end, and where a library writes it."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "sotto", *command], cwd=folder, env=environment, stdout=writing, stderr=subprocess.PIPE,
        timeout=60, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (UNREAD, b"")


@pytest.mark.parametrize("command", ["generate -m base.gguf", "score -m base.gguf", "chat -m chat.gguf"])
def test_a_closed_input_is_told(folder: Path, environment: dict[str, str], command: str) -> None:
    line = f"{sys.executable} -m sotto {command} <&-"
    done = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2, done.stderr
    assert "tandard input" in done.stderr and "Traceback" not in done.stderr
