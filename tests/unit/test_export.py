"""Exports keep every bit; CSV opens in pymeasure, the others in the programs of the field."""

from __future__ import annotations

import csv
import errno
import json
import math
import os
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymeasure.experiment import (
    BooleanParameter,
    FloatParameter,
    IntegerParameter,
    ListParameter,
    Parameter,
    Procedure,
    Results,
    VectorParameter,
)

from labctl.errors import RequestError, StorageError
from labctl.run.export import export
from labctl.run.exported import ExportedRun
from labctl.run.folder import RunFolder

FLOATS = [
    0.1, -0.0, math.nan, math.inf, -math.inf, 5e-324, -2.2250738585072011e-308, 1.7976931348623157e308,
    np.nextafter(1.0, 2.0), 1550.1200000000001, 1 / 3, 299792458.0, 1e22, 1e23, 2.0**53 + 2,
]  # fmt: skip
FLOATS = [float(x) for x in FLOATS]
TEXTS = ["plain", "with, comma", 'with "quotes"', "two\nlines", "cr\r\nlf", "ünïcode µ 漢字 🙂", "#no comment",
         " edges ", "tab\there", "'", "1.5", "True", "a\\b", "=1+1", "nul\0byte"]  # fmt: skip
INTS = [-(2**63), 2**63 - 1, 0, 2**53 + 1, *range(11)]


class Scan(Procedure):
    """A procedure as pymeasure users write them."""

    centre = FloatParameter("Centre wavelength", units="nm", default=1.0)
    steps = IntegerParameter("Steps", default=2)
    fine = BooleanParameter("Fine", default=False)
    kind = ListParameter("Kind", choices=["1d", "2d"], default="1d")
    comment = Parameter("Comment", default="")
    corners = VectorParameter("Corners", length=3, default=[0, 0, 0])
    DATA_COLUMNS = ["index", "x (nm)", "count", "ok", "text", "rate (1/s)"]


PARAMETERS = {
    "centre": 384.2304844684999, "steps": 81, "fine": True, "kind": "2d", "comment": "a: b, c # ü",
    "corners": [1.5, -0.25, 1e-9],
}  # fmt: skip
START = {
    "procedure": "scan", "class": "labctl_test_scan:Scan", "title": "für export", "seed": 7,
    "parameters": PARAMETERS, "units": {"centre": "nm", "steps": None},
    "labels": {n: p.name for n, p in Scan().parameter_objects().items()},
    "columns": Scan.DATA_COLUMNS, "traces": ["s (dBm)", "z", "image"],
    "versions": {"labctl": "0.1"},
}  # fmt: skip
TRACES = {
    "s (dBm)": [np.array(FLOATS), np.array([]), None, np.array([-0.0])],
    "z": [np.array([1 - 2j, complex(np.nan, -0.0)]), None, np.array([5e-324j]), None],
    "n": [
        np.array([-(2**63), 2**63 - 1]),
        np.array([0]),
        np.array([1, 2, 3]),
        np.array([], np.int64),
    ],
    "f": [np.array([0.1, 1e-45, np.nan], np.float32)] * 4,
    "image": [np.arange(6, dtype=np.uint16).reshape(2, 3)] * 4,
}


def rows() -> list[dict[str, Any]]:
    return [
        {"index": i, "x (nm)": FLOATS[i], "count": INTS[i], "ok": i % 3 == 0, "text": TEXTS[i],
         "rate (1/s)": FLOATS[-i - 1], "gap": None if i % 2 else FLOATS[i],
         "mixed": [1, 2.5, "x, y", None, True, 2**70][i % 6], **({"late": i} if i > 3 else {}),
         "int gap": None if i == 4 else INTS[i]}
        for i in range(len(FLOATS))
    ]  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    folder = RunFolder.create(tmp_path / "runs", "scan", START)
    folder.opened({"settings": {"laser": {"power": 1.5}}})
    for i, row in enumerate(rows()):
        arrays = {n: t[i] for n, t in TRACES.items() if i < len(t) and t[i] is not None}
        folder.emit({**row, **arrays}, FLOATS[0] * i)
    folder.save_derived("psd (dBm/Hz)", np.arange(6.0).reshape(2, 3))
    folder.save_derived("modes", np.array([1 + 1j, 2.0]))
    folder.results({"fsr": {"value": 0.1, "uncertainty": math.nan, "unit": "GHz"}})
    folder.stop("finished")
    folder.close()
    return RunFolder.open(folder.path)


