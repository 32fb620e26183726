"""Append-only journals: one JSON object per line, each line with a CRC-32 of its own bytes.

Any JSON-lines tool can read a journal; `labctl.jsonline` says how a line is made.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.errors import FileUnusable, StorageError
from labctl.filelock import FileLock
from labctl.jsonline import decode, encode, encode_plain, salvage


@dataclass(frozen=True)
class Damage:
    """A place in a journal that cannot be believed; the rows around it are not concerned."""

    path: Path
    line: int
    offset: int
    what: str
    torn: bool = False  #: the tail of a write that a crash cut short, not damage at rest

    def __str__(self) -> str:
        return f"{self.path}: line {self.line} (byte {self.offset}): {self.what}"


class Journal:
    """Writer of one journal file; every entry is with the operating system when `append` returns.

    Opening completes or cuts the torn tail a crash left behind; the cut bytes are kept beside the
    journal as `NAME.torn-OFFSET`. Whole lines are never deleted.

    Args:
        path: the file; its folder must exist.
        durable_every: flush to the disk itself when this many seconds have passed since the last
            flush (0: at each entry), looked at when appending; None leaves it to the system.
    """

    def __init__(self, path: Path | str, *, durable_every: float | None = None) -> None:
        self.path = Path(path)
        self.durable_every = durable_every
        self._synced = time.monotonic()
        self._half_line = False
        flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
        try:
            self._fd = os.open(self.path, flags, 0o666)
        except OSError as exc:
            raise storage_error(self.path, exc) from exc
        try:
            self._mend_tail()
        except BaseException:
            self.close()
            raise

    def append(self, entry: Mapping[str, Any], *, durable: bool = False) -> None:
        """Append one entry in one write; `durable` also waits for the disk itself.

        Raises:
            StorageError: the disk is full or broken, or the entry cannot be encoded. The journal
                then ends with its last whole line and can be appended to again.
        """
        try:
            line = encode(entry)
        except (TypeError, ValueError) as exc:
            raise StorageError(f"{self.path}: cannot store this entry: {exc}") from exc
        if self._half_line:
            self._mend_tail()
        self._write(line)
        if durable or (self.durable_every is not None and self.sync_due()):
            self._sync()

    def append_plain(self, entry: Mapping[str, Any]) -> bool:
        """Append an entry without surprises, quickly; False: nothing was written, use `append`.

        A surprise is a value that JSON cannot say (NaN, an array), a write that failed before, or
        an order to flush. Nearly all rows of a run have none.

        Raises:
            StorageError: the disk is full or broken.
        """
        if self._half_line or self.durable_every is not None:
            return False
        line = encode_plain(entry)
        if not line:
            return False
        self._write(line)
        return True

    @property
    def size(self) -> int:
        """Bytes in the file."""
        return os.fstat(self._fd).st_size

    def sync_due(self) -> bool:
        """Tell whether the next append will flush to the disk itself."""
        every = self.durable_every
        return every is not None and time.monotonic() - self._synced >= every

    def close(self) -> None:
        """Close the file; doing so twice is harmless."""
        if self._fd >= 0:
            descriptor, self._fd = self._fd, -1
            try:
                if self.durable_every is not None:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @classmethod
    def read(cls, path: Path | str) -> Iterator[dict[str, Any]]:
        """Yield the intact entries in order; what is torn or damaged is passed over.

        Raises:
            StorageError: there is no such file, or it cannot be read.
        """
        return _existing(path).follow(final=True)

    @classmethod
    def read_all(cls, path: Path | str) -> tuple[list[dict[str, Any]], list[Damage]]:
        """Return every intact entry, and every damaged place by name."""
        follower = _existing(path)
        return follower.poll(final=True), follower.damage

    def _write(self, line: bytes) -> None:
        """Write a whole line, in one piece unless the system takes only part of it."""
        try:
            written = os.write(self._fd, line)
        except OSError as exc:
            raise storage_error(self.path, exc) from exc
        if written != len(line):
            self._write_rest(line, written)

    def _write_rest(self, line: bytes, written: int) -> None:
        """Finish a write that the system cut short, or take all of it back."""
        try:
            while written < len(line):
                written += os.write(self._fd, line[written:])
        except BaseException as exc:
            self._half_line = True  # if this fails too, the next append or opening cuts it
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
                self._half_line = False
            if isinstance(exc, OSError):
                raise storage_error(self.path, exc) from exc
            raise

    def _sync(self) -> None:
        try:
            os.fsync(self._fd)
        except OSError as exc:
            raise storage_error(self.path, exc) from exc
        self._synced = time.monotonic()

    def _mend_tail(self) -> None:
        """Make the file end with a whole line: complete an intact one, cut a torn one."""
        size = os.fstat(self._fd).st_size
        start, tail = _tail(self._fd, size)
        if not tail:
            return
        keep = max((end for _, end, _ in salvage(tail)), default=0)
        try:
            if cut := tail[keep:]:
                evidence = self.path.with_name(f"{self.path.name}.torn-{start + keep}")
                evidence.write_bytes(cut)
                os.ftruncate(self._fd, start + keep)
            if keep:
                os.write(self._fd, b"\n")
        except OSError as exc:
            raise storage_error(self.path, exc) from exc
        self._half_line = False


def append_shared(path: Path | str, *entries: Mapping[str, Any]) -> None:
    """Append entries to a journal that several processes write (control, queue).

    A lock beside the file keeps a writer from cutting another one's line in the making.

    Raises:
        StorageError: the file cannot be written, or stayed locked for 5 s.
    """
    path = Path(path)
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        held = lock.acquire(patience=5.0)
    except OSError as exc:
        raise storage_error(path, exc) from exc
    if not held:
        raise StorageError(f"{path}: still locked by another process after 5 s, try again")
    try:
        with Journal(path) as journal:
            for entry in entries:
                journal.append(entry)
    finally:
        lock.release()


def _existing(path: Path | str) -> Follower:
    if not Path(path).is_file():
        raise FileUnusable(f"{path}: there is no such journal")
    return Follower(path)


class Follower:
    """Reads a journal from its start and then what was added since; never blocks, never writes.

    Args:
        path: the journal; it may not exist yet.
        skip: lines that begin with these bytes are only counted, in `skipped`, not looked at.
    """

    def __init__(self, path: Path | str, *, skip: bytes = b"") -> None:
        self.path = Path(path)
        self.skip = skip
        self.skipped = 0
        self.offset = 0  #: bytes read so far
        self.lines = 0
        self.damage: list[Damage] = []

    def poll(self, *, final: bool = False) -> list[dict[str, Any]]:
        """Return the intact entries added since the last call; see `follow`."""
        return list(self.follow(final=final))

    def follow(self, *, final: bool = False) -> Iterator[dict[str, Any]]:
        """Yield the intact entries added since the last call; what is not goes to `damage`.

        A last line without its newline is left for the next call, unless `final` says that
        nobody is writing.
        """
        try:
            if self.path.stat().st_size <= self.offset:
                return
            file = self.path.open("rb")
        except FileNotFoundError:
            return
        except OSError as exc:
            raise FileUnusable(f"{self.path}: cannot be read: {exc.strerror}") from exc
        skip = self.skip
        with file:
            file.seek(self.offset)
            for line in file:
                if skip and line.startswith(skip) and line.endswith(b"\n"):
                    entry = None
                    self.skipped += 1
                elif (entry := decode(line)) is None:
                    if not (final or line.endswith(b"\n")):
                        return
                    yield from self._examine(line)
                self.lines += 1
                self.offset += len(line)
                if entry is not None:
                    yield entry

    def _examine(self, line: bytes) -> Iterator[dict[str, Any]]:
        """Yield what can be saved out of a line that is not intact as a whole; note the rest."""
        saved = salvage(line)
        torn = not line.endswith(b"\n")
        rest = len(line) - sum(end - start for start, end, _ in saved) - (not torn)
        if torn:
            what = f"{rest} bytes of an unfinished write at the end"
        elif saved:
            what = f"{rest} bytes do not belong here; {len(saved)} intact entries saved from it"
        else:
            what = f"checksum does not match, {rest} bytes lost"
        if rest:
            self.damage.append(Damage(self.path, self.lines + 1, self.offset, what, torn))
        yield from (entry for _, _, entry in saved)


def _tail(descriptor: int, size: int) -> tuple[int, bytes]:
    """Return offset and bytes of what follows the last newline."""
    tail = b""
    position = size
    while position > 0:
        step = min(1 << 16, position)
        position -= step
        os.lseek(descriptor, position, os.SEEK_SET)
        piece = os.read(descriptor, step)
        newline = piece.rfind(b"\n")
        if newline >= 0:
            return position + newline + 1, piece[newline + 1 :] + tail
        tail = piece + tail
    return 0, tail


def storage_error(path: Path, exc: OSError) -> StorageError:
    """Return the one-line error of a failed write."""
    if exc.errno in (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)):
        return StorageError(f"{path}: disk full; what was written before is safe, free some space")
    return StorageError(f"{path}: cannot be written: {exc.strerror or exc}")
