"""The run folder: what one measurement leaves on disk, and the only way to write or read it.

`run.jsonl` is the truth: a journal of `start`, `opened` (one per stretch), `row`, `tags`, `note`,
`paused`, `resumed`, `derived`, `results` and `stop`. Rows cite their arrays in `arrays/` and their
time tags in `tags/`; `rows.arrow` is a cache. One process writes at a time, held by a lock.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.errors import RequestError, RunLocked, StorageError
from labctl.filelock import FileLock
from labctl.journal import Journal
from labctl.run import control, ongoing, traces
from labctl.run.locate import default_runs_dir, find_run, new_folder
from labctl.run.reading import RunReader
from labctl.run.tags import TagWriter

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["RunFolder", "default_runs_dir", "find_run"]

#: What a run can stop with. Others are seen from outside: running, paused, interrupted.
STATUSES = ("finished", "failed", "aborted", "paused")


class RunFolder(RunReader):
    """One run on disk: made by `create`, continued by `resume`, read by `open`."""

    def __init__(
        self, path: Path, lock: FileLock | None = None, durable_every: float | None = None
    ) -> None:
        super().__init__(path)
        #: What stood in the control file before this was opened was asked of an earlier stretch.
        self.asked_before = control.asked(path)
        self._brief = False
        self._lock = lock
        self._journal = Journal(self._file, durable_every=durable_every) if lock else None
        self._trace_writer = traces.TraceWriter(path)
        self._tag_writer = TagWriter(path)
        if lock:
            ongoing.mark(path)

    @property
    def writing(self) -> bool:
        """Whether this very object writes to the run."""
        return self._journal is not None

    @classmethod
    def create(
        cls,
        runs_dir: Path | str,
        procedure_name: str,
        start_entry: Mapping[str, Any],
        *,
        durable_every: float | None = None,
    ) -> RunFolder:
        """Make a new numbered folder and write its `start` entry.

        Args:
            runs_dir: made if it does not exist.
            procedure_name: command name, such as "covariance-sweep".
            start_entry: all that is needed to understand or repeat the run.
            durable_every: s between flushes to the disk itself; None leaves them to the system.

        Raises:
            StorageError: the folder cannot be written.
        """
        path = new_folder(Path(runs_dir), procedure_name)
        try:
            run = cls._locked(path, durable_every)
            try:
                for _ in range(2):  # without it no row could be understood, should a bit flip
                    run.record("start", {"procedure": procedure_name, **start_entry})
            except BaseException:
                run.close()
                raise
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)  # it never became a run
            raise
        return run

    @classmethod
    def open(cls, path: Path | str) -> RunFolder:
        """Open a run for reading; it may be one that is being written.

        Raises:
            RequestError: this is no run folder.
        """
        return cls(_existing(path))

    @classmethod
    def resume(
        cls, path: Path | str, *, durable_every: float | None = None, brief: bool = False
    ) -> RunFolder:
        """Open a run to append to it; what a crash left half-written is cut off.

        Args:
            path: of the run.
            durable_every: as in `create`.
            brief: only to add an entry and close it again: arrays and tags are not looked at, and
                no cache is made, which takes seconds if there are a million rows.

        Raises:
            RequestError: this is no run folder.
            RunLocked: another process writes to it.
        """
        run = cls._locked(_existing(path), durable_every)
        if brief:
            run._brief = True
            return run
        try:
            source = run.source()
            run._trace_writer.mend(source.citations(i) for i in range(source.count()))
            run._tag_writer.mend(e for e in run.events if e["entry"] == "tags")
        except BaseException:
            run.close()
            raise
        return run

    @classmethod
    def _locked(cls, path: Path, durable_every: float | None) -> RunFolder:
        lock = FileLock(path / "writer.lock")
        try:
            if not lock.acquire(patience=0.1):
                raise RunLocked(f"{path}: {lock.holder()} writes to this run; wait or abort it")
            lock.sign()
            return cls(path, lock, durable_every)
        except OSError as exc:
            lock.release()
            raise StorageError(f"{path}: cannot be written: {exc.strerror}") from exc
        except BaseException:
            lock.release()
            raise

    # -- writing ------------------------------------------------------------------------------

    def emit(self, row: Mapping[str, Any], t: float) -> None:
        """Store one row measured at `t` seconds of the bench clock; arrays go to their streams.

        Raises:
            StorageError: the disk is full or broken, or a value cannot be stored. Nothing of the
                row is left behind then, and the run can go on once the cause is gone.
        """
        journal = self._journal
        if journal is None:
            raise self._read_only()
        entry = {"entry": "row", "t": t, "row": row}
        if cited := self._tag_writer.for_next_row:
            entry["tags"] = cited
        if not journal.append_plain(entry):
            if journal.sync_due():  # the disk must have what an entry cites before the entry
                self._tag_writer.sync()
            if any(isinstance(value, np.ndarray) and value.ndim for value in row.values()):
                with traces.all_or_nothing(self._trace_writer.streams, journal):
                    entry["row"], entry["arrays"] = self._trace_writer.append(
                        row, sync=journal.sync_due()
                    )
                    journal.append(entry)
            else:
                journal.append(entry)
        if cited:
            self._tag_writer.for_next_row = {}

    def record_tags(self, name: str, columns: Mapping[str, NDArray[Any]], t: float) -> None:
        """Commit one batch of time tags recorded at `t` seconds of the bench clock.

        Args:
            name: of the stream, such as "alice".
            columns: by name, all equally long; the same in all batches of the stream.
            t: bench-clock time in s.

        Raises:
            StorageError: the disk is full or broken, or the columns are not as before. Nothing of
                the batch is left behind then, and the run can go on once the cause is gone.
        """
        journal, writer = self._journal, self._tag_writer
        if journal is None:
            raise self._read_only()
        with traces.all_or_nothing(writer.streams, journal):
            entry = writer.append(name, columns)
            if journal.sync_due():  # what other entries cite is made durable with this one
                writer.sync()
                self._trace_writer.sync()
            journal.append({"entry": "tags", "t": t, **entry})
        writer.recorded(entry)

    def record(self, kind: str, members: Mapping[str, Any], *, durable: bool = False) -> None:
        """Append any entry other than a row; the wall-clock time is added to it."""
        if self._journal is None:
            raise self._read_only()
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        entry = {**members, "entry": kind, "time": now}
        self._journal.append({"entry": kind, **entry}, durable=durable)

    def opened(self, members: Mapping[str, Any]) -> None:
        """Record that a stretch of measuring begins: identities, settings, seed, time."""
        self.record("opened", members)

    def note(self, text: str, level: str = "note") -> None:
        """Record a remark."""
        self.record("note", {"text": text, "level": level})

    def paused(self, reason: str = "") -> None:
        """Record that the run stands still."""
        self.record("paused", {"reason": reason})

    def resumed(self, reason: str = "") -> None:
        """Record that the run goes on after a pause."""
        self.record("resumed", {"reason": reason})

    def results(self, values: Mapping[str, Any]) -> None:
        """Record the results; the last such entry counts."""
        self.record("results", {"results": values})

    def save_derived(self, name: str, array: NDArray[Any]) -> None:
        """Store an array of the analysis in `derived/`; a later one of this name replaces it."""
        if self._journal is None:
            raise self._read_only()
        known = [str(e["name"]) for e in self.events if e["entry"] == "derived"]
        self.record("derived", traces.save_derived(self.path, name, array, known))

    def stop(self, status: str, reason: str = "", ended: float | None = None) -> None:
        """Record how this stretch ended: finished, failed, aborted or paused, why, and when.

        `ended` is in seconds of the bench's clock; None if no bench was open.
        """
        if status not in STATUSES:
            raise ValueError(f"a run stops with one of {', '.join(STATUSES)}, not {status!r}")
        self._trace_writer.sync()
        self._tag_writer.sync()
        when = {} if ended is None else {"ended": ended}
        self.record("stop", {"status": status, "reason": reason, **when}, durable=True)

    def close(self) -> None:
        """Free the folder for other writers; after a `stop`, build the cache first."""
        if self._journal is None:
            return
        try:
            self._journal.close()
            if self.stop_entry is not None and not self._brief:
                self._build_cache()
        finally:
            self._journal = None
            self._trace_writer.close()
            self._tag_writer.close()
            if self._lock is not None:
                self._lock.release()

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def _read_only(self) -> StorageError:
        return StorageError(f"{self.path}: this run is open for reading only")


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if not (path / "run.jsonl").is_file():
        raise RequestError(f"{path}: is not a run folder (it has no run.jsonl)")
    return path