def scalars(run: RunFolder, name: str) -> list[Any]:
    return [row.get(name) for row in run.rows]


def same(found: Any, expected: Any) -> bool:
    """Bit for bit, with all NaN alike."""
    found, expected = np.asarray(found), np.asarray(expected)
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return False
    if expected.dtype.kind in "fc":
        part = np.float32 if expected.dtype.itemsize == 4 else np.float64
        found, expected = (np.ascontiguousarray(a).view(part).copy() for a in (found, expected))
        nans = np.isnan(expected)
        if not (np.isnan(found) == nans).all():
            return False
        found[nans] = expected[nans] = 0.0
    return found.tobytes() == expected.tobytes()


# -- CSV --------------------------------------------------------------------------------------


@pytest.fixture
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("labctl_test_scan")
    module.Scan = Scan  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "labctl_test_scan", module)


@pytest.mark.parametrize("given_class", [True, False])
@pytest.mark.usefixtures("importable")
def test_csv_opens_in_pymeasure_with_identical_rows_and_parameters(
    run: RunFolder, tmp_path: Path, given_class: bool
) -> None:
    path, *_ = export(run, "csv", tmp_path / "out.csv")
    results = Results.load(str(path), Scan if given_class else None)
    assert isinstance(results.procedure, Scan)
    assert results.procedure.parameter_values() == PARAMETERS
    for _ in range(2):  # pymeasure reads once more when asked again
        data = results.data
        assert list(data.columns)[: len(Scan.DATA_COLUMNS)] == Scan.DATA_COLUMNS
        for name in ("x (nm)", "rate (1/s)", "index", "count", "ok"):
            assert same(data[name].to_numpy(), scalars(run, name)), name
        assert same(data["t (s)"].to_numpy(), run.times)
        assert data["text"].tolist() == TEXTS
        assert same(data["gap"].to_numpy(), run.columns()["gap"])


@pytest.mark.usefixtures("importable")
def test_csv_labels_come_from_the_procedure_where_the_run_has_none(
    run: RunFolder, tmp_path: Path
) -> None:
    start = {k: v for k, v in START.items() if k != "labels"}
    with RunFolder.create(tmp_path / "runs", "scan", start) as old:
        old.emit({"index": 0}, 0.0)
        old.stop("finished")
    path, *_ = export(old.path, "csv", tmp_path / "out.csv")
    assert Results.load(str(path)).procedure.parameter_values() == PARAMETERS


def test_csv_is_readable_without_pymeasure_and_without_the_procedure(
    run: RunFolder, tmp_path: Path
) -> None:
    path, *_ = export(run, "csv", tmp_path / "out.csv")
    assert same(pd.read_csv(path, comment="#")["x (nm)"].to_numpy(), FLOATS)
    text = path.read_text(encoding="utf-8")
    assert text.startswith("#Procedure: <labctl_test_scan.Scan>\n#Parameters:\n")
    assert "#\tCentre wavelength: 384.2304844684999 nm\n" in text
    assert "#\tSteps: 81\n" in text
    (about,) = [line for line in text.splitlines() if line.startswith("#labctl: ")]
    described = json.loads(about.removeprefix("#labctl: "))
    assert described["start"]["parameters"]["centre"] == 384.2304844684999
    assert described["results"]["fsr"]["unit"] == "GHz"


