"""Where runs lie: numbered folders in a runs directory, and how a user names one of them."""

from __future__ import annotations

import heapq
import os
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from labctl.errors import RequestError, cannot_write, nearest

_NAME = re.compile(r"(\d+)-.+")
#: Digits of a number that a run may have.
LONGEST_NUMBER = 12


def default_runs_dir() -> Path:
    """Return the runs directory: LABCTL_RUNS, or `runs` in the working directory."""
    return Path(os.environ.get("LABCTL_RUNS") or "runs")


def new_folder(runs_dir: Path, procedure_name: str) -> Path:
    """Make and return a folder with the next free number, safely among many processes.

    The number is taken by `mkdir` of the bare number, which only one process can win, and kept by
    renaming that folder to its full name. Whoever wins a number afterwards sees the full name.

    Raises:
        StorageError: the runs directory cannot be written.
    """
    try:
        runs_dir.mkdir(parents=True, exist_ok=True)
        number = max((n for n, _ in numbered(runs_dir)), default=0)
        while True:
            number += 1
            bare = runs_dir / f"{number:04d}"
            try:
                bare.mkdir()
            except FileExistsError:
                continue
            if any(n == number for n, _ in numbered(runs_dir)):
                bare.rmdir()
                continue
            slug = re.sub(r"[^0-9A-Za-z]+", "-", procedure_name).strip("-").lower() or "run"
            stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
            return bare.rename(runs_dir / f"{bare.name}-{slug}-{stamp}")
    except OSError as exc:
        raise cannot_write(runs_dir, exc, "choose another place with --runs DIR") from exc


def folder_number(name: str) -> int:
    """Return the number in a folder's name, 0 if it has none."""
    match = _NAME.fullmatch(name)
    return int(match[1]) if match else 0


def path_number(path: Path) -> int:
    """Return the number of a run folder, also of one that is named "." or by a symbolic link."""
    return folder_number(path.name) or folder_number(path.resolve().name)


def numbered(runs_dir: Path) -> Iterator[tuple[int, Path]]:
    """Yield number and path of each run folder, in no particular order."""
    try:
        with os.scandir(runs_dir) as entries:
            for entry in entries:
                if match := _NAME.fullmatch(entry.name):
                    yield int(match[1]), Path(entry.path)
    except FileNotFoundError:
        return


def newest(runs_dir: Path, count: int) -> list[Path]:
    """The run folders with the highest numbers, the highest first; quick also among 1e5."""
    try:
        with os.scandir(runs_dir) as entries:
            names = [entry.name for entry in entries]
    except OSError:
        return []
    known = ((int(n), name) for name in names if (n := name.partition("-")[0]).isdecimal())
    found = heapq.nlargest(count, ((n, name) for n, name in known if _NAME.fullmatch(name)))
    return [runs_dir / name for _, name in found]


def find_run(ref: str | Path, runs_dir: Path | str | None = None) -> Path:
    """Return the folder of RUN: a folder path, a number, or `last`.

    Raises:
        RequestError: there is no such run; the message says which there are.
    """
    base = Path(runs_dir) if runs_dir is not None else default_runs_dir()
    for candidate in (Path(ref), base / ref):
        if (candidate / "run.jsonl").is_file():
            return candidate
    known = {n: path for n, path in sorted(numbered(base)) if (path / "run.jsonl").is_file()}
    text = str(ref)
    if not known:
        raise RequestError(f"run {text!r}: there are no runs in {base}, name them with --runs DIR")
    if text == "last":
        return known[max(known)]
    if text.isdecimal() and len(text) <= LONGEST_NUMBER and int(text) in known:
        return known[int(text)]
    hint = nearest(text, [path.name for path in known.values()])
    span = f"{min(known)} to {max(known)}" if len(known) > 1 else f"only {min(known)}"
    raise RequestError(f"run {text!r} is not in {base}{hint}; numbers there: {span}")
