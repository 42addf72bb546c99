"""bridge.js on the WebGPU of a real Chromium: what it computes, and how it fails."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from chromium import launch
from numpy.typing import NDArray
from pages import PageError, in_page, open_blank
from playwright.sync_api import Page, Playwright, Route

from sotto.device import Inputs, OutputRange, Pipeline, Program, Shader, Step, Work
from sotto.devices.pace import Pace, amounts

N = 1000  # elements: not a multiple of the workgroup size
WORKGROUPS = (16, 1, 1)
HUGE = Work(1e150)  # of a step: it is given to the device by itself, however quick that was before

SCALE = Shader(
    "scale",
    """
    override factor: f32;
    struct Inputs { count: u32, offset: f32 }
    @group(0) @binding(0) var<uniform> inputs: Inputs;
    @group(0) @binding(1) var<storage, read> x: array<f32>;
    @group(0) @binding(2) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        if (id.x < inputs.count) { y[id.x] = factor * x[id.x] + inputs.offset; }
    }
    """,
)
ACCUMULATE = Shader(
    "accumulate",
    """
    @group(0) @binding(0) var<storage, read> y: array<f32>;
    @group(0) @binding(1) var<storage, read_write> sum: array<f32>;
    @compute @workgroup_size(64) fn main(@builtin(global_invocation_id) id: vec3u) {
        if (id.x < arrayLength(&sum)) { sum[id.x] += y[id.x]; }
    }
    """,
)


STEP = Shader(
    "step",
    """
    @group(0) @binding(0) var<storage, read_write> inputs: array<f32>;
    @compute @workgroup_size(1) fn main() { inputs[1] += 1.0; }
    """,
)


class Gpu:
    """The bridge's device in a page, called as Python calls it."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.call("import('/bridge.js').then((module) => { globalThis.bridge = module; })")
        self.call("bridge.open().then((opened) => { globalThis.gpu = opened; })")

    def call(self, expression: str, **values: object) -> Any:
        return in_page(self.page, expression, **values)

    def buffer(self, nbytes: int, label: str) -> int:
        return int(self.call("gpu.createBuffer(v.nbytes, v.label)", nbytes=nbytes, label=label))

    def write(self, buffer: int, offset: int, data: NDArray[Any]) -> None:
        self.call("gpu.write(v.buffer, v.offset, Uint8Array.from(v.data))", buffer=buffer, offset=offset,
                  data=list(data.tobytes()))  # fmt: skip

    def read(self, buffer: int, offset: int, nbytes: int) -> bytes:
        return bytes(self.call("Array.from(await gpu.read(...v.range))", range=[buffer, offset, nbytes]))

    def load(self, program: Program) -> int:
        return int(self.call("gpu.load(v.json)", json=as_json(program)))

    def run(self, program: int, inputs: bytes, steps: int = -1) -> NDArray[np.float32]:
        replay = "Array.from(await gpu.run(v.program, Uint8Array.from(v.inputs), v.steps))"
        result = self.call(replay, program=program, inputs=list(inputs), steps=steps)
        return np.frombuffer(bytes(result), np.float32)


@pytest.fixture
def gpu(page: Page, site: str) -> Gpu:
    open_blank(page, site)
    return Gpu(page)


def inputs(offset: float) -> bytes:
    return np.uint32(N).tobytes() + np.float32(offset).tobytes()