def test_csv_keeps_every_value_for_any_reader(run: RunFolder, tmp_path: Path) -> None:
    path, *_ = export(run, "csv", tmp_path / "out.csv")
    with path.open(encoding="utf-8", newline="") as file:
        lines = [line for line in csv.reader(file) if line and not line[0].startswith("#")]
    names, *cells = lines
    assert len(cells) == len(FLOATS)
    for row, line in zip(run.rows, cells, strict=True):
        for name, cell in zip(names, line, strict=True):
            value = row.get(name)
            if name == "t (s)":
                continue
            if value is None:
                assert cell == ""
            elif isinstance(value, bool):
                assert cell == str(value)
            elif isinstance(value, str):
                assert cell == value
            elif isinstance(value, int):
                assert int(cell) == value
            else:
                assert same(float(cell), value)


def test_csv_traces_lie_beside_it(run: RunFolder, tmp_path: Path) -> None:
    files = export(run, "csv", tmp_path / "out.csv")
    assert [f.name for f in files] == [
        "out.csv", "out.s_dBm.csv", "out.z.csv", "out.n.csv", "out.f.csv", "out.image.csv",
    ]  # fmt: skip
    for (name, traces), path in zip(TRACES.items(), files[1:], strict=True):
        table = pd.read_csv(path, dtype={"value": str})
        for i, trace in enumerate(traces):
            part = table[table["row"] == i]
            if trace is None:
                assert part.empty
                continue
            assert part["position"].tolist() == list(range(trace.size))
            if trace.dtype.kind == "c":
                found = np.empty(len(part), complex)
                found.real, found.imag = part["real"], part["imaginary"]
            elif trace.dtype.kind == "f":
                found = np.array([float(v) for v in part["value"].fillna("nan")], trace.dtype)
            else:
                found = np.array([int(v) for v in part["value"]], trace.dtype)
            assert same(found, trace.reshape(-1)), (name, i)


@given(values=st.lists(st.floats(), min_size=1, max_size=50))
@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_float_survives_csv_and_pymeasure(tmp_path: Path, values: list[float]) -> None:
    with RunFolder.create(tmp_path / "runs", "scan", {**START, "columns": ["x (nm)"]}) as run:
        for x in values:
            run.emit({"x (nm)": x, "f": 0.5}, 0.0)
    path, *_ = export(run.path, "csv", tmp_path / "out.csv")
    data = Results.load(str(path), Scan).data
    assert same(data["x (nm)"].to_numpy(dtype=float), values)


# -- Parquet ----------------------------------------------------------------------------------


def test_parquet_keeps_everything(run: RunFolder, tmp_path: Path) -> None:
    (path,) = export(run, "parquet", tmp_path / "out.parquet")
    table = pq.read_table(path)
    for name in ("x (nm)", "rate (1/s)", "count", "ok", "index"):
        assert same(table[name].to_numpy(), scalars(run, name)), name
    assert table["text"].to_pylist() == TEXTS
    assert repr(table["gap"].to_pylist()) == repr(scalars(run, "gap"))
    assert table["int gap"].to_pylist() == scalars(run, "int gap")
    assert table["late"].to_pylist() == [None] * 4 + list(range(4, len(FLOATS)))
    mixed = table["mixed"].to_pylist()
    assert mixed[:3] == ["1", "2.5", '"x, y"']
    assert json.loads(table.schema.metadata[b"labctl"])["start"]["seed"] == 7
    assert table.schema.field("x (nm)").metadata[b"unit"] == b"nm"
    for name, traces in TRACES.items():
        column = table[name].to_pylist()
        for i, found in enumerate(column):
            trace = traces[i] if i < len(traces) else None
            if trace is None:
                assert found is None
            elif trace.dtype.kind == "c":
                pairs = np.array([complex(v["real"], v["imaginary"]) for v in found])
                assert same(pairs, trace)
            else:
                assert same(np.array(found, trace.dtype), trace.reshape(-1))
    assert json.loads(table.schema.field("image").metadata[b"shapes"])[0] == [2, 3]
    assert b"shapes" not in table.schema.field("n").metadata


