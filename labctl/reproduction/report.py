"""The report as plain data: what was asked, what was measured, what is printed, what that says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from labctl.errors import LabError
from labctl.reproduction import drawing
from labctl.reproduction.comparing import AGREES, VERDICTS, Comparison, Ours, compare
from labctl.reproduction.measured import ours
from labctl.reproduction.papers import FOLLOWS, Entry, Paper, RowSpec
from labctl.reproduction.printed import Printed
from labctl.reproduction.running import Made
from labctl.run import drawing as run_drawing
from labctl.run.folder import RunFolder
from labctl.units import measured

#: What becomes of an entry that takes too long for a quick reproduction.
LEFT_OUT = "left out"


@dataclass(frozen=True)
class Line:
    """A row of a table with both values and what they say."""

    spec: RowSpec
    ours: Ours
    comparison: Comparison
    trouble: str  #: why there is no value


@dataclass(frozen=True)
class Section:
    """An entry with its run, its lines and its pictures."""

    entry: Entry
    made: Made
    facts: Mapping[str, Any]  #: about the run
    lines: tuple[Line, ...]
    pictures: tuple[drawing.Picture, ...]
    troubles: tuple[str, ...]


@dataclass(frozen=True)
class Chapter:
    """A paper with its sections."""

    paper: Paper
    sections: tuple[Section, ...]

    def counts(self) -> Counter[str]:
        return Counter(
            line.comparison.verdict for section in self.sections for line in section.lines
        )

    def assumed(self) -> int:
        """How many agreements are with what was put in or adjusted to."""
        return sum(
            line.comparison.verdict == AGREES and line.spec.origin != FOLLOWS
            for section in self.sections
            for line in section.lines
        )


@dataclass(frozen=True)
class Report:
    """All that the page shows."""

    chapters: tuple[Chapter, ...]
    quick: bool
    written: datetime

    @property
    def failed(self) -> list[Section]:
        return [
            section
            for chapter in self.chapters
            for section in chapter.sections
            if section.made.status not in ("finished", LEFT_OUT)
        ]

    @property
    def commits(self) -> list[str]:
        """States of the program that made the runs; one of them unless old runs were used again."""
        facts = [section.facts for chapter in self.chapters for section in chapter.sections]
        return sorted({str(one["commit"]) for one in facts if one})


class Drawer:
    """The figures of runs, each run drawn once although several entries may show it."""

    def __init__(self) -> None:
        self._drawn: dict[Path, dict[str, drawing.Picture]] = {}

    def figures(self, folder: RunFolder) -> dict[str, drawing.Picture]:
        if folder.path not in self._drawn:
            self._drawn[folder.path] = {
                name: drawing.picture(name, figure)
                for name, figure in run_drawing.figures(folder).items()
            }
        return self._drawn[folder.path]


def build(
    selected: Sequence[tuple[Paper, tuple[Entry, ...]]], keys: Mapping[str, str],
    made: Mapping[str, Made], quick: bool, pictures: bool = True,
) -> Report:  # fmt: skip
    """Gather everything; a run that failed or lacks something is named, not hidden."""
    drawer = Drawer() if pictures else None
    chapters = []
    for paper, entries in selected:
        sections = []
        for entry in entries:
            key = keys.get(entry.full_name)
            hurry = Made(None, LEFT_OUT, "not part of a quick reproduction")
            sections.append(_section(entry, made[key] if key else hurry, drawer))
        chapters.append(Chapter(paper, tuple(sections)))
    return Report(tuple(chapters), quick, datetime.now().astimezone())


def _section(entry: Entry, made: Made, drawer: Drawer | None) -> Section:
    if made.status == LEFT_OUT:
        return Section(entry, made, {}, (), (), ())
    if made.path is None or made.status != "finished":
        lines = tuple(_line(row, Ours(None), made.status) for row in entry.rows)
        return Section(entry, made, {}, lines, (), ())
    folder = RunFolder.open(made.path)
    lines = tuple(_read(folder, row) for row in entry.rows)
    troubles: list[str] = []
    pictures = _pictures(entry, folder, lines, drawer, troubles) if drawer else []
    return Section(entry, made, _facts(folder), lines, tuple(pictures), tuple(troubles))


def _read(folder: RunFolder, row: RowSpec) -> Line:
    try:
        return _line(row, ours(folder, row), "")
    except LabError as error:
        return _line(row, Ours(None), str(error))


def _line(row: RowSpec, found: Ours, trouble: str) -> Line:
    comparison = compare(found, row.printed, row.follows, row.comparable)
    return Line(row, found, comparison, trouble)


def _facts(folder: RunFolder) -> dict[str, Any]:
    start = folder.start
    return {
        "run": folder.path.name,
        "procedure": start["procedure"],
        "bench": start["bench"]["name"],
        "parameters": start["parameters"],
        "world": start["world"],
        "seed": start["seed"],
        "labctl": start["versions"]["labctl"],
        "commit": start["commit"],
        "points": folder.row_count,
        "bench_seconds": folder.last_time,
    }


def _pictures(
    entry: Entry, folder: RunFolder, lines: Sequence[Line], drawer: Drawer, troubles: list[str]
) -> list[drawing.Picture]:
    """Pictures of an entry; one that cannot be drawn is a trouble, not the end of the report."""
    found = []
    try:
        if entry.compare_plot:
            table = [(line.spec, line.ours) for line in lines]
            found += [drawing.picture(name, figure) for name, figure in drawing.rows(table)]
        for spec in entry.plots:
            found.append(drawing.picture(spec.title, drawing.plot(spec, folder)))
    except LabError as error:
        troubles.append(f"comparison not drawn: {error}")
    try:
        own = drawer.figures(folder)
    except Exception as error:  # a procedure's figures are somebody's code
        troubles.append(" ".join(f"figures not drawn: {type(error).__name__}: {error}".split()))
        return found
    for name in own if entry.figures is None else entry.figures:
        if name in own:
            found.append(own[name])
        else:
            troubles.append(f"the procedure draws no figure {name!r}")
    return found


def total_counts(report: Report) -> dict[str, int]:
    """How many lines have which verdict."""
    counts: Counter[str] = Counter()
    for chapter in report.chapters:
        counts += chapter.counts()
    return ordered(counts)


def ordered(counts: Counter[str]) -> dict[str, int]:
    return {verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]}


def ours_text(line: Line) -> str:
    """Our value with its error and unit."""
    found, spec = line.ours, line.spec
    if not found.known or found.value is None:
        return "–"
    if spec.printed is not None and spec.printed.kind == "word":
        return "yes" if found.value else "no"
    value = found.value
    if not found.error:
        whole = float(value).is_integer() and abs(value) < 1e6
        return f"{value:.0f} {spec.unit}".strip() if whole else f"{value:.4g} {spec.unit}".strip()
    return measured({"value": value, "uncertainty": found.error, "unit": spec.unit})


def printed_text(printed: Printed | None, unit: str) -> str:
    """What is printed, with its unit."""
    if printed is None:
        return "not printed"
    return f"{printed.text} {unit}".strip() if printed.kind != "word" else printed.text


def pull_text(pull: float | None) -> str:
    """A difference in combined standard deviations."""
    if pull is None:
        return ""
    if not math.isfinite(pull):
        return "outside"
    return "0.0 σ" if abs(pull) < 0.05 else f"{pull:+.1f} σ".replace("-", "−")


def weaker(line: Line) -> float | None:
    """How many times larger our error is than the printed one, if that is much."""
    printed = line.spec.printed
    if printed is None or not printed.error or not line.ours.error:
        return None
    ratio = line.ours.error / printed.error
    return ratio if ratio > 2.0 else None
