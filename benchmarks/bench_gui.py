"""Speed and memory of the window, beside pymeasure's own: `python benchmarks/bench_gui.py`.

Everything on the offscreen platform. A frame is refreshing and painting. Times are medians and, in
brackets, the slowest of a hundred frames. One JSON document goes to standard output, a table to
standard error.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import numpy as np

ROWS = 1_000_000
FRAMES = 100
SIDE = 200
RUNS = 100_000
PACE = 1000
ROUNDS = 5
WARM = 1200

UP = {
    "labctl": """
import time; begin = time.perf_counter()
import sys; from pathlib import Path
from labctl.gui.app import application, open_window
window = open_window(Path(sys.argv[1]), "cluster-microcomb")
app = application()
while not window.isVisible() or window.statebar.facts["disk left"].value.text() == "–":
    app.processEvents()
print(time.perf_counter() - begin)
window.close()
""",
    "pymeasure": """
import time; begin = time.perf_counter()
from pymeasure.display.Qt import QtWidgets
from pymeasure.display.windows import ManagedWindow
from pymeasure.experiment import FloatParameter, Procedure
class P(Procedure):
    a = FloatParameter("a", default=1.0)
    DATA_COLUMNS = ["x", "y"]
app = QtWidgets.QApplication([])
window = ManagedWindow(procedure_class=P, inputs=["a"], displays=["a"], x_axis="x", y_axis="y")
window.show()
app.processEvents()
print(time.perf_counter() - begin)
""",
}

WRITER = """
import sys, time; from pathlib import Path
from labctl.run.folder import RunFolder
start = {"columns": ["index", "x", "y"], "points": 0, "mode": "sim"}
with RunFolder.create(Path(sys.argv[1]), "bench", start) as run:
    run.opened({})
    print(run.path, flush=True)
    sys.stdin.readline()
    begin, count, late = time.perf_counter(), 0, []
    pace = float(sys.argv[2])
    while time.perf_counter() - begin < 4.0:
        for _ in range(1000 if not pace else 1):
            run.emit({"index": count, "x": count * 1e-3, "y": (count % 777) * 0.1}, count * 1e-3)
            count += 1
        if pace:  # points that come at their time, as those of an instrument do
            due = begin + count / pace
            late.append(time.perf_counter() - due)
            time.sleep(max(0.0, due - time.perf_counter()))
    late = sorted(late) or [0.0]
    print(count / (time.perf_counter() - begin),
          *(1e3 * late[int(part * (len(late) - 1))] for part in (0.5, 0.99)), flush=True)
    run.stop("finished")
"""

#: pymeasure's window and the thread in it that measures, as its users have them.
THEIR_WRITER = """
import sys, time
from pymeasure.display.Qt import QtWidgets
from pymeasure.display.windows import ManagedWindow
from pymeasure.experiment import FloatParameter, Procedure, Results
class P(Procedure):
    pace = FloatParameter("pace", default=float(sys.argv[2]))
    DATA_COLUMNS = ["index", "x", "y"]
    def execute(self):
        begin, count, late = time.perf_counter(), 0, []
        while time.perf_counter() - begin < 4.0:
            self.emit("results", {"index": count, "x": count * 1e-3, "y": (count % 777) * 0.1})
            count += 1
            due = begin + count / self.pace
            late.append(time.perf_counter() - due)
            time.sleep(max(0.0, due - time.perf_counter()))
        late = sorted(late)
        found.append((count / (time.perf_counter() - begin),
                      *(1e3 * late[int(part * (len(late) - 1))] for part in (0.5, 0.99))))
found = []
app = QtWidgets.QApplication([])
window = ManagedWindow(
    procedure_class=P, inputs=["pace"], displays=["pace"], x_axis="x", y_axis="y"
)
window.show()
window.manager.queue(window.new_experiment(Results(P(), sys.argv[1])))
while not found:
    app.processEvents()
    time.sleep(0.002)