# -- HDF5 and NetCDF --------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["hdf5", "netcdf"])
def test_hdf5_and_netcdf_keep_everything(run: RunFolder, tmp_path: Path, format: str) -> None:
    (path,) = export(run, format, tmp_path / "out.any")
    with h5py.File(path) as file:
        assert same(file["x (nm)"][:], FLOATS)
        assert same(file["rate (1_s)"][:], scalars(run, "rate (1/s)"))
        assert file["rate (1_s)"].attrs["name"] == "rate (1/s)"
        assert file["rate (1_s)"].attrs["units"] == "1/s"
        assert same(file["count"][:], scalars(run, "count"))
        assert file["ok"][:].astype(bool).tolist() == scalars(run, "ok")
        assert file["text"].attrs["kind"] == "json"  # one of the texts holds a zero byte
        assert [json.loads(text) for text in file["text"].asstr()[:]] == TEXTS
        missing = file["int gap.gap"][:].astype(bool)
        assert missing.tolist() == [value is None for value in scalars(run, "int gap")]
        assert file["int gap"][:][~missing].tolist() == INTS[:4] + INTS[5:]
        assert json.loads(file["mixed"].asstr()[2]) == "x, y"
        assert same(file["t (s)"][:], run.times)
        assert file.attrs["procedure"] == "scan"
        assert file.attrs["parameter centre"] == PARAMETERS["centre"]
        assert file.attrs["unit of centre"] == "nm"
        assert json.loads(file["labctl/description"].asstr()[()])["start"]["seed"] == 7
        assert file["derived/psd (dBm_Hz)"][:].tolist() == [[0, 1, 2], [3, 4, 5]]
        assert file["derived/modes.real"][:].tolist() == [1, 2]
        assert file["derived/modes.imaginary"][:].tolist() == [1, 0]
        for name, traces in TRACES.items():
            lengths = file[f"{name}.length"][:]
            for i, length in enumerate(lengths):
                trace = traces[i] if i < len(traces) else None
                if trace is None:
                    assert length == -1
                    continue
                if trace.dtype.kind == "c":
                    found = np.empty(length, complex)
                    found.real = file[f"{name}.real"][i, :length]
                    found.imag = file[f"{name}.imaginary"][i, :length]
                    padding = file[f"{name}.real"][i, length:]
                else:
                    found, padding = file[name][i, :length], file[name][i, length:]
                assert same(found, trace.reshape(-1)), (name, i)
                assert np.isnan(padding).all() if trace.dtype.kind in "fc" else not padding.any()
    with xr.open_dataset(path, engine="h5netcdf") as data:
        assert same(data["x (nm)"].to_numpy(), FLOATS)
        assert data["x (nm)"].dims == ("row",)
        assert data["ok"].to_numpy().tolist() == scalars(run, "ok")
        assert data["s (dBm)"].dims == ("row", "s (dBm).position")
        assert data["count"].dtype == np.int64


def test_text_without_zero_bytes_stays_text_in_hdf5(tmp_path: Path) -> None:
    with RunFolder.create(tmp_path / "runs", "x", {"columns": ["text"]}) as run:
        for text in TEXTS[:-1]:
            run.emit({"text": text, "half": np.array([0.5], np.float16)}, 0.0)
        run.emit({"text": None, "half": np.array([True])}, 0.0)
    (path,) = export(run.path, "hdf5", tmp_path / "out.h5")
    with h5py.File(path) as file:
        assert file["text"].asstr()[:].tolist() == [*TEXTS[:-1], ""]
        assert file["text.gap"][-1] == 1


def test_a_unit_of_time_is_no_date_for_xarray(tmp_path: Path) -> None:
    with RunFolder.create(
        tmp_path / "runs", "x", {"columns": ["dwell (s)", "wait (hours)"]}
    ) as run:
        run.emit({"dwell (s)": 0.5, "wait (hours)": 1.5}, 0.25)
    (path,) = export(run.path, "netcdf", tmp_path / "out.nc")
    with xr.open_dataset(path, engine="h5netcdf") as data:
        assert data["dwell (s)"].to_numpy().tolist() == [0.5]
        assert data["wait (hours)"].to_numpy().tolist() == [1.5]


