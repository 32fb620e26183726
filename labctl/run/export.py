"""Exports of a run: copies for other programs, lossless, never the source.

Every format holds all rows with their bench-clock time (last column, `t (s)`), the traces, the
time tags, and the run's description (parameters, units, results, versions, settings) as JSON
under `labctl`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from labctl.errors import RequestError, cannot_write, nearest
from labctl.run.exported import ExportedRun, output_file
from labctl.run.reading import RunReader

log = logging.getLogger(__name__)


def export(folder: RunReader | Path | str, format: str, path: Path | str) -> list[Path]:
    """Write a run in another format; returns the files written.

    Args:
        folder: the run.
        format: "csv" (opens in pymeasure; each trace column and each stream of time tags in a file
            of its own beside it), "parquet" (traces as lists, time tags in files beside it),
            "hdf5" or "netcdf" (the same file: NetCDF-4 is HDF5; traces as padded two-dimensional
            variables with their lengths, time tags as groups).
        path: the file; replaced if it exists, in one step when it is complete.

    Raises:
        RequestError: unknown format, or no such place to write to.
        StorageError: the file cannot be written, or nothing says what the run was.
    """
    from labctl.run import export_binary, export_csv

    writers: dict[str, Callable[[ExportedRun, Path], list[Path]]] = {
        "csv": export_csv.write_csv,
        "parquet": export_binary.write_parquet,
        "hdf5": export_binary.write_netcdf,
        "netcdf": export_binary.write_netcdf,
    }
    if format not in writers:
        raise RequestError(
            f"unknown export format {format!r}{nearest(format, writers)}; known are "
            + ", ".join(writers)
        )
    path = output_file(path)
    run = folder if isinstance(folder, RunReader) else RunReader(Path(folder))
    exported = ExportedRun(run)
    for line in exported.damage:
        log.warning("%s; left out of the export", line)
    try:
        return writers[format](exported, path)
    except OSError as exc:
        raise cannot_write(path, exc, "choose another -o") from exc
