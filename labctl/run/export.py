"""Exports of a run: copies for other programs, lossless, never the source.

Every format holds all rows with their bench-clock time (last column, `t (s)`), the traces, and
the run's description (parameters, units, results, versions, settings) as JSON under `labctl`.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import LabError, RequestError, StorageError, nearest
from labctl.jsonline import to_json
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
        """Yield the array of each row in column `name`, None where a row has none."""
        for i in range(len(self.run.rows)):
            yield self.run.trace(name, i) if self.run.has_trace(name, i) else None

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
            "damage": run.damage,
            "start": run.start,
        }


def unit_of(column: str) -> str:
    """Return the unit of a column named "name (unit)", or ""."""
    match = re.fullmatch(r".*\((.+)\)", column, re.DOTALL)
    return match[1] if match else ""


def export(folder: RunReader | Path | str, format: str, path: Path | str) -> list[Path]:
    """Write a run in another format; returns the files written.

    Args:
        folder: the run.
        format: "csv" (opens in pymeasure; each trace column in a file of its own beside it),
            "parquet" (traces as lists), "hdf5" or "netcdf" (the same file: NetCDF-4 is HDF5;
            traces as padded two-dimensional variables with their lengths).
        path: the file; replaced if it exists, in one step when it is complete.

    Raises:
        RequestError: unknown format, or no such place to write to.
        StorageError: the run is damaged, or the file cannot be written.
    """
    from labctl.run import export_binary

    writers: dict[str, Callable[[ExportedRun, Path], list[Path]]] = {
        "csv": _write_csv,
        "parquet": export_binary.write_parquet,
        "hdf5": export_binary.write_netcdf,
        "netcdf": export_binary.write_netcdf,
    }
    if format not in writers:
        raise RequestError(
            f"unknown export format {format!r}{nearest(format, writers)}; known are "
            + ", ".join(writers)
        )
    path = Path(path)
    if not path.parent.is_dir():
        raise RequestError(f"{path}: there is no folder {path.parent} to write to")
    if path.is_dir():
        raise RequestError(f"{path}: is a folder; name the file to write")
    run = folder if isinstance(folder, RunReader) else RunReader(Path(folder))
    try:
        return writers[format](ExportedRun(run), path)
    except OSError as exc:
        raise StorageError(f"{path}: cannot be written: {exc.strerror or exc}") from exc


def in_one_step(path: Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a file beside `path`, then put it in place of `path`."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        write(part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _write_csv(exported: ExportedRun, path: Path) -> list[Path]:
    names = exported.run.trace_names
    sidecars = {
        name: path.with_name(f"{path.stem}.{stem}{path.suffix}")
        for name, stem in file_names(names).items()
    }

    def write_rows(part: Path) -> None:
        with part.open("w", encoding="utf-8", newline="") as file:
            file.write(_csv_header(exported, sidecars))
            file.write(",".join(map(_label, exported.columns)) + "\n")
            columns = ([_cell(v) for v in values] for values in exported.columns.values())
            file.writelines(",".join(cells) + "\n" for cells in zip(*columns, strict=True))

    def write_trace(name: str) -> Callable[[Path], None]:
        def write(part: Path) -> None:
            with part.open("w", encoding="utf-8", newline="") as file:
                for line in _trace_lines(exported.traces(name)):
                    file.write(line)

        return write

    written = [in_one_step(file, write_trace(name)) for name, file in sidecars.items()]
    return [in_one_step(path, write_rows), *written]


def _csv_header(exported: ExportedRun, sidecars: Mapping[str, Path]) -> str:
    """Return the comment lines that pymeasure reads parameters from, and our description."""
    start = exported.run.start
    lines = [f"Procedure: <{str(start.get('class') or '').replace(':', '.')}>", "Parameters:"]
    labels, units = _labels(start), start.get("units") or {}
    for name, value in (start.get("parameters") or {}).items():
        if value is not None:
            unit = f" {units[name]}" if units.get(name) else ""
            lines.append(f"\t{labels.get(name, name)}: {_parameter(value)}{unit}")
    about = {**exported.description, "traces": {n: p.name for n, p in sidecars.items()}}
    lines += [f"labctl: {to_json(about).decode()}", "Data:"]
    return "".join(f"#{line}\n" for line in lines)


def _labels(start: Mapping[str, Any]) -> dict[str, str]:
    """Return the display name of each parameter: as recorded, else from the procedure itself."""
    if start.get("labels"):
        return dict(start["labels"])
    from importlib import import_module

    module, _, name = str(start.get("class") or "").partition(":")
    try:
        procedure = getattr(import_module(module), name)()
        return {n: p.name for n, p in procedure.parameter_objects().items()}
    except (ImportError, AttributeError, ValueError, TypeError, LabError):
        return {}


def _parameter(value: Any) -> str:
    text = value if isinstance(value, str) else repr(value)
    if text.isprintable() and text == text.strip():
        return text
    return text.encode("unicode_escape").decode()  # as pymeasure does, but only where needed


def _cell(value: Any) -> str:
    """Return one value: floats in their shortest exact form, text always quoted, gaps empty."""
    if value is None or value is ABSENT:
        return ""
    if isinstance(value, float | int):
        return repr(value)
    return _quoted(value if isinstance(value, str) else to_json(value).decode())


def _label(name: str) -> str:
    """Return a column label, quoted only where it must be."""
    return _quoted(name) if re.search(r"""[",\r\n#]""", name) else name


def _quoted(text: str) -> str:
    line = io.StringIO()
    csv.writer(line, quoting=csv.QUOTE_ALL, lineterminator="").writerow([text])
    return line.getvalue()


def _trace_lines(traces: Iterator[NDArray[Any] | None]) -> Iterator[str]:
    """Yield one line per value: row number, position in the trace, value or its two parts."""
    header = "row,position,value\n"
    for row, trace in enumerate(traces):
        if trace is None:
            continue
        flat = trace.reshape(-1)
        if flat.dtype.kind == "c":
            header = header.replace("value", "real,imaginary")
            cells = [f"{v.real!r},{v.imag!r}" for v in flat.tolist()]
        else:
            cells = [repr(v) for v in flat.tolist()]
        if header:
            yield header
            header = ""
        yield "".join(f"{row},{i},{cell}\n" for i, cell in enumerate(cells))
