"""Which panels a run shows: declared by its procedure, chosen by the user, kept per procedure."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from labctl.live import Curve, HeatMap, Trace


@dataclass(frozen=True)
class Histogram:
    """How often each value of a column occurred."""

    title: str
    column: str


Panel = Curve | HeatMap | Histogram | Trace
KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in (Curve, HeatMap, Histogram, Trace)}


@dataclass
class Shown:
    """A panel and how it is looked at."""

    panel: Panel
    log_x: bool = False
    log_y: bool = False
    cursors: bool = False

    def document(self) -> dict[str, Any]:
        looks = {"log_x": self.log_x, "log_y": self.log_y, "cursors": self.cursors}
        return {"panel": document(self.panel), **looks}


def document(panel: Panel) -> dict[str, Any]:
    """A panel as JSON."""
    return {"kind": type(panel).__name__, **asdict(panel)}


def from_document(found: Mapping[str, Any]) -> Panel:
    """A panel from JSON.

    Raises:
        ValueError: it is none.
    """
    kind = KINDS.get(str(found.get("kind")))
    if kind is None:
        raise ValueError(f"unknown kind of panel {found.get('kind')!r}")
    known = {f.name for f in fields(kind)}
    values = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in found.items() if name in known
    }  # fmt: skip
    try:
        panel: Panel = kind(**values)
    except TypeError as error:
        raise ValueError(f"incomplete panel: {error}") from None
    return panel


def usual(
    declared: Sequence[Mapping[str, Any]], columns: Sequence[str], traces: Sequence[str] = ()
) -> list[Shown]:
    """What the procedure declares; else its last two columns over the index, and its arrays."""
    found = []
    for one in declared:
        with contextlib.suppress(ValueError):
            panel = from_document(one)
            looks = {name: getattr(panel, name, False) for name in ("log_x", "log_y")}
            found.append(Shown(panel, **looks))
    if found:
        return found
    values = [name for name in columns if name != "index"]
    x = "index" if "index" in columns or not values else values[0]
    shown = [name for name in values if name != x][-2:] or values[-1:]
    found = [Shown(Curve(name, x, name)) for name in shown]
    return found + [Shown(Trace(name, name)) for name in traces[:1]]


@dataclass
class Layouts:
    """The window's memory, a JSON file beside the runs: panels per procedure, looks, places."""

    path: Path
    values: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> Layouts:
        """What was saved last; nothing, if that cannot be read."""
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            values = {}
        return cls(path, values if isinstance(values, dict) else {})

    def panels(self, procedure: str) -> list[Shown] | None:
        """The saved panels of a procedure; None if there are none that can be read."""
        saved = self.values.get("panels", {}).get(procedure)
        if not isinstance(saved, list):
            return None
        found = []
        for one in saved:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                looks = {n: bool(one.get(n)) for n in ("log_x", "log_y", "cursors")}
                found.append(Shown(from_document(one["panel"]), **looks))
        return found or None

    def keep_panels(self, procedure: str, shown: Sequence[Shown] | None) -> None:
        """Save the panels of a procedure; None forgets them."""
        panels = self.values.setdefault("panels", {})
        if shown is None:
            panels.pop(procedure, None)
        else:
            panels[procedure] = [one.document() for one in shown]
        self.save()

    def save(self) -> None:
        """Write the file in one step; a read-only place costs the memory, not the window."""
        part = self.path.with_suffix(".part")
        with contextlib.suppress(OSError):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(self.values, indent=1), encoding="utf-8")
            part.replace(self.path)
