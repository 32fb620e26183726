"""What the window does to the laboratory: it starts processes and writes control lines."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from labctl.benchloading import shipped_benches
from labctl.errors import LabError, RequestError
from labctl.manager import Item, Manager
from labctl.manager.queue import FILE as QUEUE
from labctl.run import safety
from labctl.run.control import send
from labctl.run.locate import newest
from labctl.run.ongoing import ongoing
from labctl.run.stopping import account_place, ask_all

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
        self._worker: subprocess.Popen[bytes] | None = None
        self._stopper: subprocess.Popen[bytes] | None = None
        self._before: list[Item] = []  # the queue when the worker was started
        self._items: list[Item] = []
        self._queue_state: tuple[int, int, bool] | None = None
        self._bench_file: tuple[str, Path, int] = ("", Path(), 0)
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
            found = newest(self.runs_dir, LATEST)
            self._newest = [path for path in found if (path / "run.jsonl").is_file()]
            # A folder may have been made that has no journal yet: then look again next time.
            self._changed = changed if len(self._newest) == len(found) else -1
        return self._newest

    def going(self) -> list[Path]:
        """The runs that go on now, whoever started them, the newest first; also resumed ones."""
        return ongoing(self.runs_dir)

    def running(self) -> Path | None:
        """The newest run that goes on now."""
        return next(iter(self.going()), None)

    def bench_edited(self) -> bool:
        """Whether the file of the bench was changed since the last look at the same bench."""
        name, place, before = self._bench_file
        if name != self.bench:
            place = shipped_benches().get(self.bench, Path(self.bench))
        try:
            now = place.stat().st_mtime_ns
        except OSError:
            now = 0
        self._bench_file = (self.bench, place, now)
        return name == self.bench and now != before

    def disk_left(self) -> int:
        """Bytes free where the runs go."""
        place = self.runs_dir
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free

    # Control

    def control(self, verb: str, reason: str = "", shown: Path | None = None) -> Path:
        """Ask the run that goes on to pause, resume or abort.

        Args:
            verb: one of those.
            reason: why.
            shown: the run that the user sees; no other one is asked.

        Raises:
            RequestError: none goes on, or another one than the user sees.
        """
        runs = self.going()
        if not runs:
            raise RequestError(f"no run goes on in {self.runs_dir}, so there is none to {verb}")
        run = shown or runs[0]
        if run not in runs:
            raise RequestError(
                f"{run.name} has ended; {runs[0].name} goes on now and was not asked to {verb}"
            )
        send(run, verb, reason)
        return run

    def stop_all(self, reason: str, bench: str, mode: str) -> list[tuple[Path, int]]:
        """Have every run stopped and what it had made safe, by a process of its own.

        If none goes on, the bench of the item that is being begun, or else `bench`, is made safe.

        Returns:
            The folders in which accounts of it appear, and how many accounts each has already.

        Raises:
            RequestError: there is nothing to make safe.
            OSError: no process can be started; what runs was asked to stop.
        """
        begun = self.manager.worked_off()
        runs = ongoing(self.runs_dir)
        places = [(run, 0) for run in runs]  # an account of an earlier stretch no longer counts
        words = ["stop", "--runs", str(self.runs_dir), "--reason", reason]
        if not runs:
            item = next((i for i in self.items() if i.status == "running"), None)
            if item is not None:
                bench, mode = str(item.request["bench"]), str(item.request["mode"] or "")
            place = account_place(self.runs_dir)
            places = [(place, safety.count(place))]
            words += ["--bench", bench, *(["--mode", mode] if mode else [])]
        ask_all(self.runs_dir, reason)
        if not begun and self._worker is not None and self._worker.poll() is None:
            self._worker.terminate()  # it has not looked yet whether anybody asked it to stop
        if not runs and not bench:
            raise RequestError("no run goes on, and no bench is chosen that could be made safe")
        self._stopper = self.start(*words)
        return places

    def stop_problem(self) -> str:
        """Why the process that was to make everything safe gave up; "" while it may yet do so."""
        code = self._stopper.poll() if self._stopper is not None else None
        return self._last_words(f"labctl stop ended with exit code {code}") if code else ""

    def start_queue(self) -> bool:
        """Start a process that works the queue off; False if one does already.

        It has a session of its own, so neither the window's end nor Ctrl-C in its terminal ends it.
        """
        if self.manager.worked_off():
            return False
        self._before = self.items()
        self._worker = self.start("queue", "run", "--runs", str(self.runs_dir))
        return True

    def start_problem(self) -> str:
        """Why the process that was to work the queue off ended and did nothing; said once."""
        worker = self._worker
        if worker is None or (code := worker.poll()) is None:
            return ""
        self._worker = None
        if not code or self.items() != self._before:  # a run that failed tells so itself
            return ""
        why = self._last_words(f"exit code {code}")
        return f"the queue did not begin: {why}"

    def _last_words(self, otherwise: str) -> str:
        """The last line that processes wrote that were started from here."""
        return next(iter(last_lines(self.runs_dir / LOG, 1)), otherwise)

    def start(self, *words: str) -> subprocess.Popen[bytes]:
        """Start a labctl command that outlives the window; its output goes to `queue.log`."""
        with self._log() as log:
            child = subprocess.Popen(
                [*COMMAND, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=os.environ | {"PYTHONUNBUFFERED": "1"}, **_detached(),
            )  # fmt: skip
        self._children.append(child)
        return child

    def _log(self) -> BinaryIO:
        """Where output goes; nowhere, if that cannot be written: STOP must work even then."""
        with contextlib.suppress(OSError):
            self.runs_dir.mkdir(parents=True, exist_ok=True)
            return (self.runs_dir / LOG).open("ab")
        return Path(os.devnull).open("ab")

    def ended(self) -> bool:
        """Whether every process that was started from here has ended."""
        self._children = [child for child in self._children if child.poll() is None]
        return not self._children


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