print(*found[0], time.process_time(), flush=True)
import os; os._exit(0)
"""

#: A virtual monitor: on request it goes on by an hour; says how much memory it has (MB).
MONITOR = """
import sys; from pathlib import Path
import numpy as np
from labctl.journal import Journal
from labctl.run.folder import RunFolder
sys.path.insert(0, sys.argv[3])
from bench_gui import rss
columns = ["index", "time (s)", "temperature (K)", "power (mW)"]
start = {"columns": columns, "points": int(sys.argv[2]), "mode": "sim", "parameters": {}}
run = RunFolder.create(Path(sys.argv[1]), "monitor", start)
run.opened({})
health = Journal(run.path / "health.jsonl")
rng, second = np.random.default_rng(0), 0
print(rss(), flush=True)
for line in sys.stdin:
    for second in range(second, second + int(line)):
        run.emit({"index": second, "time (s)": float(second), "power (mW)": float(second % 60),
                  "temperature (K)": 300 + float(rng.normal())}, float(second))
        if second % 5 == 0:
            health.append({"entry": "reading", "name": "t", "t": float(second), "value": 1.0})
    second += 1
    print(rss(), flush=True)
"""


def frames(draw: Callable[[int], object], count: int = FRAMES) -> dict[str, float]:
    """Milliseconds of each frame: median and slowest."""
    from labctl.gui.app import application

    app = application()
    times = []
    for number in range(count):
        begin = time.perf_counter()
        draw(number)
        app.processEvents()
        times.append(1e3 * (time.perf_counter() - begin))
    times = times[3:]  # the first ones set the axes up
    return {"median, ms": statistics.median(times), "slowest, ms": max(times)}


def window_up(name: str, place: Path) -> float:
    """Seconds from the first line of Python to the window on the screen, best of three."""
    found = []
    for _ in range(3):
        done = subprocess.run(
            [sys.executable, "-c", UP[name], str(place)], capture_output=True, text=True, check=True
        )
        found.append(float(done.stdout.split()[-1]))
    return min(found)


def our_curve() -> dict[str, float]:
    """A curve of a million points to which a thousand come with each frame."""
    from labctl.gui.curvepanel import CurvePanel
    from labctl.gui.theme import DARK
    from labctl.live import Curve
    from labctl.viewing.table import Table

    table = Table()
    rng = np.random.default_rng(0)
    x = np.arange(float(ROWS))
    table.extend({"x": x, "y": np.cumsum(rng.normal(size=ROWS))})
    panel = CurvePanel(Curve("c", "x", "y"), DARK)
    panel.resize(1000, 700)
    panel.show()

    def draw(number: int) -> None:
        for i in range(1000):
            table.append({"x": float(ROWS + 1000 * number + i), "y": float(i % 7)})
        panel.refresh(table)

    return frames(draw)


def our_map() -> dict[str, float]:
    """A map of 200 x 200 to which a line comes with each frame."""
    from labctl.gui.mappanel import MapPanel
    from labctl.gui.theme import DARK
    from labctl.live import HeatMap
    from labctl.viewing.table import Table

    table = Table()
    for y in range(SIDE):
        for x in range(SIDE):
            table.append({"x": x * 0.1, "y": y * 0.2, "v": float(x * y)})
    panel = MapPanel(HeatMap("m", "x", "y", "v"), DARK)
    panel.resize(900, 700)
    panel.show()

    def draw(number: int) -> None:
        for x in range(SIDE):
            table.append({"x": x * 0.1, "y": (number % SIDE) * 0.2, "v": float(number + x)})
        panel.refresh(table)

    return frames(draw)


def their_results(place: Path, columns: list[str], data: np.ndarray) -> Any:
    """Results of pymeasure with this data in their file."""
    from pymeasure.experiment import Procedure, Results

    procedure = type("P", (Procedure,), {"DATA_COLUMNS": columns})
    results = Results(procedure(), str(place))
    with place.open("ab") as file:
        np.savetxt(file, data, delimiter=",", fmt="%.6g")
    return results


def their_curve(place: Path) -> dict[str, float]:
    """The same with pymeasure's plot."""
    import pyqtgraph as pg
    from pymeasure.display.curves import ResultsCurve
    from pymeasure.display.widgets import PlotWidget

    rng = np.random.default_rng(0)
    data = np.stack([np.arange(float(ROWS)), np.cumsum(rng.normal(size=ROWS))], axis=1)
    results = their_results(place / "curve.csv", ["x", "y"], data)
    widget = PlotWidget("plot", ["x", "y"], "x", "y")
    widget.resize(1000, 700)
    widget.show()
    curve = ResultsCurve(results, x="x", y="y", pen=pg.mkPen("r"))
    widget.plot.addItem(curve)
    curve.update_data()

    def draw(number: int) -> None:
        rows = [f"{ROWS + 1000 * number + i},{i % 7}\n" for i in range(1000)]
        with (place / "curve.csv").open("a") as file:
            file.writelines(rows)
        curve.update_data()

    return frames(draw, 20)


