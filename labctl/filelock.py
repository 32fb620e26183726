"""One advisory lock per file, held by the operating system: a dead process holds nothing."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from pathlib import Path

#: Windows locks bytes, and locked bytes cannot be read: lock one far beyond the text.
_FAR = 1 << 30

if sys.platform == "win32":
    import msvcrt

    def _take(descriptor: int) -> None:
        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _take(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


class FileLock:
    """An exclusive lock; the file names its holder (process and host) for the error message.

    The lock ends with `release` or with the process, however it dies. The file stays, because
    deleting it could delete the lock of somebody who has just taken it.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._descriptor = -1

    def acquire(self, patience: float = 0.0) -> bool:
        """Try to take the lock for up to `patience` seconds; returns whether it is held now."""
        deadline = time.monotonic() + patience
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
        while True:
            try:
                _take(descriptor)
            except OSError:
                if time.monotonic() >= deadline:
                    os.close(descriptor)
                    return False
                time.sleep(0.005)
            else:
                self._descriptor = descriptor
                return True

    def sign(self) -> None:
        """Write process number and host into the file, for whoever finds it locked.

        The lock holds without it; what the disk refuses, the journal reports with its name.
        """
        text = json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode()
        with contextlib.suppress(OSError):
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, text)

    def release(self) -> None:
        """Give the lock back; doing so twice is harmless."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def holder(self) -> str:
        """Return "process 123 on host" as the file says, or "another process"."""
        try:
            text = json.loads(self.path.read_bytes())
            return f"process {int(text['pid'])} on {text['host']}"
        except (OSError, ValueError, KeyError, TypeError):
            return "another process"


def is_locked(path: Path) -> bool:
    """Tell whether somebody holds the lock now; takes it for a moment to find out."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:  # nobody ever locked it, or it is not ours to see
        return False
    try:
        _take(descriptor)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False
