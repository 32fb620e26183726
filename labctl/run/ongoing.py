"""Which runs of a folder go on now, found without a look at each of 1e5 of them.

Whoever begins to write to a run adds its name to the file `.ongoing` beside it, and drops from it
the runs that nobody writes to any more. What counts is the lock of each run, so a process that was
killed misleads nobody, and an older run that is resumed is found like a new one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from labctl.filelock import FileLock, is_locked
from labctl.run.locate import folder_number

FILE = ".ongoing"
#: Seconds to wait for whoever else reads or writes the file.
PATIENCE = 1.0


def mark(run: Path) -> None:
    """Say that this process, which holds its lock, writes to a run."""
    run = run.resolve()
    with contextlib.suppress(OSError), _alone(run.parent / FILE) as file:
        others = [name for name in _names(file) if name != run.name and _goes_on(file, name)]
        file.write_text("".join(f"{name}\n" for name in [*others, run.name]), encoding="utf-8")


def ongoing(runs_dir: Path) -> list[Path]:
    """The runs that somebody writes to now, the one with the highest number first."""
    file = runs_dir / FILE
    try:
        if not file.exists():
            return []
        try:
            with _alone(file):
                names = _names(file)
        except OSError:  # it may be read, but not written
            names = _names(file)
        names.sort(key=folder_number, reverse=True)
        return [runs_dir / name for name in names if _goes_on(file, name)]
    except OSError:
        return []


def _names(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").split("\n")[:-1]


def _goes_on(file: Path, name: str) -> bool:
    return is_locked(file.with_name(name) / "writer.lock")


@contextmanager
def _alone(file: Path) -> Iterator[Path]:
    """Be the only one at the file; after a while nevertheless."""
    lock = FileLock(file)
    lock.acquire(PATIENCE)
    try:
        yield file
    finally:
        lock.release()