class Example:
    """y = factor * x + offset, then sum += y, as often as wanted."""

    def __init__(self, gpu: Gpu) -> None:
        self.x = np.random.default_rng(5).standard_normal(N).astype(np.float32)
        self.x_buffer = gpu.buffer(4 * N, "x")
        self.y = gpu.buffer(4 * N, "y")
        self.sum = gpu.buffer(4 * N, "sum")
        self.step = gpu.buffer(8, "inputs")
        gpu.write(self.x_buffer, 0, self.x)

    def program(self, factors: Sequence[float], work: Work | None = None) -> Program:
        """One pair of steps for each factor; a third pipeline accumulates. Each step is thought to be so much work."""
        used = sorted(set(factors))
        scale = [(0, self.step, 0, 8, "uniform"), (1, self.x_buffer, 0, 4 * N, "read")]
        scale.append((2, self.y, 0, 4 * N, "storage"))
        add = [(0, self.y, 0, 4 * N, "read"), (1, self.sum, 0, 4 * N, "storage")]
        steps = []
        for factor in factors:
            steps.append(Step(f"scale by {factor}", used.index(factor) + 1, tuple(scale), WORKGROUPS))
            steps.append(Step("accumulate", 0, tuple(add), WORKGROUPS))
        return Program(
            name="example",
            shaders=(SCALE, ACCUMULATE),
            pipelines=(Pipeline(1, {}), *(Pipeline(0, {"factor": factor}) for factor in used)),
            steps=tuple(steps),
            inputs=Inputs(self.step, 8),
            outputs=OutputRange(self.sum, 0, 4 * N),
            work=(work,) * len(steps) if work else (),
        )


def as_json(program: Program) -> str:
    """As bridge.js reads it."""
    return json.dumps(asdict(program))


def close(actual: NDArray[np.float32], expected: NDArray[np.float32]) -> None:
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def test_the_device_tells_who_it_is_and_what_it_can(gpu: Gpu) -> None:
    info = gpu.call("gpu.info")
    assert info["architecture"] == "swiftshader"
    assert info["fallback"]
    assert set(info["features"]) <= {"timestamp-query", "shader-f16", "subgroups"}
    # The adapter's own limits, not WebGPU's defaults of 256 MiB and 128 MiB.
    assert info["limits"]["maxBufferSize"] > 256 << 20
    assert info["limits"]["maxStorageBufferBindingSize"] > 128 << 20


OFFERED = """{
    globalThis.request ??= navigator.gpu.requestAdapter.bind(navigator.gpu);
    const real = await request();
    const asked = [];
    const configs = [
        { componentType: "f16", resultComponentType: "f32", M: 16, N: 16, K: 16 },
        { componentType: "i8", resultComponentType: "i32", M: 16, N: 8, K: 32 },
    ];
    const features = new Set(v.features);
    const info = { vendor: "a vendor", subgroupMatrixConfigs: v.configs ? configs : undefined };
    const adapter = {
        features, info, limits: real.limits,
        requestDevice: async ({ requiredFeatures }) => {
            asked.push(...requiredFeatures);
            const device = await real.requestDevice();
            Object.defineProperty(device, "features", { value: new Set(requiredFeatures) });
            return device;
        },
    };
    navigator.gpu.requestAdapter = async () => adapter;
    const opened = await bridge.open();
    return { asked, told: opened.info.features };
}"""


def test_subgroup_matrices_are_asked_for_where_the_adapter_has_them(gpu: Gpu) -> None:
    matrices = "chromium-experimental-subgroup-matrix"
    plain = gpu.call(OFFERED, features=["subgroups", "clip-distances"], configs=True)
    assert plain == {"asked": ["subgroups"], "told": ["subgroups"]}
    there = gpu.call(OFFERED, features=["subgroups", matrices], configs=True)
    assert there["asked"] == ["subgroups", matrices]
    shapes = ["subgroup-matrix f16 f32 16x16x16", "subgroup-matrix i8 i32 16x8x32"]
    assert there["told"] == ["subgroups", matrices, *shapes]
    unsaid = gpu.call(OFFERED, features=["subgroups", matrices], configs=False)
    assert unsaid["told"] == ["subgroups", matrices], "a browser that does not tell the shapes"


def test_a_program_replays_with_new_inputs(gpu: Gpu) -> None:
    example = Example(gpu)
    program = gpu.load(example.program([2.0]))
    close(gpu.run(program, inputs(0)), 2 * example.x)
    close(gpu.run(program, inputs(10)), 4 * example.x + 10)  # the sum goes on: buffers keep their content


def test_constants_make_different_pipelines_of_one_shader(gpu: Gpu) -> None:
    example = Example(gpu)
    close(gpu.run(gpu.load(example.program([2.0, -0.5, 3.0])), inputs(1)), 4.5 * example.x + 3)


