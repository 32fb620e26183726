"""What the window does to the laboratory: it starts processes and writes control lines."""

from __future__ import annotations

import heapq
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labctl.errors import LabError, RequestError
from labctl.filelock import is_locked
from labctl.manager import Item, Manager
from labctl.manager.queue import FILE as QUEUE
from labctl.run.control import send
from labctl.run.locate import numbered

#: Output of processes that the window started and that outlive it.
LOG = "queue.log"
#: Runs among which the one that goes on now is looked for.
LATEST = 50
COMMAND = (sys.executable, "-c", "from labctl.cli import script; script()")


class Session:
    """One folder of runs and one bench, as the window sees them. No Qt here."""

    def __init__(self, runs_dir: Path, bench: str = "") -> None:
        self.runs_dir = runs_dir.resolve()
        self.bench = bench
        self.manager = Manager(self.runs_dir)
        self._children: list[subprocess.Popen[bytes]] = []
        self._items: list[Item] = []
        self._queue_state: tuple[int, int, bool] | None = None
        self._newest: list[Path] = []
        self._changed = -1

    # Looking

    def items(self) -> list[Item]:
        """The queue; read again only if something changed in it."""
        try:
            stat = (self.runs_dir / QUEUE).stat()
            state = (stat.st_size, stat.st_mtime_ns, self.manager.worked_off())
            if state != self._queue_state:
                self._items, self._queue_state = self.manager.items(), state
        except (LabError, OSError, ValueError, KeyError, TypeError):
            return []  # a queue nobody can read must not take the window down
        return self._items

    def newest(self) -> list[Path]:
        """The runs with the highest numbers, the newest first; read again only if any came."""
        try:
            changed = self.runs_dir.stat().st_mtime_ns
        except OSError:
            return []
        if changed != self._changed:
            found = heapq.nlargest(LATEST, numbered(self.runs_dir))
            self._newest = [path for _, path in found if (path / "run.jsonl").is_file()]
            # A folder may have been made that has no journal yet: then look again next time.
            self._changed = changed if len(self._newest) == len(found) else -1
        return self._newest

    def running(self) -> Path | None:
        """The run that goes on now, whoever started it; also an old one that is resumed."""
        resumed = [Path(item.run) for item in self.items() if item.status == "running" and item.run]
        return next((p for p in [*resumed, *self.newest()] if is_locked(p / "writer.lock")), None)

    def disk_left(self) -> int:
        """Bytes free where the runs go."""
        place = self.runs_dir
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free

    # Control

    def control(self, verb: str, reason: str = "") -> Path:
        """Ask the run that goes on to pause, resume, abort or stop.

        Raises:
            RequestError: none goes on.
        """
        run = self.running()
        if run is None:
            raise RequestError(f"no run goes on in {self.runs_dir}, so there is none to {verb}")
        send(run, verb, reason)
        return run

    def start_queue(self) -> bool:
        """Start a process that works the queue off; False if one does already.

        It has a session of its own, so neither the window's end nor Ctrl-C in its terminal ends it.
        """
        if self.manager.worked_off():
            return False
        self.start("queue", "run", "--runs", str(self.runs_dir))
        return True

    def start(self, *words: str) -> int:
        """Start a labctl command that outlives the window; its output goes to `queue.log`."""
        self.runs_dir.mkdir(parents=True, exist_ok=True)
        with (self.runs_dir / LOG).open("ab") as log:
            child = subprocess.Popen(
                [*COMMAND, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=os.environ | {"PYTHONUNBUFFERED": "1"}, **_detached(),
            )  # fmt: skip
        self._children.append(child)
        return child.pid

    def reap(self) -> list[int]:
        """Exit codes of started processes that ended since the last call."""
        ended = [child for child in self._children if child.poll() is not None]
        self._children = [child for child in self._children if child not in ended]
        return [int(child.returncode) for child in ended]


def _detached() -> dict[str, Any]:
    """Options that give a child a session (on Windows a process group) of its own."""
    if sys.platform == "win32":
        flags = subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.DETACHED_PROCESS
        return {"creationflags": flags}
    return {"start_new_session": True}


def last_lines(path: Path, count: int = 5) -> Sequence[str]:
    """The last lines of a text file that may be long."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except OSError:
        return ()
