"""Export of a run: its figures, its data, and a manifest that vouches for both."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from labctl import __version__
from labctl.errors import RequestError
from labctl.run.export import export
from labctl.run.reading import RunReader

MANIFEST = "manifest.json"


def export_run(
    run: Path, place: Path, figures: Sequence[Path] = (), data_format: str = "csv"
) -> list[Path]:
    """Write figures, data and manifest of a run into a folder of its own; the files written.

    Args:
        run: its folder.
        place: where the new folder is made; one of an earlier export is replaced.
        figures: pictures to take along.
        data_format: csv, parquet, hdf5 or netcdf.

    Raises:
        RequestError: there is no such place, or it is the run itself.
        StorageError: the run cannot be read or the files cannot be written.
    """
    if not place.is_dir():
        raise RequestError(f"{place}: there is no such folder to export to")
    folder = place / f"{run.name}-export"
    part = place / f"{run.name}-export.part"
    if part.exists():
        shutil.rmtree(part)
    part.mkdir()
    suffix = {"hdf5": ".h5", "netcdf": ".nc"}.get(data_format, f".{data_format}")
    reader = RunReader(run)
    export(reader, data_format, part / f"data{suffix}")
    for figure in figures:
        shutil.copyfile(figure, part / figure.name)
    files = sorted(path for path in part.rglob("*") if path.is_file())
    manifest = {
        "run": str(run.resolve()),
        "status": reader.status,
        "exported": datetime.now(UTC).isoformat(timespec="seconds"),
        "labctl": __version__,
        "start": {n: v for n, v in reader.start.items() if n not in ("entry", "crc")},
        "results": reader.result,
        "files": {str(path.relative_to(part)): digest(path) for path in files},
        "run.jsonl": digest(run / "run.jsonl"),
    }
    text = json.dumps(_finite(manifest), indent=1, default=str)
    (part / MANIFEST).write_text(text + "\n", encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    part.rename(folder)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _finite(value: Any) -> Any:
    """JSON has no NaN; a manifest must be readable anywhere."""
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value
