"""The secret bits themselves: a file for each block, which only its owner may read."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from labctl.errors import StorageError
from labctl.journal import storage_error
from labctl.keys.ledger import Part


class SecretBits:
    """Blocks in a folder, which is made with the first one."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _path(self, block: str) -> Path:
        return self._folder / f"{block}.key"

    def write(self, block: str, data: bytes) -> None:
        """Put a block on the disk, whole or not at all."""
        path = self._path(block)
        part = path.with_suffix(".part")
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)
            descriptor = os.open(part, flags, 0o600)
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(data)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(path)
            finally:
                part.unlink(missing_ok=True)
        except OSError as exc:
            raise storage_error(path, exc) from exc

    def read(self, parts: Sequence[Part]) -> bytes:
        """Return the bits of a key.

        Raises:
            StorageError: they cannot be read, or are erased.
        """
        found = b""
        for block, start, end in parts:
            try:
                with self._path(block).open("rb") as file:
                    file.seek(start)
                    piece = file.read(end - start)
            except OSError as exc:
                raise StorageError(f"{self._path(block)}: cannot be read: {exc.strerror}") from exc
            if len(piece) != end - start:
                raise StorageError(f"{self._path(block)}: is too short; bits are missing")
            found += piece
        if not any(found):  # erased: the journal must be older than the block, out of a backup
            raise StorageError(
                f"{self._path(parts[0][0])}: bytes {parts[0][1]} to {parts[0][2]} were erased, so "
                "that key was handed out; the journal is older than the blocks"
            )
        return found

    def erase(self, part: Part) -> None:
        """Overwrite bits with zeros."""
        block, start, end = part
        with self._path(block).open("r+b") as file:
            file.seek(start)
            file.write(bytes(end - start))
            file.flush()
            os.fsync(file.fileno())

    def delete(self, block: str) -> None:
        """Delete the file of a block that is used up."""
        self._path(block).unlink()