def their_map(place: Path) -> dict[str, float]:
    """The same with pymeasure's image."""
    from pymeasure.display.curves import ResultsImage
    from pymeasure.display.widgets import ImageWidget
    from pymeasure.experiment import FloatParameter, Procedure, Results

    members: dict[str, Any] = {"DATA_COLUMNS": ["x", "y", "v"]}
    for axis, step in (("x", 0.1), ("y", 0.2)):
        for end, value in (("start", 0.0), ("end", step * (SIDE - 1)), ("step", step)):
            members[f"{axis}_{end}"] = FloatParameter(f"{axis} {end}", default=value)
    path = place / "map.csv"
    results = Results(type("P", (Procedure,), members)(), str(path))
    lines = [f"{x * 0.1:.6g},{y * 0.2:.6g},{x * y}\n" for y in range(SIDE) for x in range(SIDE)]
    with path.open("a") as file:
        file.writelines(lines)
    widget = ImageWidget("image", ["x", "y", "v"], "x", "y", "v")
    widget.resize(900, 700)
    widget.show()
    image = ResultsImage(results, x="x", y="y", z="v")
    widget.plot.addItem(image)
    image.update_data()

    def draw(number: int) -> None:
        with path.open("a") as file:
            file.writelines(f"{x * 0.1:.6g},{(number % SIDE) * 0.2:.6g},{x}\n" for x in range(SIDE))
        image.update_data()

    return frames(draw, 20)


def acquisition(place: Path, watched: bool, pace: float = 0.0) -> dict[str, float]:
    """What becomes of a run's rows, with and without a window on it.

    Without a pace it writes as fast as it can. Late is what comes after its time: by how much half
    of the rows are, and all but 1 %. How busy the window is does not depend on what else the
    machine does.
    """
    from labctl.gui.app import application, open_window

    runs = place / f"run-{time.monotonic_ns()}"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(runs), str(pace)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as writer:  # fmt: skip
        assert writer.stdin
        assert writer.stdout
        writer.stdout.readline()
        window = open_window(runs, "cluster-microcomb") if watched else None
        app = application()
        end = time.monotonic() + 2.0
        while watched and time.monotonic() < end:  # until the helper has loaded its procedures
            app.processEvents()
        busy, began = time.process_time(), time.monotonic()
        writer.stdin.write("go\n")
        writer.stdin.flush()
        while watched and writer.poll() is None and time.monotonic() < began + 4.5:
            app.processEvents()
            time.sleep(0.002)
        busy = (time.process_time() - busy) / (time.monotonic() - began)
        rate, half, most = map(float, writer.stdout.readline().split())
        if window is not None:
            window.close()
    return {"rows/s": rate, "half late by, ms": half, "99 % late by less than, ms": most,
            "window busy, %": 100 * busy if watched else 0.0}  # fmt: skip


