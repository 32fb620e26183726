"""Append-only journals: one JSON object per line, each line with a CRC-32 of its own bytes.

Any JSON-lines tool can read a journal. The last member of a line is `"crc":"xxxxxxxx"`, the
CRC-32 of the bytes of the line before `,"crc"`. What JSON cannot say has an encoding of its own:
`{"$float":"nan"}`, `"inf"`, `"-inf"`; `{"$int":"0x..."}` beyond 64 bits; `{"$utf8":"..."}` (hex)
for text that is not valid Unicode; `{"$object":{...}}` around an object with keys in `$`.
"""

from __future__ import annotations

import errno
import math
import os
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import orjson

from labctl.errors import StorageError
from labctl.filelock import FileLock

#: Bytes of `,"crc":"xxxxxxxx"}` and a newline.
_SUFFIX = 19
_CRC = re.compile(rb',"crc":"([0-9a-f]{8})"\}')
_START = re.compile(rb'\{"')
#: Starts tried in one damaged line before giving it up.
_TRIES = 1000


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
            raise _storage_error(self.path, exc) from exc
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
        try:
            written = os.write(self._fd, line)
        except OSError as exc:
            raise _storage_error(self.path, exc) from exc
        if written != len(line):
            self._write_rest(line, written)
        if durable or self.durable_every is not None:
            self._sync(durable)

    def close(self) -> None:
        """Close the file; doing so twice is harmless."""
        if self._fd >= 0:
            if self.durable_every is not None:
                self._sync(True)
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @classmethod
    def read(cls, path: Path | str) -> Iterator[dict[str, Any]]:
        """Yield the intact entries in order; what is torn or damaged is passed over."""
        for item in scan(Path(path)):
            if not isinstance(item, Damage):
                yield item

    @classmethod
    def read_all(cls, path: Path | str) -> tuple[list[dict[str, Any]], list[Damage]]:
        """Return every intact entry, and every damaged place by name."""
        entries: list[dict[str, Any]] = []
        damage: list[Damage] = []
        for item in scan(Path(path)):
            if isinstance(item, Damage):
                damage.append(item)
            else:
                entries.append(item)
        return entries, damage

    def _write_rest(self, line: bytes, written: int) -> None:
        """Finish a write that the system cut short, or take all of it back."""
        try:
            while written < len(line):
                written += os.write(self._fd, line[written:])
        except BaseException as exc:
            self._half_line = True
            try:
                os.ftruncate(self._fd, os.fstat(self._fd).st_size - written)
                self._half_line = False
            except OSError:
                pass  # the next append, or the next opening, cuts it
            if isinstance(exc, OSError):
                raise _storage_error(self.path, exc) from exc
            raise

    def _sync(self, now: bool) -> None:
        moment = time.monotonic()
        if now or (self.durable_every is not None and moment - self._synced >= self.durable_every):
            try:
                os.fsync(self._fd)
            except OSError as exc:
                raise _storage_error(self.path, exc) from exc
            self._synced = moment

    def _mend_tail(self) -> None:
        """Make the file end with a whole line: complete an intact one, cut a torn one."""
        size = os.fstat(self._fd).st_size
        start, tail = _tail(self._fd, size)
        if not tail:
            return
        keep = max((end for _, end, _ in _salvage(tail)), default=0)
        try:
            if cut := tail[keep:]:
                evidence = self.path.with_name(f"{self.path.name}.torn-{start + keep}")
                evidence.write_bytes(cut)
                os.ftruncate(self._fd, start + keep)
            if keep:
                os.write(self._fd, b"\n")
        except OSError as exc:
            raise _storage_error(self.path, exc) from exc
        self._half_line = False


def append_shared(path: Path | str, entry: Mapping[str, Any]) -> None:
    """Append one entry to a journal that several processes write (control, queue).

    A lock beside the file keeps a writer from cutting another one's line in the making.

    Raises:
        StorageError: the file cannot be written, or stayed locked for 5 s.
    """
    path = Path(path)
    lock = FileLock(path.with_name(path.name + ".lock"))
    try:
        held = lock.acquire(patience=5.0)
    except OSError as exc:
        raise _storage_error(path, exc) from exc
    if not held:
        raise StorageError(f"{path}: still locked by another process after 5 s, try again")
    try:
        with Journal(path) as journal:
            journal.append(entry)
    finally:
        lock.release()


