"""The run's end of the pipe to its watcher, a process that makes the bench safe in its place."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

#: Seconds between two signs of life.
BEAT_EVERY = 0.5
#: Seconds for which a run that ends waits for a watcher that is making the bench safe.
PATIENCE = 30.0
#: The watcher's `sys.path` is that of the run: drivers may lie anywhere.
_CODE = (
    "import json, sys; hello = json.loads(sys.stdin.buffer.readline()); "
    "sys.path[:] = hello['path']; from labctl.run.watcher import main; main(hello)"
)


class Watch:
    """Starts a watcher and shows it signs of life until `end`.

    Args:
        folder: of the run.
        kinds: "real" or "sim" by name of the instrument.
        judged: a run that comes to no yield point for long counts as hanging.
        remark: is told in one line, from a yield point, if the watcher itself is gone.
        before: bytes of the control file that were asked of an earlier stretch.

    Raises:
        OSError: no process could be started.
    """

    def __init__(
        self, folder: Path, kinds: Mapping[str, str], judged: bool,
        remark: Callable[[str], None], before: int,
    ) -> None:  # fmt: skip
        hello = {
            "path": sys.path,
            "run": str(folder.resolve()),
            "kinds": dict(kinds),
            "parent": os.getpid(),
            "offset": before,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-c", _CODE],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            bufsize=0, **_apart(),
        )  # fmt: skip
        self._judged = judged
        self._remark: Callable[[str], None] | None = remark
        #: A run that stands still on request does not hang.
        self.paused = False
        self._alive = True
        self._say(json.dumps(hello))
        self._over = threading.Event()
        threading.Thread(target=self._beat, name="signs of life", daemon=True).start()

    def alive(self) -> None:
        """Say that the run came to a yield point."""
        self._alive = True
        if self._remark is not None and (code := self._process.poll()) is not None:
            self._remark(
                f"the watcher of this run ended ({code}): STOP works at yield points only, and "
                "should the run die, labctl stop RUN makes the bench safe"
            )
            self._remark = None

    def end(self, *, safe: bool, stopped: bool) -> None:
        """Dismiss the watcher; wait for it if there is something to do for it.

        Args:
            safe: the run has made the bench safe itself.
            stopped: somebody asked for STOP, hence for confirmations.
        """
        self._over.set()
        if safe and not stopped:
            self._process.kill()
        else:
            self._say("safe" if safe else "unsafe")
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(PATIENCE)
        with contextlib.suppress(OSError):
            self._pipe.close()

    @property
    def _pipe(self) -> Any:
        return self._process.stdin

    def _beat(self) -> None:
        while not self._over.wait(BEAT_EVERY):
            word = "yield" if self._alive or self.paused or not self._judged else "beat"
            self._alive = False
            self._say(word)

    def _say(self, word: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # it was killed: the run goes on without
            self._pipe.write(f"{word}\n".encode())


def _apart() -> dict[str, Any]:
    """Options by which what ends the run, such as Ctrl-C, does not end its watcher."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}