def their_acquisition(place: Path, pace: float) -> dict[str, float]:
    """The same with pymeasure's window, which measures in a thread of its own process."""
    path = place / f"their-{time.monotonic_ns()}.csv"
    command = [sys.executable, "-c", THEIR_WRITER, str(path), str(pace)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rate, half, most, _ = map(float, done.stdout.splitlines()[-1].split())
    return {"rows/s": rate, "half late by, ms": half, "99 % late by less than, ms": most}


def paced(place: Path) -> dict[str, dict[str, float]]:
    """An acquisition at its own pace: alone, with the window, in pymeasure's window.

    In turn, several times, because what else the machine does changes from minute to minute;
    medians of all rounds, and in how many of them the window made rows later than they were alone.
    """
    ways: dict[str, Callable[[], dict[str, float]]] = {
        "alone": lambda: acquisition(place, False, PACE),
        "with the window": lambda: acquisition(place, True, PACE),
        "in pymeasure's window": lambda: their_acquisition(place, PACE),
    }
    rounds: dict[str, list[dict[str, float]]] = {name: [] for name in ways}
    for number in range(ROUNDS):
        order = list(ways)
        for name in order[number % 3 :] + order[: number % 3]:
            rounds[name].append(ways[name]())
    found = {
        name: {key: statistics.median(one[key] for one in many) for key in many[0]}
        for name, many in rounds.items()
    }
    late = "99 % late by less than, ms"
    pairs = zip(rounds["with the window"], rounds["alone"], strict=True)
    found["with the window"]["rounds later than alone"] = sum(a[late] > b[late] for a, b in pairs)
    return found


def search(place: Path) -> dict[str, float]:
    """Seconds to search a catalogue of 1e5 runs in several ways, best of five each."""
    import sqlite3

    from labctl.jsonline import to_json
    from labctl.run import catalogue

    place.mkdir()
    rng = np.random.default_rng(0)
    names = ("covariance-sweep", "squeezing-spectrum", "epr-pairs", "ring-transmission")
    with sqlite3.connect(place / catalogue.INDEX) as db:
        for statement in catalogue._TABLES:
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {catalogue._VERSION}")
        for number in range(1, RUNS + 1):
            parameters = {f"parameter_{k}": float(v) for k, v in enumerate(rng.random(15))}
            parameters["pair"] = int(rng.integers(5, 36))
            results = {f"r{k}": {"value": float(rng.random()), "uncertainty": 0.1, "unit": "dB"}
                       for k in range(6)}  # fmt: skip
            title = ("night", "after alignment", "third try")[number % 3]
            about = {"title": title, "bench": "cluster-microcomb", "mode": "sim", "seed": 0,
                     "parameters": parameters, "units": {}, "results": results, "tags": {},
                     "reason": "", "remarks": [], "labels": []}  # fmt: skip
            text = [names[number % 4], title, *(f"{n}={v:.6g}" for n, v in parameters.items())]
            folder = f"{number:04d}-{names[number % 4]}"
            line = [folder, 1, 1, number, names[number % 4], 1.7e9 + number, "stop", "finished",
                    100, int(number % 50 == 0), "", to_json(about).decode()]  # fmt: skip
            units = {f"parameter_{k}": ("mW", "W")[(number + k) % 2] for k in range(15)}
            quantities = {n: (v, units.get(n, "")) for n, v in parameters.items()}
            quantities.update({n: (r["value"], "dB") for n, r in results.items()})
            catalogue.insert(db, line, "\n".join(text), quantities)
    found = {}
    texts = (
        "", "alignment", "nowhere to be found", "pair=16", "r2>0.9 night", "is:starred", "pair>5",
        "parameter_3<0.2 mW", "parameter_3<0.2 W", "parameter_3<-3 dBm",
    )  # fmt: skip
    for text in texts:
        times = []
        for _ in range(5):
            begin = time.perf_counter()
            catalogue.newest_runs(place, text)
            times.append(time.perf_counter() - begin)
        found[text or "(everything)"] = min(times)
    return found


def memory(
    place: Path, hours: int = 24, frames_per_hour: int = 60, warm: int = WARM
) -> dict[str, float]:
    """Megabytes of this process while a window follows a monitor through virtual hours.

    Qt and pyqtgraph fill their caches with the first thousand frames, which are those of the first
    two hours (in life, of the first minutes). The slope is a line through all hours from the second
    on, and its standard error that of what is left over. The run is a process of its own.
    """
    from labctl.gui.app import application, open_window

    with subprocess.Popen(
        [sys.executable, "-c", MONITOR, str(place), str(3600 * hours), str(Path(__file__).parent)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as run:  # fmt: skip
        assert run.stdin
        assert run.stdout
        theirs = [float(run.stdout.readline())]
        window = open_window(place, "cluster-microcomb")
        app = application()
        end = time.monotonic() + 60.0
        while window.helper.busy and time.monotonic() < end:  # its answers come once
            app.processEvents()
        ours = [rss()]
        for hour in range(hours):
            count = max(frames_per_hour, warm // 2) if hour < 2 else frames_per_hour
            for _ in range(count):
                run.stdin.write(f"{3600 // count}\n")
                run.stdin.flush()
                grown = float(run.stdout.readline())
                window.conductor.tick()
                window.live.refresh(force=True)
                app.processEvents()
            theirs.append(grown)
            ours.append(rss())
        active = window.conductor.active
        if active is None or active.table.seen < 3600 * hours - 100:
            raise SystemExit("the window did not follow the run")
        window.close()
    found = {}
    for name, used in (("window", ours), ("run", theirs)):
        slope, error = line(np.arange(2.0, hours + 1.0), np.array(used[2:]))
        found |= {f"{name} after 2 h": used[2], f"{name} after {hours} h": used[-1],
                  f"{name}, MB per day": 24 * slope, f"{name}, +-": 24 * error}  # fmt: skip
    return found


def memory_of(place: Path, hours: int) -> dict[str, float]:
    """`memory` of a process of its own: what ran before leaves free memory behind."""
    command = [sys.executable, __file__, "--memory", str(place / f"hours-{hours}"), str(hours)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def line(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Slope of a straight line through points, and its standard error."""
    x = x - x.mean()
    slope = float((x * y).sum() / (x * x).sum())
    rest = y - y.mean() - slope * x
    return slope, float(np.sqrt((rest**2).sum() / max(1, len(x) - 2) / (x * x).sum()))


def rss() -> float:
    """Resident megabytes now; where the system does not say, the most there ever were."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> int:
    from labctl.gui.app import application

    if sys.argv[1:2] == ["--memory"]:  # in a process of its own: others leave free memory behind
        application()
        print(json.dumps(memory(Path(sys.argv[2]), *map(int, sys.argv[3:6]))))
        return 0
    if sys.argv[1:2] == ["--acquisition"]:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps(paced(Path(folder)), indent=1))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        (place / "theirs").mkdir()
        found: dict[str, dict[str, float]] = {}

        def keep(title: str, values: dict[str, float]) -> None:
            text = "   ".join(f"{name} {value:.4g}" for name, value in values.items())
            print(f"{title:<36} {text}", file=sys.stderr, flush=True)
            found[title] = values

        keep("window up", {f"{name}, s": window_up(name, place / "up") for name in UP})
        application()
        keep(f"curve of {ROWS} points, labctl", our_curve())
        keep(f"curve of {ROWS} points, pymeasure", their_curve(place / "theirs"))
        keep(f"map of {SIDE} x {SIDE}, labctl", our_map())
        keep(f"map of {SIDE} x {SIDE}, pymeasure", their_map(place / "theirs"))
        fast = {
            "alone": acquisition(place, watched=False)["rows/s"],
            "with the window": acquisition(place, watched=True)["rows/s"],
        }
        keep("as fast as can be, rows/s", fast)
        for way, how in paced(place).items():
            keep(f"{PACE} rows/s asked for, {way}", how)
        keep(f"search of {RUNS} runs, s", search(place / "catalogue"))
        for hours in (24, 72):  # minutes
            keep(f"memory over {hours} h, MB", memory_of(place, hours))
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
