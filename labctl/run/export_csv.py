"""CSV export: one file that pymeasure opens, and one beside it for each trace."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labctl.errors import LabError
from labctl.jsonline import to_json
from labctl.run.columns import ABSENT
from labctl.run.exported import ExportedRun, beside, in_one_step
from labctl.run.traces import file_names

if TYPE_CHECKING:
    from numpy.typing import NDArray


def write_csv(exported: ExportedRun, path: Path) -> list[Path]:
    """Write one line per row, under a header that names parameters and description.

    Traces and time tags lie in files of their own beside it, one line per value.
    """
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

    def write_tags(name: str) -> Callable[[Path], None]:
        def write(part: Path) -> None:
            with part.open("w", encoding="utf-8", newline="") as file:
                file.write(",".join(map(_label, ["row", *exported.run.tag_fields(name)])) + "\n")
                for row, columns in exported.run.intact_tags(name):
                    values = zip(*(column.tolist() for column in columns.values()), strict=True)
                    file.writelines(f"{row}," + ",".join(map(repr, v)) + "\n" for v in values)

        return write

    tags = beside(path, exported.run.tag_names)
    written = [in_one_step(file, write_trace(name)) for name, file in sidecars.items()]
    written += [in_one_step(file, write_tags(name)) for name, file in tags.items()]
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
