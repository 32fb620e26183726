"""What `labctl tags` reads: files of any kind, streams of runs, and channels among them."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.cli.arguments import runs_dir
from labctl.errors import RequestError, StorageError, nearest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from labctl.analysis.timetags.files.model import About, Piece, Source

#: Before any time.
NEVER = -(1 << 62)
#: The number of the sync input, whose events a T2 file keeps apart.
SYNC = -1
CHANNEL, TIME = "channel", "time (ps)"
_PS = {"fs": 1e-3, "ps": 1.0, "ns": 1e3, "us": 1e6, "µs": 1e6, "μs": 1e6, "ms": 1e9, "s": 1e12}


@dataclass(frozen=True)
class Stream:
    """A file, or one stream of a run, that can be read again and again."""

    name: str
    path: Path
    run: Any = None  # a RunFolder, if it is one of its streams
    partial: bool = False
    reference: int = 0  #: ps between reference pulses of an ID900

    def open(self) -> Source:
        """Open it from its start."""
        if self.run is not None:
            return RunSource(self.run, self.name)
        from labctl.analysis.timetags.files import open_tags

        return open_tags(self.path, partial=self.partial, reference_period=self.reference)


class RunSource:
    """Tags of a run: only what its journal cites, and what counts."""

    def __init__(self, run: Any, name: str) -> None:
        from labctl.analysis.timetags.files.model import About

        fields = run.tag_fields(name)
        missing = [column for column in (CHANNEL, TIME) if column not in fields]
        if missing:
            raise RequestError(
                f"{run.path}: tags {name!r} have no column {missing[0]!r}, only "
                + ", ".join(map(repr, fields))
            )
        self._run, self._name = run, name
        self.warnings: list[str] = []
        self.tally: dict[str, int] = {}
        self.most = run.tag_counts()[name]
        self.about: About = About(f"run {run.path.name}", "T2", 1.0)

    def pieces(self) -> Iterator[Piece]:
        """Yield the commits in order."""
        from labctl.analysis.timetags.files.model import Piece

        for batch in self._run.tag_batches(self._name):
            yield Piece(batch[CHANNEL].astype(np.uint8), batch[TIME].astype(np.int64))


@contextlib.contextmanager
def refusing() -> Iterator[None]:
    """Turn what files and analysis complain of into wrong requests: one line, exit code 2."""
    try:
        yield
    except FileNotFoundError as error:
        raise RequestError(f"{error.filename}: there is no such file") from None
    except OSError as error:
        raise RequestError(f"{error.filename}: cannot be read: {error.strerror}") from None
    except StorageError as error:
        raise RequestError(str(error)) from None
    except ValueError as error:
        raise RequestError(" ".join(str(error).split())) from None


def streams(arguments: Any) -> list[Stream]:
    """Return what the words on the command line name: files, runs, or streams of runs.

    Raises:
        RequestError: one of them is nothing of the kind.
    """
    found: list[Stream] = []
    directory, partial = runs_dir(arguments), arguments.partial
    reference = picoseconds(arguments.reference, "--reference")
    if reference < 0:
        raise RequestError(f"--reference {arguments.reference}: must not be negative")
    for word in arguments.files:
        path = Path(word)
        folder = path.parent.parent
        if path.is_file() and path.parent.name == "tags" and (folder / "run.jsonl").is_file():
            found += [s for s in _of_run(folder) if s.path.resolve() == path.resolve()]
        elif path.is_file():
            found.append(Stream(path.stem, path, None, partial, reference))
        elif path.exists() or word == "last" or word.isdecimal():
            from labctl.run.folder import find_run

            found += _of_run(find_run(word, directory))
        else:
            raise RequestError(f"{path}: there is no such file, and no such run in {directory}")
    return found


def _of_run(folder: Path) -> list[Stream]:
    from labctl.run.folder import RunFolder

    run = RunFolder.open(folder)
    if not run.tag_names:
        raise RequestError(f"{folder}: this run has no time tags")
    found = []
    for name in run.tag_names:
        entries = run.tag_entries(name)
        path = folder / (entries[0]["cited"]["file"] if entries else "tags")
        found.append(Stream(name, path, run))
    return found


def the_only(found: Sequence[Stream]) -> Stream:
    """Return the one stream that is there.

    Raises:
        RequestError: there are several.
    """
    if len(found) == 1:
        return found[0]
    raise RequestError(
        "one stream at a time; there are " + ", ".join(str(stream.path) for stream in found)
    )


def channel(word: str, there: Sequence[tuple[Stream, int]], known: str) -> tuple[Stream, int]:
    """Return stream and channel that a word like "3", "alice:3" or "sync" names.

    Args:
        word: from the command line.
        there: every channel that has tags.
        known: those in words.

    Raises:
        RequestError: there is no such channel, or more than one.
    """
    name, colon, number = word.rpartition(":")
    if number != "sync" and not (re.fullmatch(r"\d{1,3}", number) and int(number) < 256):
        raise RequestError(
            f"channel {word!r}: must be a number up to 255, NAME:NUMBER, or sync for the sync input"
        )
    wanted = SYNC if number == "sync" else int(number)
    names = dict.fromkeys(stream.name for stream, _ in there)
    if colon and name not in names:
        hint = nearest(name, names)
        raise RequestError(
            f"channel {word!r}: no stream {name!r} has tags{hint}; there are {known}"
        )
    chosen = [
        (stream, n) for stream, n in there if n == wanted and (not colon or stream.name == name)
    ]
    if not chosen:
        raise RequestError(f"channel {word} has no tags; there are {known}")
    if len(chosen) > 1:
        which = ", ".join(f"{stream.name}:{number}" for stream, _ in chosen)
        raise RequestError(f"channel {word!r} of which stream? say one of {which}")
    return chosen[0]


def label(number: int) -> str:
    """Return a channel's number as people see it."""
    return "sync" if number == SYNC else str(number)


