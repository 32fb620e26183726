"""The report as one JSON document, for programs."""

from __future__ import annotations

from typing import Any

from labctl import __version__
from labctl.reproduction.printed import Printed
from labctl.reproduction.report import Line, Report, Section, ordered, total_counts


def document(report: Report) -> dict[str, Any]:
    """The report as one JSON document."""
    return {
        "labctl": __version__,
        "written": report.written.isoformat(timespec="seconds"),
        "quick": report.quick,
        "counts": total_counts(report),
        "papers": [
            {
                "name": chapter.paper.name,
                "title": chapter.paper.title,
                "authors": chapter.paper.authors,
                "reference": chapter.paper.reference,
                "counts": ordered(chapter.counts()),
                "agrees_as_assumed": chapter.assumed(),
                "entries": [_entry_document(section) for section in chapter.sections],
                "missing": [
                    {"figure": figure, "why": why} for figure, why in chapter.paper.missing
                ],
            }
            for chapter in report.chapters
        ],
    }


def _entry_document(section: Section) -> dict[str, Any]:
    entry, made = section.entry, section.made
    return {
        "name": entry.full_name,
        "figure": entry.figure,
        "title": entry.title,
        "status": made.status,
        "reason": made.reason,
        "path": str(made.path) if made.path else None,
        "reused": made.reused,
        **section.facts,
        "rows": [_line_document(line) for line in section.lines],
        "troubles": list(section.troubles),
    }


def _line_document(line: Line) -> dict[str, Any]:
    spec, comparison = line.spec, line.comparison
    return {
        "name": spec.name,
        "unit": spec.unit,
        "ours": {"value": line.ours.value, "uncertainty": line.ours.error},
        "printed": _printed_document(spec.printed),
        "where": spec.where,
        "difference_sigma": comparison.pull,
        "verdict": comparison.verdict,
        "follows": _printed_document(spec.follows),
        "because": spec.because,
        "follows_difference_sigma": comparison.follows_pull,
        "follows_verdict": comparison.follows_verdict,
        "origin": spec.origin,
        "remark": spec.remark,
        "trouble": line.trouble,
    }


def _printed_document(printed: Printed | None) -> dict[str, Any] | None:
    if printed is None:
        return None
    return {
        "text": printed.text, "kind": printed.kind, "value": printed.value, "high": printed.high,
        "uncertainty": printed.error, "sigma": printed.sigma,
    }  # fmt: skip
