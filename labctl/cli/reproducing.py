"""labctl reproduce: the publications' figures and tables measured again, ours beside theirs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from labctl.cli import progress
from labctl.cli.arguments import finite, print_json
from labctl.errors import RequestError, cannot_write

#: Columns of a terminal from which on each row of the outcome begins with its entry.
WIDE = 140


def reproduce(arguments: Any) -> int:
    from labctl.reproduction import document, page, report, running  # now, not after an hour
    from labctl.reproduction.selection import select

    selected = select(arguments.names)
    if arguments.list:
        return _list(selected, arguments)
    folder = _folder(arguments.output)
    entries = [entry for _, chosen in selected for entry in chosen]
    jobs, keys = running.plan(entries, arguments.quick)
    with progress.watcher(quiet=arguments.json) as listener:
        made = running.make(jobs, folder / "runs", listener)
    if not arguments.json:
        print("drawing the report", file=sys.stderr, flush=True)
    written = report.build(selected, keys, made, arguments.quick)
    numbers = document.document(written)
    _write(folder / "report.html", page.page(written))
    _write(folder / "report.json", _json(numbers))
    if arguments.json:
        print_json(numbers)
    else:
        _summary(written, folder)
    failed = [(job, made[job.key]) for job in jobs if made[job.key].status != "finished"]
    for job, outcome in failed:
        place = f" ({outcome.path})" if outcome.path else ""
        reason = f": {outcome.reason}" if outcome.reason else ""
        print(f"labctl: {', '.join(job.names)}{place} {outcome.status}{reason}", file=sys.stderr)
    return 1 if failed else 0


def _folder(name: str) -> Path:
    """The folder of the report, made if it is not there; refused before anything runs."""
    folder = Path(name)
    try:
        (folder / "runs").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or error
        raise RequestError(f"{folder}: cannot be made: {reason}; choose another -o DIR") from None
    if not os.access(folder, os.W_OK):
        raise RequestError(f"{folder}: is not writable; choose another -o DIR")
    return folder


def _write(path: Path, text: str) -> None:
    """Write a file whole: whoever reads it meanwhile sees the old one."""
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
    except OSError as error:
        raise cannot_write(path, error, "choose another -o DIR") from None


def _json(document: Any) -> str:
    import json

    return json.dumps(finite(document), indent=2, ensure_ascii=False) + "\n"


def _list(selected: Any, arguments: Any) -> int:
    if arguments.json:
        print_json(
            [
                {
                    "name": entry.full_name, "figure": entry.figure, "title": entry.title,
                    "procedure": entry.procedure, "bench": entry.bench, "cost": entry.cost,
                    "rows": len(entry.rows), "quick": entry.quick is not None,
                }
                for _, entries in selected
                for entry in entries
            ]
        )  # fmt: skip
        return 0
    for paper, entries in selected:
        print(f"{paper.name}: {paper.title}, {paper.reference}")
        width = max(len(entry.full_name) for entry in entries)
        for entry in entries:
            print(f"  {entry.full_name:<{width}}  {entry.figure}: {entry.title}")
    return 0


def _summary(report: Any, folder: Path) -> None:
    from rich.table import Table
    from rich.text import Text

    from labctl.cli.console import console
    from labctl.reproduction.report import ours_text, printed_text, pull_text, total_counts

    out = console(one_line_per_row=True)
    beside = out.width >= WIDE  # for grep; where there is less room, entries are lines of their own
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in (*(["entry"] if beside else []), "quantity", "ours", "publication", "difference",
                 "verdict"):  # fmt: skip
        table.add_column(name, no_wrap=name not in ("quantity", "publication"), overflow="fold")
    for chapter in report.chapters:
        for section in chapter.sections:
            if not beside and section.lines:
                table.add_row(Text(section.entry.full_name, style="bold"))
            for line in section.lines:
                spec, comparison = line.spec, line.comparison
                theirs, pull = printed_text(spec.printed, spec.unit), comparison.pull
                if spec.printed is None and spec.follows is not None:
                    theirs = f"{printed_text(spec.follows, spec.unit)} follows"
                    pull = comparison.follows_pull
                table.add_row(
                    *([section.entry.full_name] if beside else []), spec.name, ours_text(line),
                    theirs, pull_text(pull), comparison.verdict,
                )  # fmt: skip
    out.print(table)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in total_counts(report).items())
    out.print(counts, soft_wrap=True)
    out.print(f"report: {folder / 'report.html'}", soft_wrap=True)