def test_programs_share_pipelines(gpu: Gpu) -> None:
    example = Example(gpu)
    first = gpu.load(example.program([2.0, 3.0]))
    compiled = gpu.call("gpu.pipelines.size")
    assert compiled == 3
    second = gpu.load(example.program([3.0, 2.0, 2.0]))
    assert gpu.call("gpu.pipelines.size") == compiled
    gpu.call("gpu.unload(v.first)", first=first)
    close(gpu.run(second, inputs(0)), 7 * example.x)
    with pytest.raises(PageError, match=f"no program {first}"):
        gpu.run(first, inputs(0))


COUNTED = """{
    const submit = gpu.queue.submit.bind(gpu.queue);
    let count = 0;
    gpu.queue.submit = (commands) => { count += 1; submit(commands); };
    await gpu.run(v.program, Uint8Array.from(v.inputs));
    gpu.queue.submit = submit;
    return count;
}"""


@pytest.mark.parametrize(("work", "submits"), [(Work(4e7), [2, 6]), (HUGE, [6]), (None, [1])])
def test_submits_change_nothing(gpu: Gpu, work: Work | None, submits: list[int]) -> None:
    """One after every second step (less often where the device is soon seen to be quick), after each, and none."""
    example = Example(gpu)
    program = gpu.load(example.program([1.0, 2.0, 3.0], work))
    gpu.call("gpu.pace.rates = [1e9, 1e9]")
    assert submits[0] <= gpu.call(COUNTED, program=program, inputs=list(inputs(0))) <= submits[-1]
    gpu.write(example.sum, 0, np.zeros(N, np.float32))
    gpu.call("gpu.pace.rates = [1e9, 1e9]")
    close(gpu.run(program, inputs(0)), 6 * example.x)


@pytest.mark.parametrize("work", [None, HUGE])
@pytest.mark.parametrize(("steps", "factor"), [(0, 0), (1, 0), (2, 1), (4, 3), (99, 6)])
def test_only_the_first_steps(gpu: Gpu, steps: int, factor: float, work: Work | None) -> None:
    example = Example(gpu)
    program = gpu.load(example.program([1.0, 2.0, 3.0], work))
    close(gpu.run(program, inputs(0), steps), factor * example.x)


def test_outputs_may_be_empty(gpu: Gpu) -> None:
    example = Example(gpu)
    program = replace(example.program([2.0]), outputs=OutputRange(example.sum, 0, 0))
    assert gpu.run(gpu.load(program), inputs(0)).size == 0
    close(np.frombuffer(gpu.read(example.sum, 0, 4 * N), np.float32), 2 * example.x)


def test_a_run_is_cut_by_its_position(gpu: Gpu) -> None:
    """Six steps of attention for 4 tokens at position 1000, on a device of which nothing is known."""
    example = Example(gpu)
    data = np.array([N, 4], np.uint32).tobytes()
    for window, least, most in ((10, 1, 1), (2000, 3, 6)):
        work = Work(0.0, key=2e4, window=window)  # 0.0008 and 0.08 s
        program = gpu.load(example.program([1.0, 2.0, 3.0], work))
        gpu.call("gpu.pace.rates = [1e9, 1e9]")
        assert least <= gpu.call(COUNTED, program=program, inputs=list(data)) <= most


PACED = """{
    const { amounts, Pace } = await import("/pace.js");
    const pace = new Pace();
    const found = [];
    for (const [position, tokens, takes] of v.runs) {
        const steps = amounts(v.steps, position, tokens);
        for (let first = 0, submit = 0; first < steps.length; submit += 1) {
            const end = pace.end(steps, first, steps.length);
            pace.learn(steps.slice(first, end), takes[submit]);
            found.push(end, ...pace.rates);
            first = end;
        }
    }
    return found;
}"""


