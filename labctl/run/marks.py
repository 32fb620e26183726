"""What people add to a run, at any time: labels, a star, remarks; in `marks.jsonl` beside it.

`run.jsonl` has one writer; this file has as many as there are people.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from labctl.errors import RequestError
from labctl.journal import Journal, append_shared

FILE = "marks.jsonl"
LONGEST_LABEL, LONGEST_REMARK = 60, 10_000


@dataclass(frozen=True)
class Marks:
    """The marks of a run."""

    labels: tuple[str, ...] = ()
    starred: bool = False
    remarks: tuple[str, ...] = ()


def read(folder: Path) -> Marks:
    """The marks of a run, as the last word on each says."""
    path = folder / FILE
    if not path.is_file():
        return Marks()
    labels: dict[str, None] = {}
    starred = False
    remarks = []
    for entry in Journal.read(path):
        kind, text = entry.get("entry"), str(entry.get("text", ""))
        if kind == "label" and entry.get("on"):
            labels[text] = None
        elif kind == "label":
            labels.pop(text, None)
        elif kind == "star":
            starred = bool(entry.get("on"))
        elif kind == "remark":
            remarks.append(text)
    return Marks(tuple(labels), starred, tuple(remarks))


def label(folder: Path, text: str, on: bool = True) -> None:
    """Give a run a label, or take it away.

    Raises:
        RequestError: it is empty, too long or has spaces around words that nobody could search.
    """
    text = " ".join(text.split())
    if not text or len(text) > LONGEST_LABEL or not text.isprintable():
        raise RequestError(f"a label has 1 to {LONGEST_LABEL} printable characters, not {text!r}")
    _append(folder, {"entry": "label", "text": text, "on": on})


def star(folder: Path, on: bool = True) -> None:
    """Mark a run as one to come back to."""
    _append(folder, {"entry": "star", "on": on})


def remark(folder: Path, text: str) -> None:
    """Write something down about a run; what was written before stays."""
    text = text.strip()
    if not text or len(text) > LONGEST_REMARK:
        raise RequestError(f"a remark has 1 to {LONGEST_REMARK} characters")
    _append(folder, {"entry": "remark", "text": text})


def changed(folder: Path) -> int:
    """When the marks were last changed (ns), 0 if there are none; quick."""
    try:
        return (folder / FILE).stat().st_mtime_ns
    except OSError:
        return 0


def _append(folder: Path, entry: dict[str, object]) -> None:
    if not (folder / "run.jsonl").is_file():
        raise RequestError(f"{folder}: is not a run folder (it has no run.jsonl)")
    append_shared(folder / FILE, {**entry, "at": time.time()})
