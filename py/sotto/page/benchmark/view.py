"""The benchmark's part of the document: its form, its progress, its results. The ids are those of web/index.html."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from html import escape
from urllib.parse import quote

from ...bench.control import BenchProgress
from ...bench.export import summary, to_csv
from ...bench.published import Published
from ...bench.report import Report
from ...bench.request import Request
from .. import web
from ..parts import Parts
from .figures import Figures, label, processor, when
from .layout import beside
from .markup import Figure, headline

TEXTS = ("prefill", "decode", "after", "context", "runs", "warmup", "budget", "threads", "variant")
CHECKS = ("loads", "probes", "profile", "agreement")
LENGTHS = ("prefill", "decode", "after", "context", "runs", "warmup", "budget")  # what a preset sets


class BenchmarkView:
    """Shows what it is told and asks the person."""

    def __init__(self, parts: Parts) -> None:
        self._browser = parts.browser
        self._at = parts.elements.at
        self._items = parts.elements.items
        self._say = parts.elements.say
        self.on = parts.elements.on
        self._on_choice = parts.elements.on_choice
        self.words = parts.words

    def on_kept(self, handler: Callable[[str, str], object]) -> None:
        """Call a handler with what is to be done ("compare", "show", "drop") and the date of a kept run."""
        self._on_choice("bench-kept", handler)

    # --- the form

    def choices(self, models: Sequence[tuple[str, str]], devices: Sequence[tuple[str, str]]) -> None:
        """What can be measured and on what: values and words."""
        for name, options in (("bench-model", models), ("bench-device", devices)):
            self._at(name).innerHTML = "".join(
                f'<option value="{escape(value)}">{escape(text)}</option>' for value, text in options
            )

    def fill(self, model: str, device: str, preset: str, request: Request) -> None:
        """Show a request: the values of the three choices, and all the fields."""
        self._at("bench-model").value = model
        self._at("bench-device").value = device
        self.lengths(preset, request)
        for name in ("threads", "variant"):
            self._at(f"bench-{name}").value = str(getattr(request, name))
        for name in CHECKS:
            self._at(f"bench-{name}").checked = getattr(request, name)

    def lengths(self, preset: str, request: Request) -> None:
        """Show a preset, and what it sets."""
        self._at("bench-preset").value = preset
        for name in LENGTHS:
            value = getattr(request, name)
            text = ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
            self._at(f"bench-{name}").value = text

    def chosen(self) -> tuple[str, str, str]:
        """Model, device and preset, as `choices` names them."""
        names = ("bench-model", "bench-device", "bench-preset")
        model, device, preset = (str(self._at(name).value) for name in names)
        return model, device, preset

    def texts(self) -> dict[str, str]:
        """What is written into the fields, by the names of a request."""
        texts = {name: str(self._at(f"bench-{name}").value) for name in TEXTS}
        return texts | {name: "1" if self._at(f"bench-{name}").checked else "0" for name in CHECKS}

    # --- running

    def ready(self) -> None:
        """A benchmark can begin."""
        self._at("bench-run").disabled = False
        self._at("bench-run").hidden = False
        self._at("bench-stop").hidden = True
        self._at("bench-progress").hidden = True
        battery = self._browser.on_battery()
        self._say("bench-when", self.words("bench.hint.battery" if battery else "bench.hint"))

    def running(self) -> None:
        """A benchmark has begun."""
        self._at("bench-error").hidden = True
        self._at("bench-run").hidden = True
        self._at("bench-stop").hidden = False
        self._at("bench-stop").disabled = False
        self._at("bench-progress").hidden = False
        self._bar(0.0, "")
        self._say("bench-when", self.words("bench.starting"))

    def stopping(self) -> None:
        """It was asked to end."""
        self._at("bench-stop").disabled = True

    def progress(self, progress: BenchProgress) -> None:
        """Where it is."""
        words = self.words
        text = words(
            f"bench.doing.{progress.kind}", tokens=progress.tokens, run=progress.run, runs=progress.runs
        )
        if progress.left is not None:
            text = words("bench.left", doing=text, time=words.about(progress.left))
        self._say("bench-when", text)
        self._bar(progress.fraction, text)

    def _bar(self, fraction: float, text: str) -> None:
        bar = self._at("bench-progress")
        bar.style.setProperty("--done", f"{fraction:.4f}")
        bar.ariaValueNow = f"{100 * fraction:.0f}"
        bar.ariaValueText = text

    def failed(self, message: str, detail: str, title: str = "bench.failed") -> None:
        """It could not go on, or what else `title` is the word for."""
        self._say("bench-error-title", self.words(title))
        self._say("bench-error-text", message)
        self._say("bench-error-detail", detail)
        self._at("bench-error-more").hidden = not detail
        self._at("bench-error").hidden = False

    # --- results

    async def before(self, published: Sequence[Published]) -> None:
        """While there are no results: what others published."""
        await self._figures([beside(self.words, (), published)])

    async def results(self, report: Report, figures: Figures, kept: bool, ended: bool) -> None:
        """Show a report.

        Args:
            kept: it is among the kept ones.
            ended: it will not grow any more.
        """
        words = self.words
        of = words("bench.results.of", model=report.model, device=processor(words, report), date=when(report))
        self._say("bench-of", of)
        self._at("bench-remarks").innerHTML = "".join(
            f"<li{kind}>{escape(text)}</li>"
            for kind, texts in ((' class="warning"', figures.warnings()), ("", figures.remarks()))
            for text in texts
        )
        self._at("bench-headline").innerHTML = headline(figures.headline())
        self._at("bench-actions").hidden = not ended
        if ended:
            self._files(report, kept)
        self._at("bench-empty").hidden = True
        self._at("bench-summary").hidden = False
        await self._figures(figures.all())

    async def _figures(self, figures: Sequence[Figure]) -> None:
        self._at("bench-figures").innerHTML = "".join(figure.html() for figure in figures)
        specs = {name: spec for figure in figures for name, spec in figure.charts.items()}
        drawn = await web.charts.draw(json.dumps(specs))  # else the tables say the same
        self._at("bench-figures").dataset.charts = "drawn" if drawn else "none"
        self._at("bench-uncharted").hidden = drawn

    def _files(self, report: Report, kept: bool) -> None:
        """What can be done with a report."""
        self.kept(kept)
        address = str(web.window.location.href).partition("#")[0]
        query = report.request.to_query()
        self._at("bench-copy").dataset.text = summary(report)
        self._at("bench-link").dataset.text = f"{address}#benchmark{'?' if query else ''}{query}"
        name = f"sotto-benchmark-{report.date[:16].replace(':', '')}"
        for kind, mime, text in (
            ("json", "application/json", report.to_json()),
            ("csv", "text/csv", to_csv(report)),
        ):
            link = self._at(f"bench-{kind}")
            link.href = f"data:{mime};charset=utf-8,{quote(text)}"
            link.download = f"{name}.{kind}"

    def kept(self, kept: bool) -> None:
        """Whether the report that is shown is among the kept ones."""
        button = self._at("bench-keep")
        button.disabled = kept
        button.textContent = self.words("bench.is.kept" if kept else "bench.keep")

    def list_kept(self, reports: Sequence[Report], compared: set[str]) -> None:
        """The kept reports, and which of them are compared with, by their dates."""
        words = self.words
        items = []
        for report in reports:
            date = escape(report.date)
            checked = " checked" if report.date in compared else ""
            where = ", ".join(part for part in (report.machine.system, report.machine.engine) if part)
            line = words("bench.kept.line", model=report.model, where=where, version=report.sotto)
            buttons = "".join(
                f'<button type="button" data-do="{do}" data-on="{date}">{escape(words(f"bench.{do}"))}</button>'
                for do in ("show", "drop")
            )
            items.append(
                f"<li><b>{escape(label(words, report))}</b><small>{escape(line)}</small><p>"
                f'<label><input type="checkbox" data-do="compare" data-on="{date}"{checked}>'
                f"{escape(words('bench.compare'))}</label>{buttons}</p></li>"
            )
        none = f"<p>{escape(words('bench.kept.none'))}</p>"
        self._items("bench-kept", f"<ul>{''.join(items)}</ul>" if items else none)
