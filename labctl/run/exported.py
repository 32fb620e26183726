"""What an exporter needs of a run, and how it puts a finished file in place."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import RequestError, StorageError
from labctl.run.columns import ABSENT
from labctl.run.reading import RunReader
from labctl.run.traces import file_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

TIME = "t (s)"


@dataclass
class ExportedRun:
    """A run as an exporter needs it: ordered columns, traces and a description."""

    run: RunReader

    @cached_property
    def columns(self) -> dict[str, list[Any]]:
        """Scalar columns, declared ones first, time last; gaps are None or `ABSENT`."""
        run = self.run
        source = run.source()
        held, traces = source.names(), {*run.trace_names, *(run.start.get("traces") or ())}
        declared = [n for n in run.start.get("columns") or () if n not in traces or n in held]
        gap = [ABSENT] * source.count()
        names = dict.fromkeys([*declared, *held])
        found = {name: source.values(name) if name in held else gap for name in names}
        time = TIME if TIME not in found else f"bench clock, {TIME}"
        return {**found, time: source.times().tolist()}

    def traces(self, name: str) -> Iterator[NDArray[Any] | None]:
        """Yield the array of each row in column `name`, None where it is missing or damaged."""
        for i in range(len(self.run.rows)):
            try:
                yield self.run.trace(name, i) if self.run.has_trace(name, i) else None
            except StorageError:  # `damage` says so
                yield None

    def derived(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Yield the intact arrays of the analysis."""
        for name in self.run.derived_names:
            with contextlib.suppress(StorageError):
                yield name, self.run.derived_array(name)

    @cached_property
    def damage(self) -> list[str]:
        """What of the run is left out because it cannot be believed, one line per place."""
        return self.run.verify()

    @cached_property
    def description(self) -> dict[str, Any]:
        """What the run was, and what came of it."""
        run = self.run
        return {
            "run": run.path.name,
            "status": run.status,
            "results": run.result,
            "settings": run.settings,
            "notes": run.notes,
            "damage": self.damage,
            "start": run.start,
        }


def unit_of(column: str) -> str:
    """Return the unit of a column named "name (unit)", or ""."""
    match = re.fullmatch(r".*\((.+)\)", column, re.DOTALL)
    return match[1] if match else ""


def beside(path: Path, names: Iterable[str]) -> dict[str, Path]:
    """Return a file beside `path` for each stream of time tags: run.tags-alice.csv."""
    return {
        name: path.with_name(f"{path.stem}.tags-{stem}{path.suffix}")
        for name, stem in file_names(names).items()
    }


def output_file(path: str | Path) -> Path:
    """Check that a file can be put here; a device or a pipe would be replaced by one.

    Raises:
        RequestError: it cannot; the message says why.
    """
    path = Path(path)
    if path.is_dir():
        raise RequestError(f"{path}: is a folder; name the file to write")
    if not path.parent.is_dir():
        raise RequestError(f"{path}: there is no folder {path.parent}; make it first")
    if path.exists() and not path.is_file():
        raise RequestError(f"{path}: is no ordinary file; name another one to write")
    return path


def in_one_step(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a file beside `path`, then put it in place of `path`; links stay links."""
    place = path.resolve()
    part = place.with_name(f".{place.name}.{os.getpid()}.part")
    try:
        write(part)
        part.replace(place)
    finally:
        part.unlink(missing_ok=True)
    return path