def test_javascript_makes_the_submits_that_python_makes(page: Page, site: str) -> None:
    """Layers of products and attention, every sixth of which is global, on a device of uneven speed."""
    steps = []
    for layer in range(26):
        steps += [Work(1e6, token=3e6), Work(1e6, key=4096, window=32_768 if layer % 6 == 5 else 512)]
        steps += [Work(1e6, token=3e7), Work(6e8)]
    random = np.random.default_rng(7)
    runs = [(int(position), int(tokens), (10 ** random.uniform(-5, 0, len(steps))).tolist())
            for position, tokens in zip(random.integers(0, 32_000, 20), random.integers(1, 512, 20), strict=True)
            ]  # fmt: skip
    pace, expected = Pace(), []
    for position, tokens, takes in runs:
        todo = amounts(steps, position, tokens)
        first = submit = 0
        while first < len(todo):
            end = pace.end(todo, first, len(todo))
            pace.learn(todo[first:end], takes[submit])
            expected += [end, *pace.rates]
            first, submit = end, submit + 1
    open_blank(page, site)
    found = in_page(page, PACED, steps=[asdict(step) for step in steps], runs=runs)
    assert found == pytest.approx(expected, rel=1e-9)


def test_cancel_stops_between_submits(gpu: Gpu) -> None:
    example = Example(gpu)
    gpu.write(example.x_buffer, 0, np.ones(N, np.float32))
    pairs = 60
    program = gpu.load(example.program([1.0] * pairs, HUGE))
    with pytest.raises(PageError, match="Cancelled"):
        replay = "[gpu.run(v.program, Uint8Array.from(v.inputs)), gpu.cancel()][0]"
        gpu.call(replay, program=program, inputs=list(inputs(0)))
    done = np.frombuffer(gpu.read(example.sum, 0, 4 * N), np.float32)
    assert 1 <= done[0] < pairs
    assert np.all(done == done[0])
    # What was cancelled is over: the next run is whole.
    close(gpu.run(program, inputs(0)), done + pairs)


def test_a_cancelled_run_does_not_go_on_beside_the_next(gpu: Gpu) -> None:
    example = Example(gpu)
    gpu.write(example.x_buffer, 0, np.ones(N, np.float32))
    pairs = 60
    program = gpu.load(example.program([1.0] * pairs, HUGE))
    replay = """(async () => {
        const lost = gpu.run(v.program, Uint8Array.from(v.inputs));
        gpu.cancel();
        const next = gpu.run(v.program, Uint8Array.from(v.inputs));
        return (await Promise.allSettled([lost, next])).map(({ status, reason }) => reason?.name ?? status);
    })()"""
    assert gpu.call(replay, program=program, inputs=list(inputs(0))) == ["Cancelled", "fulfilled"]
    done = np.frombuffer(gpu.read(example.sum, 0, 4 * N), np.float32)
    assert pairs < done[0] < 2 * pairs, "the next one is whole, what was cancelled ended after some pairs"
    assert np.all(done == done[0])


def test_cancel_of_nothing_is_forgotten(gpu: Gpu) -> None:
    example = Example(gpu)
    program = gpu.load(example.program([1.0, 1.0, 1.0], HUGE))
    gpu.call("gpu.cancel()")
    close(gpu.run(program, inputs(0)), 3 * example.x)


def stepping(example: Example, factor: float) -> Program:
    """One pair of steps, and a third that adds 1 to the offset in the inputs, which the first reads as uniform."""
    program = example.program([factor])
    step = Step("step", 2, ((0, example.step, 0, 8, "read_write"),), (1, 1, 1))
    return replace(
        program,
        shaders=(*program.shaders, STEP),
        pipelines=(*program.pipelines, Pipeline(2, {})),
        steps=(*program.steps, step),
    )


SUBMITS = """Promise.all(v.repeats.map((repeats, index) =>
    gpu.submit(v.program, index ? undefined : Uint8Array.from(v.inputs), repeats)))
    .then((all) => all.map((told) => Array.from(told)))"""


