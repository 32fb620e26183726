"""What is known of a run, as a page: marks, parameters, results, figures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import zip_longest
from pathlib import Path

from labctl.gui.theme import Theme
from labctl.run.catalogue import RunSummary
from labctl.units import measured, unit_text
from labctl.viewing import words


def details(run: RunSummary, runs_dir: Path, theme: Theme) -> str:
    """A page about one run."""
    title = f" – {escape(run.title)}" if run.title else ""
    star = "★ " if run.starred else ""
    begun = f"{run.started:%Y-%m-%d %H:%M:%S}" if run.started else "?"
    facts = [f"{run.status}", f"begun {begun}", f"bench {run.bench or 'none'} ({run.mode})",
             f"{run.rows} rows", f"seed {run.seed}"]  # fmt: skip
    parts = [f"<h3>{star}{run.number} {escape(run.procedure)}{title}</h3>"]
    parts.append(f"<p style='color:{theme.dim}'>{escape(', '.join(facts))}</p>")
    if run.reason:
        parts.append(f"<p style='color:{theme.bad}'>{escape(run.reason)}</p>")
    if run.labels:
        parts.append(f"<p>labels: <b>{escape(', '.join(run.labels))}</b></p>")
    parts += [f"<p><i>{escape(remark)}</i></p>" for remark in run.remarks[-6:]]
    results = [(name, _unbroken(measured(result))) for name, result in run.results.items()]
    parameters = []
    for name, value in run.parameters.items():
        text = f"{words.number(value, 17)} {unit_text(run.units.get(name))}".strip()
        parameters.append((name, _unbroken(text) if isinstance(value, float) else text))
    pictures = sorted((runs_dir / ".figures" / run.path.name).glob("*.png"))
    images = "".join(f"<img src='{path.resolve().as_uri()}' width='380'>" for path in pictures[:2])
    parts.append(
        "<table cellspacing='12'><tr>"
        f"<td valign='top'><b>results</b>{table_of(results, theme)}</td>"
        f"<td valign='top'><b>parameters</b>{table_of(parameters, theme)}</td>"
        f"<td valign='top'>{images}</td></tr></table>"
    )
    parts.append(f"<p style='color:{theme.dim}'>{escape(str(run.path))}</p>")
    return "".join(parts)


def table_of(rows: Iterable[Sequence[str]], theme: Theme, shares: Sequence[int | None] = ()) -> str:
    """Texts in rows and columns, as wide as they are, or with shares (%) of the whole width."""
    widths = [f" width='{share}%'" if share else "" for share in shares]
    lines = [
        "".join(
            f"<td{width}>{escape(str(text))}&nbsp;&nbsp;</td>"
            for text, width in zip_longest(row, widths, fillvalue="")
        )
        for row in rows
    ]
    whole = " width='100%'" if shares else ""
    return (
        f"<table cellpadding='2'{whole}><tr>{'</tr><tr>'.join(lines)}</tr></table>"
        if lines
        else (f"<p style='color:{theme.dim}'>none</p>")
    )


def _unbroken(text: str) -> str:
    """A value that stays in one line with its error and unit."""
    return text.replace(" ", "\u00a0")
