"""Figures of the run that is shown, drawn by processes of their own while somebody looks.

A procedure's figures are somebody's code, and to draw takes seconds: neither may hold up the page.
`python -m labctl.web.pictures RUN FOLDER` draws once.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

#: Seconds between two drawings, and how many times as long as one took.
EVERY, TIMES = 10.0, 5.0
#: Seconds that a drawing may take.
PATIENCE = 120.0
#: Figures of one run that are shown, and bytes that one may have.
MOST, LARGEST = 8, 8 << 20
RESOLUTION = 110  # dots per inch


@dataclass(frozen=True)
class Picture:
    """One figure as PNG."""

    title: str
    version: int
    data: bytes


class Pictures:
    """The latest figures of one run at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._run: Path | None = None
        self._state: object = None  # of the run when it was drawn
        self._pictures: tuple[Picture, ...] = ()
        self._version = 0
        self._next = 0.0
        self._busy = False
        self.trouble = ""  #: why there are none, in one line

    def latest(self, run: Path, state: object) -> tuple[Picture, ...]:
        """What has been drawn of a run; begins to draw anew if `state` has changed since."""
        with self._lock:
            if run != self._run:
                self._run, self._state, self._pictures, self._next = run, None, (), 0.0
                self.trouble = ""
            if state != self._state and not self._busy and time.monotonic() >= self._next:
                self._busy = True
                threading.Thread(target=self._draw, args=(run, state), daemon=True).start()
            return self._pictures

    def _draw(self, run: Path, state: object) -> None:
        began = time.monotonic()
        pictures, trouble = drawn(run)
        with self._lock:
            self._busy = False
            if run != self._run:
                return
            self._state, self.trouble = state, trouble
            if pictures or not trouble:  # what was drawn before is better than nothing
                self._version += 1
                self._pictures = tuple(Picture(t, self._version, data) for t, data in pictures)
            took = time.monotonic() - began
            self._next = time.monotonic() + max(EVERY, TIMES * took)


def drawn(run: Path, patience: float = PATIENCE) -> tuple[list[tuple[str, bytes]], str]:
    """Titles and PNG of a run's figures, and what went wrong, if anything."""
    with tempfile.TemporaryDirectory(prefix="labctl-web-") as place:
        try:
            done = subprocess.run(
                [sys.executable, "-m", "labctl.web.pictures", str(run.resolve()), place],
                stdin=subprocess.DEVNULL, capture_output=True, timeout=patience, check=False,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            )  # fmt: skip
            listed = json.loads(done.stdout.splitlines()[-1])
        except subprocess.TimeoutExpired:
            return [], f"its figures were not drawn within {patience:g} s"
        except (OSError, ValueError, IndexError):
            return [], "its figures cannot be drawn: labctl plot says why"
        found = []
        with contextlib.suppress(OSError):
            for number, title in enumerate(listed["titles"][:MOST]):
                file = Path(place) / f"{number}.png"
                if file.stat().st_size <= LARGEST:
                    found.append((str(title), file.read_bytes()))
        return found, str(listed["error"])


def main(run: str, place: str) -> None:
    """Draw the figures of a run into a folder; the last line of output names them."""
    from labctl.errors import LabError
    from labctl.run.drawing import figures
    from labctl.run.folder import RunFolder

    if hasattr(os, "nice"):
        os.nice(10)  # the run goes first
    titles: list[str] = []
    error = ""
    try:
        folder = RunFolder.open(run)
        if len(folder.rows):
            for name, figure in figures(folder, apart=True).items():
                figure.savefig(Path(place) / f"{len(titles)}.png", dpi=RESOLUTION, format="png")
                titles.append(name)
    except LabError as trouble:
        error = str(trouble)
    except BaseException as trouble:  # sys.exit, too: somebody's procedure is broken
        error = " ".join(f"no figures: {type(trouble).__name__}: {trouble}".split())
    print(json.dumps({"titles": titles, "error": error}))


if __name__ == "__main__":
    main(*sys.argv[1:3])