def test_repeats_go_on_from_what_is_in_the_buffers(gpu: Gpu) -> None:
    """Two batches in flight: the second is submitted before the first is there, and continues it."""
    example = Example(gpu)
    program = gpu.load(stepping(example, 2.0))
    before = gpu.call("performance.now()") / 1000
    told = gpu.call(SUBMITS, program=program, inputs=list(inputs(10)), repeats=[3, 2])
    after = gpu.call("performance.now()") / 1000
    first, second = (bytes(each) for each in told)
    assert len(first) == 4 * N + 16
    close(np.frombuffer(first[:-16], np.float32), 6 * example.x + (10 + 11 + 12))
    close(np.frombuffer(second[:-16], np.float32), 10 * example.x + (10 + 11 + 12 + 13 + 14))
    times = [np.frombuffer(each[-16:], np.float64) for each in (first, second)]
    assert before <= times[0][0] <= times[1][0] <= after
    assert all(0 < seconds < after - before for _, seconds in times)


def test_a_batch_that_nobody_awaits_may_fail(gpu: Gpu) -> None:
    """Its error is not an unhandled rejection (the page fixture would tell), and an awaited one names it."""
    example = Example(gpu)
    program = gpu.load(stepping(example, 2.0))
    values = {"program": program, "inputs": list(inputs(0))}
    gpu.call("gpu.free(v.buffer)", buffer=example.y)  # still bound by the program
    gpu.call("void gpu.submit(v.program, Uint8Array.from(v.inputs), 2)", **values)
    with pytest.raises(PageError, match=r"Invalid: .*destroyed"):
        gpu.call("gpu.submit(v.program, Uint8Array.from(v.inputs), 2)", **values)
    with pytest.raises(PageError, match="no program 99"):
        gpu.call("gpu.submit(99, Uint8Array.from(v.inputs), 2)", **values)


TIME = "Array.from(await gpu.profile(v.program, Uint8Array.from(v.inputs), JSON.stringify(v.passes)))"


def test_profile_times_every_pass_and_computes_the_same(gpu: Gpu) -> None:
    example = Example(gpu)
    program = gpu.load(example.program([1.0, 2.0]))
    seconds = gpu.call(TIME, program=program, inputs=list(inputs(0)), passes=[[0], [1, 2], [3]])
    assert len(seconds) == 3
    assert all(0 <= each < 60 for each in seconds)
    close(np.frombuffer(gpu.read(example.sum, 0, 4 * N), np.float32), 3 * example.x)


def test_profile_of_more_passes_than_a_query_set_holds(gpu: Gpu) -> None:
    example = Example(gpu)
    pairs = 1500
    program = gpu.load(example.program([1.0] * pairs))
    passes = [[step] for step in range(2 * pairs)]
    seconds = gpu.call(TIME, program=program, inputs=list(inputs(0)), passes=passes)
    assert len(seconds) == 2 * pairs
    np.testing.assert_allclose(
        np.frombuffer(gpu.read(example.sum, 0, 4 * N), np.float32), pairs * example.x, rtol=1e-3, atol=1e-3
    )


def test_read_and_write_parts(gpu: Gpu) -> None:
    buffer = gpu.buffer(100, "bytes")
    assert gpu.read(buffer, 0, 100) == bytes(100)
    data = np.arange(40, dtype=np.uint8)
    gpu.write(buffer, 8, data)
    assert gpu.read(buffer, 8, 40) == data.tobytes()
    assert gpu.read(buffer, 4, 7) == b"\0\0\0\0\0\1\2"
    gpu.call("gpu.free(v.buffer)", buffer=buffer)
    with pytest.raises(PageError, match=f"Invalid: there is no buffer {buffer}"):
        gpu.read(buffer, 0, 4)


@pytest.mark.parametrize(("offset", "nbytes"), [(2, 4), (0, 6), (96, 8)])
def test_a_write_that_does_not_fit_is_refused(gpu: Gpu, offset: int, nbytes: int) -> None:
    buffer = gpu.buffer(100, "bytes")
    with pytest.raises(PageError, match=rf"Invalid: cannot write {nbytes} bytes at {offset} of bytes \(100"):
        gpu.write(buffer, offset, np.ones(nbytes, np.uint8))
    assert gpu.read(buffer, 0, 100) == bytes(100)


