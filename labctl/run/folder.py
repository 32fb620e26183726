"""The run folder: what one measurement leaves on disk, and the only way to write or read it.

`run.jsonl` is the truth. Arrays lie in Arrow streams that it cites; everything else is a cache.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from labctl.arrays import ArrayReader, ArrayStream, Citation, exactly, file_names, kind_of
from labctl.errors import RequestError, RunLocked, StorageError
from labctl.filelock import FileLock, is_locked
from labctl.journal import Journal
from labctl.run.locate import default_runs_dir, find_run, new_folder

__all__ = ["RunFolder", "default_runs_dir", "find_run"]

STATUSES = ("finished", "failed", "aborted", "paused")


class RunFolder:
    """One run on disk: made by `create`, continued by `resume`, read by `open`."""

    def __init__(self, path: Path, lock: FileLock | None, durable_every: float | None) -> None:
        self.path = path
        self._lock = lock
        self._journal = Journal(path / "run.jsonl", durable_every=durable_every) if lock else None
        self._streams: dict[str, ArrayStream] = {}
        self._readers: dict[str, ArrayReader] = {}
        self._entries, self._damage = (
            Journal.read_all(path / "run.jsonl")
            if (path / "run.jsonl").exists()
            else ([], [])
        )
        self._load()

    def _load(self) -> None:
        self._rows = [e for e in self._entries if e["entry"] == "row"]
        self.events = [e for e in self._entries if e["entry"] != "row"]
        starts = [e for e in self.events if e["entry"] == "start"]
        self.start: dict[str, Any] = starts[0] if starts else {}
        self._columns = self.start.get("columns", [])
        self._files = file_names(self._columns)

    @classmethod
    def create(
        cls,
        runs_dir: Path | str,
        procedure_name: str,
        start_entry: Mapping[str, Any],
        *,
        durable_every: float | None = None,
    ) -> RunFolder:
        path = new_folder(Path(runs_dir), procedure_name)
        run = cls._locked(path, durable_every)
        run._append("start", {"procedure": procedure_name, **start_entry})
        run._load()
        return run

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        path = Path(path)
        if not (path / "run.jsonl").exists():
            raise RequestError(f"{path}: not a run folder (no run.jsonl)")
        return cls(path, None, None)

    @classmethod
    def resume(
        cls,
        path: Path | str,
        start_entry: Mapping[str, Any] | None = None,
        *,
        durable_every: float | None = None,
    ) -> RunFolder:
        run = cls._locked(Path(path), durable_every)
        run._append("start", {"resumed": True, **(start_entry or {})})
        return run

    @classmethod
    def _locked(cls, path: Path, durable_every: float | None) -> RunFolder:
        lock = FileLock(path / "writer.lock")
        if not lock.acquire(patience=0.1):
            raise RunLocked(f"{path}: {lock.holder()} writes to this run; wait or abort it")
        lock.sign()
        return cls(path, lock, durable_every)

    def _append(self, kind: str, members: Mapping[str, Any], durable: bool = False) -> None:
        if self._journal is None:
            raise StorageError(f"{self.path}: opened for reading only")
        entry = {"entry": kind, "time": datetime.now(UTC).isoformat(), **members}
        self._journal.append(entry, durable=durable)
        self.events.append(entry)

    def emit(self, row: Mapping[str, Any], t: float) -> None:
        """Store one row measured at `t` seconds of the bench clock."""
        assert self._journal is not None
        scalars: dict[str, Any] = {}
        arrays: dict[str, Any] = {}
        for name, value in row.items():
            if isinstance(value, np.ndarray) and value.ndim:
                arrays[name] = self._store(name, value)
            else:
                scalars[name] = value
        entry = {"entry": "row", "t": t, "row": scalars}
        if arrays:
            entry["arrays"] = arrays
        self._journal.append(entry)
        self._rows.append(entry)

    def _store(self, name: str, value: np.ndarray[Any, Any]) -> dict[str, Any]:
        stream = self._streams.get(name)
        if stream is None:
            keep = None
            kind = kind_of(value, name)
            for e in self._rows:
                if name in e.get("arrays", {}):
                    keep = Citation.from_entry(e["arrays"][name])
                    kind = e["arrays"][name]["type"]
            (self.path / "arrays").mkdir(exist_ok=True)
            stream = ArrayStream(self._array_path(name), {"value": kind}, keep=keep)
            self._streams[name] = stream
        kind = stream.fields["value"]
        citation = stream.append(exactly(value.reshape(-1), kind, name)).as_entry()
        return {**citation, "type": kind, "shape": list(value.shape)}

    def _array_path(self, name: str) -> Path:
        return self.path / "arrays" / f"{self._files.get(name) or file_names([name])[name]}.arrows"

    def note(self, text: str) -> None:
        self._append("note", {"text": text})

    def paused(self, reason: str = "") -> None:
        self._append("paused", {"reason": reason})

    def resumed(self) -> None:
        self._append("resumed", {})

    def results(self, values: Mapping[str, Any]) -> None:
        self._append("results", {"results": values})

    def stop(self, status: str, reason: str = "") -> None:
        if status not in STATUSES:
            raise StorageError(f"{status!r} is no status a run can stop with {STATUSES}")
        self._append("stop", {"status": status, "reason": reason}, durable=True)
        self.close()

    def close(self) -> None:
        for stream in self._streams.values():
            stream.close()
        self._streams.clear()
        if self._journal:
            self._journal.close()
            self._journal = None
        if self._lock:
            self._lock.release()
            self._lock = None

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @property
    def number(self) -> int:
        return int(self.path.name.split("-")[0])

    @property
    def status(self) -> str:
        last = [e for e in self.events if e["entry"] in ("start", "stop", "paused", "resumed")]
        if last and last[-1]["entry"] == "stop":
            return str(last[-1]["status"])
        if self._lock or is_locked(self.path / "writer.lock"):
            return "paused" if last and last[-1]["entry"] == "paused" else "running"
        return "interrupted"

    @property
    def result_values(self) -> dict[str, Any]:
        found = [e["results"] for e in self.events if e["entry"] == "results"]
        return found[-1] if found else {}

    @property
    def rows(self) -> list[dict[str, Any]]:
        return [
            {**e["row"], **{n: self._read(n, c) for n, c in e.get("arrays", {}).items()}}
            for e in self._rows
        ]

    def _read(self, name: str, cited: Mapping[str, Any]) -> np.ndarray[Any, Any]:
        if name not in self._readers:
            self._readers[name] = ArrayReader(self._array_path(name), {"value": cited["type"]})
        flat = self._readers[name].read(Citation.from_entry(cited))[0]
        return flat.reshape(cited["shape"])

    def columns(self) -> dict[str, np.ndarray[Any, Any]]:
        names = dict.fromkeys(n for e in self._rows for n in e["row"])
        return {n: np.array([e["row"].get(n) for e in self._rows]) for n in names}

    def trace(self, name: str, i: int) -> np.ndarray[Any, Any]:
        return self._read(name, self._rows[i]["arrays"][name])

    @property
    def points_done(self) -> set[int]:
        return {int(e["row"]["index"]) for e in self._rows if "index" in e["row"]}

    @property
    def damage(self) -> list[str]:
        return [str(d) for d in self._damage]