# -- all formats ------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["csv", "parquet", "hdf5", "netcdf"])
@pytest.mark.parametrize("count", [0, 1])
def test_empty_and_tiny_runs(tmp_path: Path, format: str, count: int) -> None:
    with RunFolder.create(tmp_path / "runs", "x", START) as run:
        for i in range(count):
            run.emit({"index": i, "s (dBm)": np.array([])}, 0.0)
    files = export(run.path, format, tmp_path / "out")
    assert all(file.stat().st_size > 0 for file in files[:1])
    if format == "csv":
        table = pd.read_csv(files[0], comment="#")
        assert list(table.columns)[:6] == Scan.DATA_COLUMNS
        assert len(table) == count


@pytest.mark.parametrize("format", ["csv", "parquet", "hdf5", "netcdf"])
def test_a_failed_export_leaves_the_old_file_and_no_rubbish(
    run: RunFolder, tmp_path: Path, format: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "exports" / "out"
    target.parent.mkdir()
    target.write_text("the old file", encoding="utf-8")

    def broken(self: ExportedRun, name: str) -> Iterator[None]:
        yield None
        raise OSError(errno.EIO, "the disk is broken")

    monkeypatch.setattr(ExportedRun, "traces", broken)
    with pytest.raises(StorageError, match="the disk is broken"):
        export(run, format, target)
    assert target.read_text(encoding="utf-8") == "the old file"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("format", ["csv", "parquet", "hdf5"])
def test_damaged_arrays_are_left_out_and_named(
    run: RunFolder, tmp_path: Path, format: str, caplog: pytest.LogCaptureFixture
) -> None:
    rows = len(run.rows)
    sizes = [run.trace("s (dBm)", i).size for i in range(rows) if run.has_trace("s (dBm)", i)]
    stream = run.path / "arrays" / "s_dBm.arrows"
    content = bytearray(stream.read_bytes())
    content[-60] ^= 1
    stream.write_bytes(content)
    files = export(run, format, tmp_path / "out")
    assert "s_dBm.arrows: batch 2" in caplog.text
    if format == "csv":
        table = pd.read_csv(files[0], comment="#")
        (traces,) = (pd.read_csv(file) for file in files[1:] if "s_dBm" in file.name)
        held = traces["row"].nunique() + sizes.count(0)
    elif format == "parquet":
        table = pd.read_parquet(files[0])
        held = table["s (dBm)"].notna().sum()
    else:
        table = xr.open_dataset(files[0], engine="h5netcdf")["s (dBm).length"]
        held = (table >= 0).sum()
    assert len(table) == rows
    assert held == len(sizes) - 1


def test_the_same_export_twice_gives_the_same_file(run: RunFolder, tmp_path: Path) -> None:
    for format in ("csv", "parquet"):
        (first, *_), (second, *_) = (export(run, format, tmp_path / n) for n in ("a.x", "b.x"))
        assert first.read_bytes().replace(b"a.", b"b.") == second.read_bytes().replace(b"a.", b"b.")


def test_wrong_requests_are_one_line(run: RunFolder, tmp_path: Path) -> None:
    for format, path, words in [
        ("cvs", tmp_path / "x", "unknown export format 'cvs', did you mean 'csv'"),
        ("csv", tmp_path / "nowhere" / "x", "there is no folder"),
        ("csv", tmp_path, "is a folder"),
    ]:
        with pytest.raises(RequestError, match=words) as caught:
            export(run, format, path)
        assert "\n" not in str(caught.value)
    if os.name == "posix" and os.geteuid() != 0:
        tmp_path.chmod(0o500)
        with pytest.raises(StorageError, match="cannot be written"):
            export(run, "csv", tmp_path / "x")
