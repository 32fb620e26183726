"""Parquet and NetCDF-4 (which is HDF5) exports."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.errors import StorageError
from labctl.jsonline import to_json
from labctl.run.columns import ABSENT, arrow_type, kind_of, to_arrow
from labctl.run.exported import ExportedRun, beside, in_one_step, unit_of
from labctl.run.traces import file_names

if TYPE_CHECKING:
    from numpy.typing import NDArray


#: Bytes of an HDF5 file beyond its data: names, attributes, unfilled chunks.
MARGIN = 4_000_000


def write_parquet(exported: ExportedRun, path: Path) -> list[Path]:
    """Write one table: typed columns, traces as lists (complex values as real and imaginary)."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    fields, columns = [], []
    for name, values in exported.columns.items():
        kind, absent = kind_of(values)
        about = {"unit": unit_of(name), "kind": kind, "gap": "absent" if absent else "none"}
        fields.append(pa.field(name, arrow_type(kind), metadata=about))
        columns.append(to_arrow(values, kind))
    for name in exported.run.trace_names:
        traces = list(exported.traces(name))
        column, shapes = _lists(traces), [None if t is None else t.shape for t in traces]
        about = {"unit": unit_of(name), "kind": "trace", "dtype": _dtype(traces).name}
        if any(shape is not None and len(shape) > 1 for shape in shapes):
            about["shapes"] = to_json(shapes).decode()
        fields.append(pa.field(name, column.type, metadata=about))
        columns.append(column)
    whole = pa.schema(fields, metadata={"labctl": to_json(exported.description)})
    table = pa.Table.from_arrays(columns, schema=whole)
    tags = beside(path, exported.run.tag_names)
    return [
        in_one_step(path, lambda part: pq.write_table(table, part, compression="zstd")),
        *(in_one_step(file, _tag_table(exported, name)) for name, file in tags.items()),
    ]


