"""What a person sees while a run goes on: progress, time left, key figures, a summary."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any

from labctl.cli.arguments import measured


class Plain:
    """For pipes and log files: a line at the start, at every tenth, and at the end."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self.total = 0
        self.count = 0
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
                left = (time.monotonic() - self.began) / self.count * (self.total - self.count)
                self._say(f"{self.count} of {self.total} points, {left:.0f} s left")
        elif event.kind == "start":
            self.total, self.count = points_of(event.value)
            self.began = time.monotonic()
            self._say(f"running {event.value.folder.path}")
        elif event.kind in ("note", "paused", "resumed"):
            self._say(str(event.value))

    def _say(self, text: str) -> None:
        print(f"labctl: {text}", file=self.stream, flush=True)


class Rich:
    """For terminals: a bar with time left and the key figures as they come."""

    def __init__(self, stream: Any) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            SpinnerColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        self.console = Console(file=stream)
        self.progress = Progress(
            SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=30),
            MofNCompleteColumn(), TextColumn("elapsed"), TimeElapsedColumn(),
            TextColumn("left"), TimeRemainingColumn(), TextColumn("[cyan]{task.fields[figures]}"),
            console=self.console,
        )  # fmt: skip
        self.task: Any = None
        self.figures: dict[str, str] = {}
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
        elif event.kind == "show":
            name, value, unit = event.value
            self.figures[name] = f"{name} {value:.4g} {unit}".strip()
        elif event.kind == "start":
            total, done = points_of(event.value)
            name = event.value.folder.start["procedure"]
            self.task = self.progress.add_task(
                f"{name} [dim]{event.value.mode}", total=total or None, completed=done, figures=""
            )
            self.console.print(f"[dim]recording into {event.value.folder.path}")
        elif event.kind == "analysing":
            self._update()
            self.figures = {"": "analysing"}
            self._update()
        elif event.kind in ("note", "paused", "resumed"):
            self.console.print(f"[yellow]{event.value}")

    def _update(self) -> None:
        self.shown = time.monotonic()
        if self.task is not None:
            figures = "  ".join(self.figures.values())
            self.progress.update(self.task, advance=self.pending, figures=figures)
            self.pending = 0


def points_of(stretch: Any) -> tuple[int, int]:
    """Total points of a run (0 if unknown) and how many were there before this stretch."""
    return int(stretch.folder.start.get("points") or 0), len(stretch.folder.rows)


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
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if folder.result:
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("result", no_wrap=True)
        table.add_column("value", no_wrap=True)
        table.add_column("meaning", style="dim", overflow="fold")
        for name, result in folder.result.items():
            table.add_row(name, measured(result), folder.start.get("meanings", {}).get(name, ""))
        console.print(table)
    clock = ""
    if folder.start.get("mode") == "sim":
        clock = f", {folder.last_time:.0f} s of bench time"
    console.print(f"{outcome.status}: {len(folder.rows)} rows in {seconds:.1f} s{clock}")
    console.print(f"data: {outcome.path}", soft_wrap=True)
