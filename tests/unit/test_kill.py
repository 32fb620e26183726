"""Writers killed at random moments: every acknowledged row is there, none twice, and it goes on.

LABCTL_KILLS sets how many writers are killed (12 unless told). `benchmarks/bench_journal.py` uses
`kill_campaign` from here.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from labctl.run.folder import RunFolder

#: The writer resumes the run, goes on with the point after the last, and says each point's number
#: only after `emit` has returned.
WRITER = """
import os
import sys
import numpy as np
import pyarrow  # what the first array would import, so that the kills hit writing
from labctl.run.folder import RunFolder

run = RunFolder.resume(sys.argv[1])
done = run.points_done
run.opened({"stretch": run.stretches})
index = len(done)
assert done == set(range(index)), "the points present are not the first ones"
os.write(1, b"ready\\n")
while True:
    size = index * 7919 % 700
    run.emit(
        {"index": index, "x (nm)": 1500.0 + index / 7, "s (V)": np.arange(size) + index / 3},
        index * 0.5,
    )
    os.write(1, b"%d\\n" % index)
    index += 1
"""


@dataclass
class Campaign:
    """What came of killing writers of one run, one after the other."""

    kills: int
    acknowledged: int
    recovered: int
    lost: int
    torn_tails: int
    problems: list[str]


def kill_campaign(folder: Path, kills: int, seed: int) -> Campaign:
    """Kill `kills` writers of one run after seeded numbers of points, checking after each."""
    rng = random.Random(seed)
    with RunFolder.create(folder, "kill-test", {"columns": ["index", "x (nm)", "s (V)"]}) as run:
        path = run.path
    result = Campaign(0, 0, 0, 0, 0, [])
    for _ in range(kills):
        said = _write_until_killed(path, rng.randrange(80))
        result.kills += 1
        result.acknowledged = max(result.acknowledged, said)
        after = RunFolder.open(path)
        indices = [row["index"] for row in after.rows]
        result.recovered = len(indices)
        if indices != list(range(len(indices))):
            result.problems.append(f"kill {result.kills}: points are not each there once, in order")
        if len(indices) < result.acknowledged:
            result.lost += result.acknowledged - len(indices)
        if after.status != "interrupted":
            result.problems.append(f"kill {result.kills}: status {after.status}")
        torn = [line for line in after.damage if "unfinished write" in line]
        result.torn_tails += bool(torn)
        result.problems += [line for line in after.verify() if line not in torn]
    result.problems += _wrong_rows(RunFolder.open(path))
    with RunFolder.resume(path) as run:
        if run.damage:
            result.problems.append(f"still damaged after resuming: {run.damage}")
        run.emit({"index": result.recovered, "x (nm)": 0.0, "s (V)": np.zeros(3)}, 0.0)
        run.stop("finished")
    if RunFolder.open(path).points_done != set(range(result.recovered + 1)):
        result.problems.append("could not be finished after the last kill")
    return result


def _write_until_killed(path: Path, points: int) -> int:
    """Start a writer, kill it while it goes on after so many points; how many it acknowledged."""
    said = 0
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE
    ) as writer:
        assert writer.stdout is not None
        if writer.stdout.readline() != b"ready\n":
            raise RuntimeError("the writer did not start")
        heard = [writer.stdout.readline() for _ in range(points)]
        writer.kill()
        for line in (*heard, *writer.stdout):
            if line.endswith(b"\n"):
                said = int(line) + 1
    return said


def _wrong_rows(run: RunFolder) -> list[str]:
    """Every value of every row, bit for bit."""
    wrong = []
    for index, row in enumerate(run.rows):
        expected = np.arange(index * 7919 % 700) + index / 3
        found = run.trace("s (V)", index)
        if row["x (nm)"] != 1500.0 + index / 7 or found.tobytes() != expected.tobytes():
            wrong.append(f"point {index} holds other values than were written")
    return wrong


@pytest.mark.parametrize("seed", [1, 2])
def test_killed_writers_lose_no_acknowledged_row(tmp_path: Path, seed: int) -> None:
    kills = max(1, int(os.environ.get("LABCTL_KILLS", "12")) // 2)
    result = kill_campaign(tmp_path, kills, seed)
    assert result.problems == []
    assert result.lost == 0
    assert result.kills == kills
    assert result.recovered >= result.acknowledged > 0
