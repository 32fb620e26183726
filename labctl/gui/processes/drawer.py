"""The drawing process: small pictures of runs for the catalogue, made while nothing else is to do.

`python -m labctl.gui.processes.drawer` answers requests as the helper does, with low priority.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from labctl.errors import RequestError
from labctl.gui.processes.helper import figures, serve
from labctl.run.reading import RunReader

#: Pixels of a thumbnail; it is shown half as large, or as it is on a fine screen.
WIDTH, HEIGHT = 144, 80
#: Points of a curve in so small a picture.
MOST_POINTS = 2000


def picture_of(run: Path, place: Path) -> Path:
    """Where the thumbnail of a run is kept, given the folder of all drawn figures."""
    return place / "thumbnails" / f"{run.name}.png"


def thumbnail(run: str, place: str) -> str:
    """Make the thumbnail of a run from its first figure, which is drawn and kept if need be.

    A run without figures, or that did not finish, shows its last column over the index.

    Raises:
        LabError: it has no rows, or cannot be read.
    """
    from PIL import Image

    path, drawn = Path(run), Path(place) / Path(run).name
    known = sorted(drawn.glob("*.png"))
    written = (path / "run.jsonl").stat().st_mtime
    if not known or known[0].stat().st_mtime < written:
        known = []
        if RunReader(path).status == "finished":
            with contextlib.suppress(Exception):  # somebody's figures may fail in any way
                known = [Path(file) for file in figures(run, str(drawn))]
    target = picture_of(path, Path(place))
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_suffix(".part")
    if known:
        with Image.open(known[0]) as found:
            small = found.convert("RGB")
        small.thumbnail((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
        whole = Image.new("RGBA", (WIDTH, HEIGHT))  # all have the same size, so that texts align
        whole.paste(small, ((WIDTH - small.width) // 2, (HEIGHT - small.height) // 2))
        whole.save(part, format="png")
    else:
        _draw_plainly(path, part)
    part.replace(target)
    return str(target)


def _draw_plainly(run: Path, target: Path) -> None:
    import numpy as np
    from matplotlib.figure import Figure

    columns = RunReader(run).columns()
    numeric = [v for n, v in columns.items() if n != "index" and v.dtype.kind in "fiu"]
    numeric = [v.astype(float) for v in numeric]
    numeric = [v for v in numeric if np.isfinite(v).any()]
    if not numeric:
        raise RequestError(f"{run.name} has nothing to draw")
    values = numeric[-1][:: max(1, len(numeric[-1]) // MOST_POINTS)]
    figure = Figure(figsize=(WIDTH / 100, HEIGHT / 100), dpi=100)
    axes = figure.add_axes((0.03, 0.05, 0.94, 0.9))
    axes.plot(values, linewidth=1.2, marker="." if len(values) < 30 else "", color="#0072B2")
    axes.set(xticks=[], yticks=[])
    figure.savefig(target, format="png")


def _yield_to_others() -> None:
    """Let measurements and the window go first."""
    if sys.platform == "win32":
        import ctypes

        below_normal = 0x4000
        kernel = ctypes.windll.kernel32
        kernel.SetPriorityClass(kernel.GetCurrentProcess(), below_normal)
    else:
        with contextlib.suppress(OSError):
            os.nice(10)


if __name__ == "__main__":
    _yield_to_others()
    serve({"thumbnail": thumbnail}, fresh=True)
