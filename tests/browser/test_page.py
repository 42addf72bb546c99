"""The page in a real Chromium: a person pastes a text, a model writes, and what can go wrong is told.

A tiny random Gemma 3 stands in for the model, so what it writes means nothing; one test has the real one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from common import ENGLISH, JAPANESE, PATIENCE, WORDS, Offer, Serve
from pages import SHORT, TEXT, before_bridge, fault, losing, state, write
from playwright.sync_api import Browser, Page, Route, expect

import litert
import lora
from sotto.assets import model_path
from sotto.site.site import OfferedModel
from sotto.tuning.verdict import FRUITLESS
from tiny import DEFAULT_TYPES, Tiny, build, split, vocabulary

# A post that is still being written when a busy test comes to stop it, and is not ended for going round.
ENDLESS = "?max_tokens=30000&temperature=0&context=32768&loop_guard=0"
STATES = """{
    globalThis.states = ["loading"];
    const seen = () => {
        const { state } = document.documentElement.dataset;
        if (state !== states.at(-1)) states.push(state);
    };
    new MutationObserver(seen).observe(document, { subtree: true, attributeFilter: ["data-state"] });
}"""


def processor(page: Page) -> str:
    """Which processor is used, and why."""
    return str(page.locator("#fact-processor").text_content())


def test_from_paste_to_post(page: Page, tiny: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.add_init_script(STATES)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(tiny + SHORT)
    state(page, "loading")
    page.fill("#source", TEXT)
    page.click("#write")  # long before the model is there
    expect(page.locator("#write")).to_have_text(ENGLISH["queued"], use_inner_text=True)
    expect(page.locator("#stages li[data-status=done]")).to_have_count(5)  # runtime, file, weights, ...
    expect(page.locator("#stats")).to_contain_text("12 tokens")
    state(page, "ready")
    assert page.evaluate("states") == ["loading", "writing", "ready"]  # it was not ready first, for a moment
    post = page.inner_text("#post")
    assert post
    stats = page.inner_text("#stats")
    for part in ("to first word", "tokens read at", "decode", "in all", "weights prepared now"):
        assert part in stats
    expect(page.locator("#note")).to_have_text(ENGLISH["note.stayed"])
    expect(page.locator("#progress")).to_be_hidden()
    expect(page.locator("#error")).to_be_hidden()
    page.click("#copy")
    expect(page.locator("#copy")).to_have_text(ENGLISH["copied"])
    assert page.evaluate("navigator.clipboard.readText()") == post.strip()

    assert write(page).strip() == post.strip()  # at temperature 0 nothing is left to chance
    expect(page.locator("#note")).to_be_empty()  # said once
    origins = {urlsplit(url).netloc for url in asked if urlsplit(url).scheme in ("http", "https")}
    assert origins == {urlsplit(tiny).netloc}  # everything stayed on this computer


def test_the_start_of_python_is_foretold_by_the_last_one(page: Page, tiny: str) -> None:
    left = re.compile(re.escape(ENGLISH["state.starting"]) + r", ([\d]+) s left")
    page.goto(tiny + SHORT)
    expect(page.locator("#model-state")).not_to_have_text(left)
    state(page, "ready")
    way = page.get_attribute("html", "data-started")
    took = float(page.evaluate("(name) => localStorage.getItem(name)", f"sotto.start.{way}"))
    assert 0 < took < page.evaluate("performance.now()")

    page.evaluate(
        "for (const way of ['bare', 'snapshot']) localStorage.setItem('sotto.start.' + way, '60000')"
    )
    page.reload()
    expect(page.locator("#model-state")).to_have_text(left)
    told = left.fullmatch(page.inner_text("#model-state"))
    assert told is None or int(told[1]) in (55, 60)
    assert float(page.evaluate("document.querySelector('#progress').style.getPropertyValue('--done')")) > 0
    state(page, "ready")
    expect(page.locator("#model-state")).to_have_text(ENGLISH["state.ready"])


def test_reload_comes_from_the_cache_and_keeps_the_text(page: Page, tiny: str) -> None:
    page.goto(tiny + SHORT)
    state(page, "ready")
    post = write(page)
    model_bytes: list[str] = []
    page.on("request", lambda request: "/models/" in request.url and model_bytes.append(request.url))
    page.reload()
    expect(page.locator("#source")).to_have_value(TEXT)
    state(page, "ready")
    expect(page.locator("#fact-weights")).to_contain_text("cache")
    assert write(page) == post
    expect(page.locator("#stats")).to_contain_text(ENGLISH["stats.cached"])
    assert model_bytes == []


def test_stop_by_button_and_by_key(page: Page, tiny: str) -> None:
    page.goto(tiny + ENDLESS)
    state(page, "ready")
    page.fill("#source", TEXT)
    for start, stop in (("#write", "#stop"), ("Control+Enter", "Escape")):
        page.press("#source", start) if "+" in start else page.click(start)
        state(page, "writing")
        expect(page.locator("#post")).not_to_be_empty()
        page.press("body", stop) if stop == "Escape" else page.click(stop)
        state(page, "ready")
        expect(page.locator("#note")).to_have_text(ENGLISH["note.stopped"])
        expect(page.locator("#copy")).to_be_enabled()
        tokens = int(page.inner_text("#stats").split(" token")[0].split()[-1].replace(",", ""))
        assert 0 < tokens < 30000


def test_empty_text(page: Page, tiny: str) -> None:
    page.goto(tiny + SHORT)
    state(page, "ready")
    page.fill("#source", " \n")
    page.click("#write")
    fault(page, "empty")
    page.click("#error-action")  # use the example
    state(page, "ready")
    expect(page.locator("#source")).to_have_value(WORDS["examples"]["en"]["text"])
    expect(page.locator("#error")).to_be_hidden()


def test_a_server_that_has_ended_is_named(page: Page, tiny: str) -> None:
    page.route("**/models/**", lambda route: route.abort("connectionrefused"))
    page.goto(tiny + SHORT)
    assert "serve.py" in fault(page, "server")
    page.unroute("**/models/**")
    page.click("#error-action")
    state(page, "ready")


def test_device_lost(page: Page, tiny: str) -> None:
    losing(page)
    page.goto(tiny + ENDLESS + "&device=gpu")
    state(page, "ready")
    page.fill("#source", TEXT)
    page.click("#write")
    expect(page.locator("#post")).not_to_be_empty()
    page.evaluate("new BroadcastChannel('lose').postMessage('')")
    fault(page, "lost")
    assert page.inner_text("#post")
    page.click("#error-action")  # load again
    state(page, "ready")
    expect(page.locator("#error")).to_be_hidden()
    expect(page.locator("#source")).to_have_value(TEXT)
    page.click("#write")
    expect(page.locator("#post")).not_to_be_empty()
    page.click("#stop")
    state(page, "ready")


def test_no_webgpu(page: Page, tiny: str) -> None:
    before_bridge(page, "Object.defineProperty(WorkerNavigator.prototype, 'gpu', { value: undefined })")
    page.goto(tiny + SHORT)
    state(page, "ready")
    assert ENGLISH["why.none"] in processor(page)
    assert write(page)


def test_neither_webgpu_nor_what_the_cpu_needs(page: Page, tiny: str) -> None:
    no_gpu = "Object.defineProperty(WorkerNavigator.prototype, 'gpu', { value: undefined })"
    before_bridge(page, f"{no_gpu}; WebAssembly.validate = () => false")
    page.goto(tiny + SHORT)
    assert ENGLISH["error.browser.text"] in fault(page, "browser")
    expect(page.locator("#error-detail")).to_contain_text("SIMD")


def test_a_software_gpu_gives_way_to_the_cpu_and_a_person_can_switch(page: Page, tiny: str) -> None:
    page.goto(tiny + SHORT)
    state(page, "ready")
    assert ENGLISH["why.software"] in processor(page)
    on_cpu = write(page)
    page.click("#model summary")
    page.select_option("#device", "gpu")
    expect(page.locator("#fact-processor")).to_contain_text(ENGLISH["why.asked"])
    state(page, "ready")
    assert "CPU" not in processor(page)
    expect(page.locator("#fact-weights")).to_contain_text("cache")  # one copy serves both
    expect(page.locator("#source")).to_have_value(TEXT)
    assert page.inner_text("#post") == on_cpu
    page.click("h1")
    assert write(page)
    page.reload()
    state(page, "ready")
    assert "CPU" not in processor(page), "the choice is remembered"
    page.goto(tiny + SHORT + "&device=auto")  # the GPU's speed is known now, and the CPU's
    state(page, "ready")
    assert "CPU" in processor(page)


def test_threads_are_measured_shown_and_settable(page: Page, tiny: str) -> None:
    page.goto(tiny + SHORT + "&device=cpu")
    state(page, "ready")
    measured = int(page.input_value("#threads"))
    assert f"{measured} thread" in processor(page)
    page.click("#model summary")
    page.fill("#threads", "99")
    page.press("#threads", "Tab")
    expect(page.locator("#threads-fault")).to_contain_text("A whole number from 1 to ")
    most = int(page.inner_text("#threads-fault").rpartition(" ")[2])
    assert 1 <= measured <= most < 99
    assert f"{measured} thread" in processor(page), "and nothing was changed"
    page.fill("#threads", "1")
    page.press("#threads", "Tab")
    expect(page.locator("#fact-processor")).to_contain_text("CPU, 1 thread:")
    page.click("h1")
    one = write(page)
    page.goto(tiny + SHORT + f"&device=cpu&threads={most}")
    state(page, "ready")
    assert f"{most} thread" in processor(page)
    assert write(page) == one


def test_a_gpu_that_fails_gives_way_to_the_cpu(page: Page, tiny: str) -> None:
    before_bridge(
        page,
        """Object.defineProperty(GPUAdapter.prototype, "info", { get() {
            return { vendor: "x", architecture: "x", device: "A GPU", description: "", isFallbackAdapter: false };
        } });
        GPUDevice.prototype.createComputePipelineAsync = async () => { throw new Error("refused"); }""",
    )
    page.goto(tiny + SHORT)
    state(page, "ready")
    assert ENGLISH["why.failed"] in processor(page)
    assert write(page)


# Changes what choosing kernels has left in the store: as on a device where one is wrong and there was no time for one.
REMEMBER = """(async () => {
    const told = (request) => new Promise((resolve, reject) => {
        request.onsuccess = () => resolve(request.result);
        request.onerror = () => reject(request.error);
    });
    const database = await told(indexedDB.open('sotto'));
    const notes = database.transaction('notes', 'readwrite').objectStore('notes');
    let changed = 0;
    for (const key of await told(notes.getAllKeys())) {
        if (key === 'next') continue; // the one note that is no JSON
        const text = (await told(notes.get(key))) || '{}';
        const note = JSON.parse(text.replaceAll('matmul:quad', 'matmul:simple'));
        if (!note.choices) continue;
        const untried = { 1: ['decode:simple'] };
        const rejected = { 'matmul:quad': { kind: 'wrong', text: 'wrong results, off by 12.0%' } };
        await told(notes.put(JSON.stringify({ ...note, rejected, untried, fruitless: 3 }), key));
        changed += 1;
    }
    database.close();
    return changed;
})()"""


def test_the_details_tell_what_is_not_used_and_what_was_not_tried(page: Page, tiny: str) -> None:
    kernels = page.locator("#fact-kernels")
    page.goto(tiny + SHORT + "&device=gpu")
    state(page, "ready")
    expect(kernels).to_contain_text("measured here now")
    assert page.evaluate(REMEMBER) == 1
    page.reload()
    state(page, "ready")
    expect(kernels).to_contain_text("matmul simple: measured here before")
    expect(kernels).to_contain_text("matmul quad is not used: wrong results, off by 12.0%")
    expect(kernels).to_contain_text("Not tried yet, for want of time: decode simple")


def test_kernels_are_measured_once_and_can_be_pinned(page: Page, offer: Offer) -> None:
    address = offer("few", build(Tiny(layers=6, types=dict.fromkeys(DEFAULT_TYPES, "Q4_0"), chat=True)))
    kernels = page.locator("#fact-kernels")
    page.goto(address + SHORT + "&device=gpu")
    state(page, "ready")
    expect(kernels).to_contain_text("measured here now")
    expect(page.locator("#stage-tuning")).to_have_attribute("data-status", "done")
    assert "tuning" in json.loads(page.get_attribute("#facts", "data-figures") or "")
    for _ in range(2 * FRUITLESS + 2):  # on a busy machine the time of one load may not suffice
        found, _, how = str(kernels.text_content()).partition(": ")
        page.reload()
        state(page, "ready")
        if how == "measured here now":
            break
    expect(kernels).to_contain_text(f"{found}: measured here before")
    expect(page.locator("#stage-tuning")).to_be_hidden()
    page.goto(address + SHORT + "&device=gpu&variant=matmul:simple,attention:simple,decode:simple")
    state(page, "ready")
    expect(kernels).to_contain_text("attention simple, decode simple, matmul simple:")
    assert write(page)
    page.goto(address + SHORT + "&variant=matmul:magic")
    said = fault(page, "loading")
    assert "matmul:magic" in said and "matmul:simple" in said


def test_settings_are_checked_beside_their_fields(page: Page, tiny: str) -> None:
    page.goto(tiny + SHORT)
    state(page, "ready")
    page.fill("#source", TEXT)
    page.click("#screens a[data-screen=settings]")
    page.fill("#temperature", "0,5")
    page.press("#temperature", "Tab")
    said = page.locator("#temperature-fault")
    expect(said).to_contain_text("A number from 0 to 10")
    page.click("#screens a[data-screen=post]")
    page.click("#write")
    fault(page, "setting")
    assert page.inner_text("#post") == "", "nothing is written with another value"
    page.click("#error-action")
    expect(page.locator("#temperature")).to_be_focused()
    expect(page.locator("#temperature")).to_have_value("0,5")
    page.fill("#temperature", "0")
    page.press("#temperature", "Tab")
    expect(said).to_be_hidden()
    page.fill("#top-k", "many")
    page.press("#top-k", "Tab")
    expect(page.locator("#top-k-fault")).to_have_text("A whole number, 0 or more")
    page.fill("#top-k", "40")
    page.click("#model summary")
    page.select_option("#device", "cpu")  # what was written stays when the model is loaded anew
    expect(page.locator("#fact-processor")).to_contain_text(ENGLISH["why.asked"])
    state(page, "ready")
    expect(page.locator("#top-k")).to_have_value("40")
    page.click("#screens a[data-screen=post]")
    page.select_option("#network", "X")
    assert write(page)
    expect(page.locator("#count")).to_contain_text("of 280 characters")
    page.reload()
    state(page, "ready")
    expect(page.locator("#network")).to_have_value("X")


def test_a_larger_context_tells_its_memory_before_it_is_taken(page: Page, tiny: str) -> None:
    page.goto(tiny + SHORT)
    state(page, "ready")
    memory = page.text_content("#fact-memory")
    page.click("#model summary")
    page.fill("#context", "32768")
    page.press("#context", "Tab")
    button = page.locator("#context-load")
    expect(button).to_contain_text("of memory")
    size = str(button.text_content()).removeprefix("Load with ").removesuffix(" of memory")
    assert page.text_content("#fact-memory") == memory, "nothing is taken yet"
    button.click()
    expect(page.locator("#fact-context")).to_have_text("32,768 tokens")
    state(page, "ready")
    expect(page.locator("#fact-memory")).to_contain_text(size)
    expect(button).to_be_hidden()
    page.fill("#context", "9999999")
    page.press("#context", "Tab")
    expect(button).to_be_hidden()
    said = page.locator("#context-fault")
    expect(said).to_have_text("A whole number from 2 to 1,048,576")
    page.fill("#context", "16384")
    page.press("#context", "Tab")
    expect(button).to_be_enabled()
    expect(said).to_be_hidden()
    page.fill("#context", "")  # and what was offered is pressed: nothing can be loaded, which is said
    button.click()
    expect(button).to_be_hidden()
    expect(said).to_be_visible()


def test_a_gpu_that_computes_wrongly_gives_way_to_the_cpu(page: Page, tiny: str) -> None:
    before_bridge(
        page,
        """Object.defineProperty(GPUAdapter.prototype, "info", { get() {
            return { vendor: "x", architecture: "x", device: "A GPU", description: "", isFallbackAdapter: false };
        } });
        const make = GPUDevice.prototype.createShaderModule;
        GPUDevice.prototype.createShaderModule = function ({ label, code }) {
            return make.call(this, { label, code: code.replace("0.044715", "0.144715") });
        }""",
    )
    page.goto(tiny + SHORT)
    state(page, "ready")
    assert ENGLISH["why.wrong"] in processor(page)
    assert write(page)


def test_without_isolation_python_runs_in_the_page(page: Page, tiny: str) -> None:
    def without_headers(route: Route) -> None:
        reply = route.fetch()
        headers = {name: value for name, value in reply.headers.items() if "cross-origin" not in name}
        route.fulfill(response=reply, headers=headers)

    page.route(tiny + SHORT, without_headers)
    page.goto(tiny + SHORT)
    state(page, "ready")
    assert not page.evaluate("crossOriginIsolated")
    assert "1 thread" in processor(page)
    assert all("ahead_worker.js" in worker.url for worker in page.workers)  # none for Python or the CPU
    alone = write(page)
    page.goto(tiny + SHORT + "&threads=1")
    state(page, "ready")
    assert page.evaluate("crossOriginIsolated")
    assert write(page) == alone


def test_no_adapter(page: Page, tiny: str) -> None:
    before_bridge(page, "GPU.prototype.requestAdapter = async () => null")
    page.goto(tiny + "?device=gpu")
    fault(page, "adapter")


def test_limits_too_small(page: Page, tiny: str) -> None:
    before_bridge(
        page,
        """const request = GPUAdapter.prototype.requestDevice;
        GPUAdapter.prototype.requestDevice = function ({ requiredLimits, ...rest }) {
            return request.call(this, rest);  // a device with WebGPU's smallest limits
        }""",
    )
    page.goto(tiny + "?context=600000&device=gpu")
    fault(page, "limits")


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("notes", lambda: b"These are notes, and no model.\n" * 99, ("file", "not a GGUF file")),
        ("half", lambda: build(Tiny(chat=True))[:-40_000], ("file", "half")),
        ("llama", lambda: build(Tiny(metadata={"general.architecture": "llama"})), ("unsupported", "llama")),
        ("nvfp4", lambda: build(Tiny(types={"ffn_up": "NVFP4"})), ("unsupported", "NVFP4")),
    ],
)
def test_files_that_cannot_be_used(
    page: Page, offer: Offer, name: str, make: Callable[[], bytes], said: tuple[str, str]
) -> None:
    page.goto(offer(name, make()))
    assert said[1] in fault(page, said[0])
    assert page.evaluate("localStorage.getItem('sotto.text')") == ""
    expect(page.locator("#write")).to_be_disabled()


def test_unknown_model_leads_to_the_default(page: Page, tiny: str) -> None:
    page.goto(tiny + "?model=huge")
    assert "huge" in fault(page, "loading")
    page.click("#error-action")
    state(page, "ready")
    expect(page.locator("#model-name")).to_have_text("tiny")


def test_python_that_cannot_start(browser: Browser, tiny: str) -> None:
    # The page's own fixture would take the expected error for a failure.
    page = browser.new_page(service_workers="block")
    page.route("**/app.zip", lambda route: route.abort())
    page.goto(tiny)
    fault(page, "runtime")
    page.route("**/*", lambda route: route.abort("connectionrefused"))
    page.click("#error-action")  # a reload would end in the browser's own error page
    expect(page.locator("#error-text")).to_have_text(ENGLISH["error.gone"])
    page.unroute("**/*")
    page.unroute("**/app.zip")
    page.click("#error-action")
    state(page, "ready")
    page.close()


def test_japanese(browser: Browser, tiny: str) -> None:
    page = browser.new_page(locale="ja-JP", color_scheme="dark", viewport={"width": 375, "height": 812})
    page.goto(tiny + SHORT)
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    expect(page.locator("#write")).to_have_text(JAPANESE["write"], use_inner_text=True)
    page.click("#example-ja")
    expect(page.locator("#source")).to_have_value(WORDS["examples"]["ja"]["text"])
    state(page, "ready")
    page.click("#write")
    expect(page.locator("#stats")).to_contain_text("トークン")
    expect(page.locator("#post")).to_have_attribute("lang", "ja")
    assert page.evaluate(
        "document.documentElement.scrollWidth <= innerWidth"
    )  # nothing sticks out of a phone
    page.close()


def test_a_models_adapter_is_on_and_can_be_switched_off(page: Page, serve: Serve, tmp_path: Path) -> None:
    """It changes what is written; off is off at the next visit too. One that is damaged is told, and left out. The
    model is a bundle of LiteRT here."""
    data = build(Tiny(types=dict.fromkeys(DEFAULT_TYPES, "F32")))
    weights = litert.quantized(litert.values_of(data), litert.web_mix)
    parameters = litert.llm_parameters({3: 256, 4: 512, 5: 64, 6: 4, 7: 7, 9: 1}, 512)
    (tmp_path / "tiny.task").write_bytes(litert.bundle(litert.phone(weights, 4), vocabulary(), parameters))
    folder = lora.written(lora.files(lora.halves(lora.shapes_of(data), 8)), tmp_path / "posts")
    address = serve([OfferedModel("tiny", tmp_path / "tiny.task", folder)]) + SHORT
    named = ENGLISH["stats.adapters"].format(names="posts")

    def switch(on: bool) -> None:
        page.click("#model > summary")
        page.set_checked("#adapter", on)
        page.click("#model > summary")

    page.goto(address)
    state(page, "ready")
    expect(page.locator("#fact-file")).to_have_text("tiny.task")
    write(page)
    expect(page.locator("#stats")).to_contain_text(named)
    expect(page.locator("#adapter-name")).to_have_text(ENGLISH["setting.adapter"].format(name="posts"))
    expect(page.locator("#adapter")).to_be_checked()
    switch(False)
    without = write(page)
    expect(page.locator("#stats")).not_to_contain_text(named)
    switch(True)
    with_it = write(page)
    assert with_it != without
    page.reload()
    state(page, "ready")
    assert write(page) == with_it
    switch(False)
    assert write(page) == without
    page.reload()
    state(page, "ready")
    assert write(page) == without
    expect(page.locator("#adapter")).not_to_be_checked()

    (folder / "adapter_model.safetensors").write_bytes(b"PK\x03\x04 a pickle")
    page.reload()
    state(page, "ready")
    assert write(page) == without
    page.click("#model > summary")
    expect(page.locator("#adapter-fault")).to_contain_text("pickle")
    expect(page.locator("#adapter-setting")).to_be_hidden()


def test_a_model_in_several_files(page: Page, serve: Serve, tmp_path: Path) -> None:
    """It is read as one; a part alone would be refused."""
    paths = []
    for name, data in split(build(Tiny(chat=True)), 3, "tiny").items():
        paths.append(tmp_path / name)
        paths[-1].write_bytes(data)
    page.goto(serve([OfferedModel("tiny", paths[0], others=tuple(paths[1:]))]) + SHORT + "&device=cpu")
    state(page, "ready")
    assert write(page)


def test_the_real_model_writes_words(page: Page, runtime: Path, serve: Serve) -> None:
    path = model_path("gemma-3-270m", runtime)
    page.goto(serve([OfferedModel("gemma-3-270m", path)]) + "?max_tokens=16&temperature=0")
    page.click("#example-en")
    page.click("#write")
    expect(page.locator("#stats")).to_contain_text("tok/s", timeout=3 * PATIENCE)
    state(page, "ready")
    post = page.inner_text("#post")
    words = post.split()
    assert len(words) >= 8
    plain = sum(word.strip(".,:;!?’'\"“”()#-–—").replace("’", "").isascii() for word in words)
    assert plain == len(words), post  # a wrong kernel gives pieces of many languages