def test_more_than_the_limits_is_named(gpu: Gpu) -> None:
    limits = gpu.call("gpu.info.limits")
    with pytest.raises(PageError, match=r"Limit: buffer huge needs \d+ bytes, at most \d+ fit"):
        gpu.buffer(limits["maxBufferSize"] + 4, "huge")


def test_a_compile_error_names_shader_line_and_text(gpu: Gpu) -> None:
    program = Example(gpu).program([1.0])
    wrong = Shader("wrong", ACCUMULATE.code.replace("+= y[id.x]", "+= nothing[id.x]"))
    with pytest.raises(PageError) as caught:
        gpu.load(replace(program, shaders=(SCALE, wrong)))
    assert caught.value.name == "Compile"
    assert caught.value.message.startswith("wrong: line 5:")
    assert "unresolved value 'nothing'" in caught.value.message
    assert "sum[id.x] += nothing[id.x]" in caught.value.message
    gpu.load(program)  # and nothing is left behind


@pytest.mark.parametrize("wait", [0, 500])
def test_what_is_compiled_ahead_is_used_and_fails_as_it_would_later(gpu: Gpu, wait: int) -> None:
    example = Example(gpu)
    program = example.program([1.0])
    wrong = Shader("wrong", ACCUMULATE.code.replace("+= y[id.x]", "+= nothing[id.x]"))
    broken = replace(program, shaders=(SCALE, wrong))
    for each in (program, broken):
        gpu.call("gpu.prepare(v.json)", json=as_json(each))
    gpu.call("new Promise((resolve) => setTimeout(resolve, v.wait))", wait=wait)
    if wait:
        assert gpu.call("gpu.pipelines.size") == 2  # the broken one is forgotten
    gpu.call("gpu.device.createComputePipelineAsync = () => { throw new Error('compiled again'); }")
    assert gpu.load(program)
    gpu.call("delete gpu.device.createComputePipelineAsync")
    with pytest.raises(PageError, match="Compile: wrong: line 5:"):
        gpu.load(broken)


def test_what_is_compiled_is_told_without_waiting_for_the_rest(gpu: Gpu) -> None:
    program = Example(gpu).program([1.0])
    gpu.call(
        """(() => {
            const compile = gpu.device.createComputePipelineAsync.bind(gpu.device);
            const held = new Promise((resolve) => { globalThis.release = resolve; });
            gpu.device.createComputePipelineAsync = async (wanted) => { await held; return compile(wanted); };
        })()"""
    )
    ready = "gpu.ready(v.json, v.milliseconds)"
    assert gpu.call(ready, json=as_json(program), milliseconds=0) is False
    assert gpu.call(ready, json=as_json(program), milliseconds=50) is False
    gpu.call("release()")
    assert gpu.call(ready, json=as_json(program), milliseconds=60_000) is True
    gpu.call("gpu.device.createComputePipelineAsync = () => { throw new Error('compiled again'); }")
    assert gpu.call(ready, json=as_json(program), milliseconds=0) is True
    assert gpu.load(program)


def test_what_does_not_compile_is_ready_to_say_so(gpu: Gpu) -> None:
    program = Example(gpu).program([1.0])
    wrong = Shader("wrong", ACCUMULATE.code.replace("+= y[id.x]", "+= nothing[id.x]"))
    broken = replace(program, shaders=(SCALE, wrong))
    assert gpu.call("gpu.ready(v.json, 60000)", json=as_json(broken)) is True
    with pytest.raises(PageError, match="Compile: wrong: line 5:"):
        gpu.load(broken)


def test_a_missing_constant_is_named(gpu: Gpu) -> None:
    program = Example(gpu).program([1.0])
    with pytest.raises(PageError, match=r"(?s)Compile: scale: .*factor"):
        gpu.load(replace(program, pipelines=(Pipeline(1, {}), Pipeline(0, {}))))