def _tag_table(exported: ExportedRun, name: str) -> Callable[[Path], None]:
    """Return what writes one stream of time tags: a column `row` and those recorded."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = {"row": "int64", **exported.run.tag_fields(name)}
    fields = [
        pa.field(column, _tag_type(kind), metadata={"unit": unit_of(column), "dtype": kind})
        for column, kind in kinds.items()
    ]
    schema = pa.schema(fields, metadata={"labctl": to_json(exported.description)})

    def write(part: Path) -> None:
        with pq.ParquetWriter(part, schema, compression="zstd") as writer:
            for row, columns in exported.run.intact_tags(name):
                rows = np.full(len(next(iter(columns.values()))), row)
                values = [_arrow(rows), *map(_arrow, columns.values())]
                writer.write_batch(pa.RecordBatch.from_arrays(values, schema=schema))

    return write


def _tag_type(kind: str) -> Any:
    return _arrow(np.empty(0, kind)).type


def _arrow(values: NDArray[Any]) -> Any:
    """Return an array as an Arrow column, complex values as real and imaginary."""
    import pyarrow as pa

    if values.dtype.kind != "c":
        return pa.array(values)
    parts = [pa.array(values.real.copy()), pa.array(values.imag.copy())]
    return pa.StructArray.from_arrays(parts, ["real", "imaginary"])


def write_netcdf(exported: ExportedRun, path: Path) -> list[Path]:
    """Write one NetCDF-4 file: a variable per column along `row`, traces padded along a second.

    Beside a variable with gaps stands `NAME.gap` (1 where there is no value), beside a trace
    `NAME.length` (-1 where a row has none). Padding is NaN, or 0 for integers. Complex values are
    the pair `NAME.real`, `NAME.imaginary`; "/" in names is written "_". The attribute `name` holds
    the name as recorded; `kind` "json" marks mixed columns, one JSON text per value. Time tags are
    groups `tags/NAME`: `row` and the recorded columns along a dimension `tag`.
    """
    _require_room(path, exported.run.path)
    return [in_one_step(path, lambda part: _NetCDF(part).write(exported))]


def _require_room(path: Path, folder: Path) -> None:
    """Refuse a disk that may be too small: HDF5 crashes when one fills up under it.

    The file is smaller than three times what was recorded: neither is compressed, and each time
    tag is given its row.
    """
    parts = [folder / "run.jsonl", *(f for d in ("arrays", "tags", "derived")
                                     for f in folder.glob(f"{d}/*"))]  # fmt: skip
    need = MARGIN + 3 * sum(file.stat().st_size for file in parts if file.is_file())
    free = shutil.disk_usage(path.resolve().parent).free
    if free < need:
        raise StorageError(
            f"{path}: may need {need / 1e6:.0f} MB and {free / 1e6:.0f} MB are free; free some "
            "space, or choose another -o"
        )


class _NetCDF:
    def __init__(self, path: Path) -> None:
        import h5netcdf

        self.file = h5netcdf.File(path, "w")
        self.taken: set[str] = set()

    def write(self, exported: ExportedRun) -> None:
        with self.file as file:
            file.dimensions = {"row": len(exported.run.rows)}
            for name, values in exported.columns.items():
                self._column(name, values)
            for name in exported.run.trace_names:
                self._trace(name, list(exported.traces(name)))
            derived = file.create_group("derived")
            for name, array in exported.derived():
                self._array(derived, self._free(name), name, array, f"derived {name}")
            tags = file.create_group("tags")
            for name, stem in file_names(exported.run.tag_names).items():
                self._tags(tags.create_group(stem), name, exported)
            self._describe(exported.description)

    def _column(self, name: str, values: list[Any]) -> None:
        kind, absent = kind_of(values)
        gaps = np.array([v is None or v is ABSENT for v in values], dtype=np.int8)
        if kind == "text" and any("\0" in v for v in values if isinstance(v, str)):
            kind = "json"  # HDF5 text ends at a zero byte; JSON writes it \u0000
        if kind == "json":
            plain: list[Any] = [
                "" if g else to_json(v).decode() for v, g in zip(values, gaps, strict=True)
            ]
        else:
            blank = {"float": float("nan"), "none": float("nan"), "int": 0, "bool": 0, "text": ""}
            plain = [blank[kind] if g else v for v, g in zip(values, gaps, strict=True)]
        free = self._free(name)
        dtype = {"float": "f8", "none": "f8", "int": "i8", "bool": "i1"}.get(kind)
        if dtype is None:
            import h5py

            data, kind_of_data = np.array(plain, dtype=object), h5py.string_dtype()
        else:
            data, kind_of_data = np.array(plain, dtype=dtype), np.dtype(dtype)
        variable = self.file.create_variable(free, ("row",), kind_of_data, data=data)
        self._label(variable, name, kind=kind, gap="absent" if absent else "none")
        if kind == "bool":
            variable.attrs["dtype"] = "bool"  # xarray's own convention
        if gaps.any():
            self.file.create_variable(self._free(f"{name}.gap"), ("row",), "i1", data=gaps)

    def _trace(self, name: str, traces: list[NDArray[Any] | None]) -> None:
        lengths = np.array([-1 if t is None else t.size for t in traces], dtype=np.int64)
        dtype = _dtype(traces)
        width = max(int(lengths.max(initial=0)), 1)
        padded = np.full((len(traces), width), np.nan if dtype.kind in "fc" else 0, dtype=dtype)
        if dtype.kind == "c":
            padded.imag = np.nan
        for row, trace in zip(padded, traces, strict=True):
            if trace is not None:
                row[: trace.size] = trace.reshape(-1)
        dimension = self._free(f"{name}.position")
        self.file.dimensions[dimension] = width
        free = self._free(name)
        shapes = [None if t is None else t.shape for t in traces]
        about = {"kind": "trace", "dtype_recorded": dtype.name}
        if any(shape is not None and len(shape) > 1 for shape in shapes):
            about["shapes"] = to_json(shapes).decode()
        self._array(self.file, free, name, padded, ("row", dimension), **about)
        self.file.create_variable(self._free(f"{name}.length"), ("row",), "i8", data=lengths)

    def _tags(self, group: Any, name: str, exported: ExportedRun) -> None:
        """Write one stream of time tags, batch by batch."""
        group.attrs["name"] = name
        group.dimensions = {"tag": None}  # grows
        variables = {}
        for column, kind in {"row": "int64", **exported.run.tag_fields(name)}.items():
            free = re.sub(r"[/\0]", "_", column)
            parts = {".real": "real", ".imaginary": "imag"} if kind.startswith("c") else {"": ""}
            for ending, part in parts.items():
                dtype = {"bool": "i1", "float16": "f4"}.get(kind, np.empty(0, kind).real.dtype.name)
                variable = group.create_variable(free + ending, ("tag",), dtype, chunks=(1 << 16,))
                self._label(variable, column, dtype_recorded=kind)
                variables[variable] = (column, part)
        first = 0
        for row, columns in exported.run.intact_tags(name):
            end = first + len(next(iter(columns.values())))
            group.resize_dimension("tag", end)
            columns = {"row": np.full(end - first, row), **columns}
            for variable, (column, part) in variables.items():
                values = columns[column]
                variable[first:end] = getattr(values, part) if part else values
            first = end

    def _array(
        self,
        group: Any,
        free: str,
        name: str,
        array: NDArray[Any],
        dimensions: tuple[str, ...] | str,
        **about: str,
    ) -> None:
        """Write one array; complex ones as two, and dtypes that NetCDF lacks as wider ones."""
        if isinstance(dimensions, str):
            names = tuple(self._free(f"{dimensions} {n}") for n in range(array.ndim))
            for dimension, size in zip(names, array.shape, strict=True):
                group.dimensions[dimension] = size
            dimensions = names
        parts = {free: array}
        if array.dtype.kind == "c":
            parts = {f"{free}.real": array.real, f"{free}.imaginary": array.imag}
        for part, data in parts.items():
            if data.dtype == np.float16:
                data = data.astype(np.float32)
            elif data.dtype == bool:
                data = data.astype(np.int8)
            elif data.dtype.kind == "U":
                data = data.astype(object)
            dtype = data.dtype
            if dtype.kind == "O":
                import h5py

                dtype = h5py.string_dtype()
            variable = group.create_variable(part, dimensions, dtype, data=data)
            self._label(variable, name, **about)

    def _label(self, variable: Any, name: str, **about: str) -> None:
        variable.attrs["name"] = name
        for key, value in about.items():
            variable.attrs[key] = value
        if unit := unit_of(name):
            variable.attrs["units"] = unit

    def _describe(self, description: dict[str, Any]) -> None:
        """Put what people look for into attributes, and everything as JSON into a variable."""
        start = description["start"]
        attributes = {key: start.get(key) for key in ("procedure", "title", "mode", "seed")}
        attributes |= {"run": description["run"], "status": description["status"]}
        units = start.get("units") or {}
        for name, value in (start.get("parameters") or {}).items():
            attributes[f"parameter {name}"] = value
            attributes[f"unit of {name}"] = units.get(name)
        for name, result in description["results"].items():
            attributes[f"result {name}"] = to_json(result).decode()
        for name, version in (start.get("versions") or {}).items():
            attributes[f"version {name}"] = version
        for name, value in attributes.items():
            if value not in (None, ""):
                plain = isinstance(value, str | float) or (
                    type(value) is int and abs(value) < 2**63
                )
                text = value if plain else to_json(value).decode()
                self.file.attrs[name.replace("/", "_")] = text
        import h5py

        group = self.file.create_group("labctl")
        text = np.array(to_json(description).decode(), dtype=object)
        group.create_variable("description", (), h5py.string_dtype(), data=text)

    def _free(self, name: str) -> str:
        """Return a name that HDF5 allows and nothing here bears yet."""
        stem = re.sub(r"[/\0]", "_", name).strip(". ") or "_"
        candidate, number = stem, 1
        while candidate in self.taken:
            number += 1
            candidate = f"{stem} {number}"
        self.taken.add(candidate)
        return candidate


def _dtype(traces: Iterable[NDArray[Any] | None]) -> np.dtype[Any]:
    return next((t.dtype for t in traces if t is not None), np.dtype(float))


def _lists(traces: list[NDArray[Any] | None]) -> Any:
    """Return traces as one Arrow column of lists; their rows share one dtype."""
    import pyarrow as pa

    lengths = [0 if t is None else t.size for t in traces]
    flat = np.concatenate(
        [np.empty(0, _dtype(traces)), *(t.ravel() for t in traces if t is not None)]
    )
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64())
    missing = pa.array([t is None for t in traces])
    return pa.LargeListArray.from_arrays(offsets, _arrow(flat), mask=missing)
