"""Kill one covariance sweep at random times, resume it each time, and count its rows.

    python benchmarks/bench_kill.py [kills] [seed]

Every row that was acknowledged before a kill must be there afterwards, and in the end every point
must be there exactly once.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from labctl.run.folder import RunFolder

CHILD = """
import sys
from pathlib import Path
from labctl.run import runner
from labctl.run.request import Request

def tell(event):
    if event.kind == "point":
        print(event.value["index"], flush=True)

if sys.argv[1] == "start":
    request = Request("covariance-sweep", bench="cluster-microcomb")
    runner.start(request, Path(sys.argv[2]), tell)
else:
    runner.resume(Path(sys.argv[2]), tell)
"""


def life(arguments: list[str], rows: int, delay: float) -> list[int]:
    """Run until `rows` rows are acknowledged and `delay` s more, kill -9; the rows' indices."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    acknowledged = []
    for line in process.stdout:
        acknowledged.append(int(line))
        if len(acknowledged) >= rows:
            break
    time.sleep(delay)
    process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
    rest = process.stdout.read().split()
    process.wait()
    return acknowledged + [int(word) for word in rest]


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    choose = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    with tempfile.TemporaryDirectory() as place:
        acknowledged: set[int] = set()
        arguments = ["start", place]
        lost = done = 0
        for _ in range(kills):
            acknowledged |= set(life(arguments, choose.randint(1, 6), choose.uniform(0, 0.03)))
            (path,) = [p for p in Path(place).iterdir() if p.is_dir()]
            folder = RunFolder.open(path)
            recovered = {row["index"] for row in folder.rows}
            lost += len(acknowledged - recovered)
            arguments = ["resume", str(path)]
            done += 1
            if folder.status == "finished":
                break
        life(arguments, 10**9, 0.0)
        folder = RunFolder.open(path)
        indices = [row["index"] for row in folder.rows]
        print(f"{done} kills, {len(acknowledged)} rows acknowledged before them, {lost} lost")
        print(
            f"{folder.status}: {len(indices)} rows, {len(set(indices))} different points of "
            f"{folder.start['points']}, damage: {folder.damage or 'none'}"
        )
        assert lost == 0
        assert folder.status == "finished"
        assert sorted(indices) == list(range(folder.start["points"]))


if __name__ == "__main__":
    main()