def test_a_wrong_binding_names_the_step(gpu: Gpu) -> None:
    program = Example(gpu).program([1.0])
    _, y, sums = 0, *program.steps[1].bindings
    shifted = replace(program.steps[1], bindings=((*y[:2], 4, 8, "read"), sums))
    with pytest.raises(PageError, match=r"(?s)Invalid: example: .*alignment.*accumulate"):
        gpu.load(replace(program, steps=(program.steps[0], shifted)))


def test_an_error_of_the_gpu_is_not_silent(gpu: Gpu) -> None:
    example = Example(gpu)
    program = gpu.load(example.program([1.0]))
    gpu.call("gpu.free(v.buffer)", buffer=example.y)  # still bound by the program
    with pytest.raises(PageError, match=r"Invalid: .*destroyed"):
        gpu.run(program, inputs(0))


PENDING = """(async () => {
    const inputs = Uint8Array.from(v.inputs);
    const forever = async () => { for (;;) await gpu.run(v.program, inputs); }; // whenever the loss comes, one is on
    const pending = [forever(), gpu.read(v.buffer, 0, 4), gpu.finish()];
    pending.push(gpu.profile(v.program, inputs, "[[0]]"));
    globalThis.ends = Promise.all(pending.map((work) => work.then(() => "done", (error) => error.name)));
})()"""
LATER = [
    "gpu.createBuffer(4, 'late')",
    "gpu.write(v.buffer, 0, new Uint8Array(4))",
    "gpu.read(v.buffer, 0, 4)",
    "gpu.load(v.json)",
    "gpu.run(v.program, Uint8Array.from(v.inputs))",
    "gpu.submit(v.program, Uint8Array.from(v.inputs), 3)",
    "gpu.profile(v.program, Uint8Array.from(v.inputs), '[[0]]')",
    "gpu.finish()",
]


def check_loss(gpu: Gpu, lose: Callable[[], None], reason: str) -> None:
    """Pending and later calls must fail with DeviceLost, and a new device must work in the same page."""
    example = Example(gpu)
    program = example.program([1.0] * 200, HUGE)
    values = {"program": gpu.load(program), "inputs": list(inputs(0)), "buffer": example.sum}
    gpu.call(PENDING, **values)
    lose()
    ends = gpu.call("ends")
    assert set(ends) <= {"DeviceLost", "done"}
    assert ends[0] == "DeviceLost"
    for call in LATER:
        with pytest.raises(PageError, match=f"^DeviceLost: {reason}: "):
            gpu.call(call, json=as_json(program), **values)
    again = Gpu(gpu.page)
    close(again.run(again.load(Example(again).program([2.0])), inputs(0)), 2 * example.x)


def test_a_closed_device_fails_every_call(gpu: Gpu) -> None:
    check_loss(gpu, lambda: gpu.call("gpu.close()"), "destroyed")


def test_a_crash_of_the_gpu_fails_every_call(playwright: Playwright, tmp_path: Path, site: str) -> None:
    browser = launch(
        playwright, tmp_path
    )  # one of its own: a browser that saw crashes may give up on its GPU
    try:
        page = browser.new_page()
        open_blank(page, site)
        gpu = Gpu(page)

        def crash() -> None:
            browser.new_browser_cdp_session().send("Browser.crashGpuProcess")
            gpu.call("gpu.device.lost.then(() => true)")

        check_loss(gpu, crash, "unknown")
    finally:
        browser.close()


def test_an_insecure_page_has_no_webgpu(page: Page, site: str) -> None:
    insecure = "http://insecure.example/"

    def forward(route: Route) -> None:
        route.fulfill(response=route.fetch(url=site + route.request.url.removeprefix(insecure)))

    page.route(f"{insecure}**", forward)
    open_blank(page, insecure)
    with pytest.raises(PageError, match="NoWebGPU: the page is neither https nor localhost"):
        Gpu(page)


def test_a_browser_without_an_adapter(playwright: Playwright, tmp_path: Path, site: str) -> None:
    browser = launch(playwright, tmp_path, webgpu=False)
    try:
        page = browser.new_page()
        open_blank(page, site)
        with pytest.raises(PageError, match="NoAdapter: the browser has WebGPU but offers no adapter"):
            Gpu(page)
    finally:
        browser.close()