class Follower:
    """Reads what was appended to a journal since the last look; never blocks, never writes."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.offset = 0

    def poll(self) -> list[dict[str, Any]]:
        """Return the entries of the lines completed since the last call."""
        try:
            if self.path.stat().st_size <= self.offset:
                return []
            with self.path.open("rb") as file:
                file.seek(self.offset)
                data = file.read()
        except FileNotFoundError:
            return []
        whole = data[: data.rfind(b"\n") + 1]
        self.offset += len(whole)
        return [
            entry for line in whole.splitlines(keepends=True) for _, _, entry in _salvage(line)
        ]


def encode(entry: Mapping[str, Any]) -> bytes:
    """Return the line of an entry, checksum and newline included.

    Raises:
        TypeError: a key is not text, or a value has no JSON form.
        ValueError: the entry is empty or has a member "crc".
    """
    if not entry or "crc" in entry:
        raise ValueError('an entry needs at least one member, and "crc" is taken')
    try:
        data = orjson.dumps(entry, default=_default)
    except TypeError:
        data = b"null"  # find out below what is unusual about it
    if b"null" in data or b'"$' in data:
        data = orjson.dumps(_plain(entry, top=True), default=_default)
    body = data[:-1]
    return b'%b,"crc":"%08x"}\n' % (body, crc32(body))


def decode(line: bytes) -> dict[str, Any] | None:
    """Return the entry of one whole line, newline included, or None if it is damaged."""
    body = line[:-_SUFFIX]
    if line[-_SUFFIX:] != b',"crc":"%08x"}\n' % crc32(body):
        return None
    try:
        entry = orjson.loads(body + b"}")
        if b'"$' in body:
            entry = _restore(entry)
    except (ValueError, TypeError, AttributeError):
        return None
    return entry if isinstance(entry, dict) else None


def scan(path: Path) -> Iterator[dict[str, Any] | Damage]:
    """Yield intact entries and damaged places in the order of the file."""
    try:
        file = path.open("rb")
    except OSError as exc:
        raise StorageError(f"{path}: cannot be read: {exc.strerror}") from exc
    offset = 0
    with file:
        for number, line in enumerate(file, 1):
            entry = decode(line)
            if entry is not None:
                yield entry
            else:
                yield from _examine(path, number, offset, line)
            offset += len(line)


def _examine(path: Path, number: int, offset: int, line: bytes) -> Iterator[dict[str, Any] | Damage]:
    """Yield what can be saved out of a line that is not intact as a whole, and its damage."""
    saved = _salvage(line)
    yield from (entry for _, _, entry in saved)
    rest = len(line) - sum(end - start for start, end, _ in saved)
    if not line.endswith(b"\n"):
        if rest:
            what = f"{rest} bytes of an unfinished write at the end"
            yield Damage(path, number, offset, what, torn=True)
    elif saved:
        what = f"{rest - 1} bytes do not belong here ({len(saved)} intact entries beside them)"
        yield Damage(path, number, offset, what)
    else:
        yield Damage(path, number, offset, f"checksum does not match, {len(line)} bytes lost")


def _salvage(line: bytes) -> list[tuple[int, int, dict[str, Any]]]:
    """Return (start, end, entry) of the intact entries inside a line, wherever they start."""
    found = []
    position = 0
    tries = _TRIES
    for match in _CRC.finditer(line):
        for start in _START.finditer(line, position, match.start()):
            tries -= 1
            if tries < 0:
                return found
            entry = decode(line[start.start() : match.end()] + b"\n")
            if entry is not None:
                found.append((start.start(), match.end(), entry))
                position = match.end()
                break
    return found


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


def _default(value: Any) -> Any:
    """Turn what orjson does not know into what it knows; floats keep every bit."""
    if isinstance(value, np.generic | np.ndarray):
        if value.dtype.kind in "biuU" or (value.dtype.kind == "f" and value.dtype.itemsize <= 8):
            plain = value.tolist()
            return _plain(plain) if isinstance(plain, float) else plain
    elif isinstance(value, float):
        return _plain(float(value))
    elif isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} {value!r:.60} has no JSON form")


def _plain(value: Any, top: bool = False) -> Any:
    """Return the value with everything JSON cannot say in its `$` encoding."""
    if isinstance(value, np.generic | np.ndarray):
        value = _default(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else {"$int": hex(value)}
    if isinstance(value, str):
        if value.isascii():
            return value
        raw = value.encode("utf-8", "surrogatepass")
        return value if raw == value.encode("utf-8", "replace") else {"$utf8": raw.hex()}
    if isinstance(value, Mapping):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"key {wrong[0]!r} is not text")
        plain = {key: _plain(inner) for key, inner in value.items()}
        return {"$object": plain} if not top and any(key[:1] == "$" for key in plain) else plain
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _restore(value: Any, top: bool = True) -> Any:
    """Undo `_plain`."""
    if isinstance(value, list):
        return [_restore(inner, top=False) for inner in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1 and not top:
        ((key, inner),) = value.items()
        if key == "$float":
            return float(inner)
        if key == "$int":
            return int(inner, 16)
        if key == "$utf8":
            return bytes.fromhex(inner).decode("utf-8", "surrogatepass")
        if key == "$object":
            return {name: _restore(item, top=False) for name, item in inner.items()}
    return {key: _restore(inner, top=False) for key, inner in value.items()}


def _storage_error(path: Path, exc: OSError) -> StorageError:
    """Return the one-line error of a failed write."""
    if exc.errno in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(f"{path}: disk full; what was written before is safe, free some space")
    return StorageError(f"{path}: cannot be written: {exc.strerror or exc}")
