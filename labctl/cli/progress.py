"""What a person sees while a run goes on: progress, time left, key figures, a summary."""

from __future__ import annotations

import sys
import time
from contextlib import suppress
from types import TracebackType
from typing import Any

from labctl.cli.console import console
from labctl.units import measured


class Plain:
    """For pipes and log files: a line at the start, at every tenth, and at the end."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.total = 0
        self.count = 0
        self.before = 0  # points of earlier stretches
        self.told = 0
        self.began = time.monotonic()

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *failure: object) -> None:
        pass

    def __call__(self, event: Any) -> None:
        if event.kind == "point":
            self.count += 1
            if self.total and self.count * 10 // self.total > self.told:
                self.told = self.count * 10 // self.total
                spent = time.monotonic() - self.began
                left = spent / (self.count - self.before) * (self.total - self.count)
                self._say(f"{self.count} of {self.total} points, {left:.0f} s left")
        elif event.kind == "start":
            self.total, self.before = points_of(event.value)
            self.count = self.before
            self.told = self.count * 10 // self.total if self.total else 0
            self.began = time.monotonic()
            self._say(f"running {event.value.folder.path}")
        elif event.kind in ("note", "paused", "resumed"):
            self._say(str(event.value))

    def _say(self, text: str) -> None:
        with suppress(OSError):  # a reader that went away, or a full disk, ends no measurement
            print(f"labctl: {text}", file=self.stream, flush=True)


class Rich:
    """For terminals: a bar with time left, and below it the latest key figures."""

    def __init__(self, stream: Any) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn

        self.console = console(stream)
        self.progress = _bar_and_figures(self)(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.fields[state]}", style="yellow"),
            console=self.console, expand=True, transient=True,
        )  # fmt: skip
        self.task: Any = None
        self.figures: dict[str, str] = {}
        self.tags: dict[str, int] = {}  # recorded by this stretch, by name
        self.total = 0
        self.percent = False
        self.pending = 0
        self.shown = 0.0

    def __enter__(self) -> Rich:
        self.progress.start()
        return self

    def __exit__(
        self, kind: type | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._update()
        self.progress.stop()

    def __call__(self, event: Any) -> None:
        if event.kind == "point":
            self.pending += 1
            if time.monotonic() - self.shown > 0.1:  # drawing must not slow the measurement
                self._update()
        elif event.kind == "tags":
            name, columns = event.value
            self.tags[name] = self.tags.get(name, 0) + len(next(iter(columns.values())))
            self.figures.pop(name, None)
            self.figures[name] = f"{name} {self.tags[name]:,} tags"
        elif event.kind == "show":
            name, value, unit = event.value
            self.figures.pop(name, None)  # the latest stand last
            self.figures[name] = f"{name} {value:.4g} {unit}".strip()
        elif event.kind == "start":
            self._start(event.value)
        elif event.kind == "progress" and self.task is not None and not self.total:
            self.percent = True  # a plain pymeasure procedure says how far it is, in percent
            self.progress.update(self.task, total=100, completed=float(event.value))
        elif event.kind == "analysing":
            self._update(state="analysing")
        elif event.kind == "paused":
            self._update(state="paused")
        elif event.kind == "resumed":
            self._update(state="left" if self.total else "")
        elif event.kind == "note":
            self.console.print(str(event.value), style="yellow")
        elif event.kind == "stop" and self.task is not None:
            self._update()
            self.progress.remove_task(self.task)
            self.task = None

    def _start(self, stretch: Any) -> None:
        self.total, done = points_of(stretch)
        self.figures, self.pending, self.percent = {}, 0, False
        self.task = self.progress.add_task(
            stretch.folder.start["procedure"], total=self.total or None, completed=done,
            state="left" if self.total else "",
        )  # fmt: skip
        self.console.print(f"recording into {stretch.folder.path}", style="dim", soft_wrap=True)

    def _update(self, **fields: Any) -> None:
        self.shown = time.monotonic()
        if self.task is not None:
            advance = 0 if self.percent else self.pending
            self.progress.update(self.task, advance=advance, **fields)
            self.pending = 0

    def latest(self, width: int) -> str:
        """As many of the latest key figures as fit into a line."""
        line = ""
        for figure in reversed(self.figures.values()):
            longer = f"{figure}   {line}" if line else figure
            if len(longer) > width:
                break
            line = longer
        return line


def _bar_and_figures(owner: Rich) -> type[Any]:
    from rich.progress import Progress
    from rich.text import Text

    class BarAndFigures(Progress):
        def get_renderables(self) -> Any:
            yield from super().get_renderables()
            if self.tasks:
                yield Text(owner.latest(self.console.width), style="cyan", no_wrap=True)

    return BarAndFigures


def points_of(stretch: Any) -> tuple[int, int]:
    """Total points of a run (0 if unknown) and how many were there before this stretch."""
    return int(stretch.folder.start.get("points") or 0), stretch.folder.row_count


def watcher(quiet: bool) -> Any:
    """A listener for the terminal at hand; with `quiet` standard output stays untouched."""
    stream = sys.stderr if quiet else sys.stdout
    if quiet and not stream.isatty():
        return Silent()
    return Rich(stream) if stream.isatty() else Plain(stream)


class Silent:
    """Says nothing."""

    def __enter__(self) -> Silent:
        return self

    def __exit__(self, *failure: object) -> None:
        pass

    def __call__(self, event: Any) -> None:
        pass


def summary(folder: Any, outcome: Any, seconds: float) -> None:
    """Say how a run ended and what came out."""
    from rich.table import Table

    out = console()
    if folder.result:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("result", no_wrap=True)
        table.add_column("value", no_wrap=True)
        table.add_column("meaning", style="dim", overflow="fold")
        for name, result in folder.result.items():
            table.add_row(name, measured(result), folder.start.get("meanings", {}).get(name, ""))
        out.print(table)
    clock = ""
    if folder.start.get("mode") == "sim":
        clock = f", {folder.bench_time:.0f} s of bench time"
    out.print(f"{outcome.status}: {folder.row_count} rows in {seconds:.1f} s{clock}")
    out.print(f"data: {outcome.path}", soft_wrap=True)
    if outcome.status != "finished" and folder.row_count < (folder.start.get("points") or 0):
        out.print(f"measure the rest: labctl resume {outcome.path}", soft_wrap=True)