def picoseconds(text: str, option: str) -> int:
    """Read "100", "100 ps" or "1.5ns" as whole picoseconds.

    Raises:
        RequestError: it is no such time.
    """
    match = re.fullmatch(r"\s*([-+]?[0-9.]+(?:[eE][-+]?\d+)?)\s*([a-zµμ]*)\s*", text)
    try:
        value = float(match[1]) * _PS[match[2] or "ps"] if match else float("nan")
    except (ValueError, KeyError):
        value = float("nan")
    if not abs(value) < 1 << 60:
        raise RequestError(f"{option} {text!r}: must be a time such as 100ps, 2.5ns or 1us")
    if abs(value - round(value)) > 1e-9 * max(1.0, abs(value)):
        raise RequestError(f"{option} {text!r}: must be a whole number of ps")
    return round(value)


def in_order(times: NDArray[np.int64], last: int, done: int, name: str) -> int:
    """Return the last time, if these tags follow the one before and each other.

    Raises:
        RequestError: they do not; the message says where.
    """
    if not times.size:
        return last
    before = np.concatenate([[last], times[:-1]])
    late = times < before
    if late.any():
        at = int(np.argmax(late))
        raise RequestError(
            f"{name}: tag {done + at} at {times[at]} ps comes after one at {before[at]} ps; "
            "the tags are not in order of time (--sort sorts them)"
        )
    return int(times[-1])


def ordered(pieces: Iterator[Piece], sort: bool, *, by_pulse: bool) -> Iterator[Piece]:
    """Pieces as they are; or, sorted, all of them as one."""
    if not sort:
        yield from pieces
        return
    from labctl.analysis.timetags.files.model import MARKER, Piece

    read = [[a.copy() for a in (p.channels, p.times, p.sync, p.dtimes, p.markers)] for p in pieces]
    if not read:
        return
    channels, times, sync, dtimes, markers = (
        np.concatenate(column) for column in zip(*read, strict=True)
    )
    order = np.argsort(sync if by_pulse else times, kind="stable")
    paired = len(sync) == len(times) and len(sync) > 0
    yield Piece(
        channels[order], times[order], sync[order] if paired else np.sort(sync),
        dtimes[order] if dtimes.size else dtimes,
        np.sort(markers, order="sync" if by_pulse else "time") if markers.size
        else np.empty(0, MARKER),
    )  # fmt: skip
