"""Kill covariance sweeps at random times, resume them each time, and count their rows.

    python benchmarks/bench_kill.py [kills] [seed] [signal]

The times are drawn over the whole life of a process that has its imports behind it, so that kills
hit opening, measuring, the analysis, and what a resumed run does before its first row. Every row
that was acknowledged before a kill must be there afterwards with the same values; in the end every
point must be there exactly once, and the replay of the whole run must be the same to the last bit.
"""

from __future__ import annotations

import collections
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from labctl.run import replay
from labctl.run.folder import RunFolder

CHILD = """
import json
import sys
from pathlib import Path
import pyarrow, scipy.optimize
import drivers.redpitaya_lock, drivers.spectrum_analyser, drivers.toptica_dlcpro, drivers.waveshaper
import procedures.covariance_analysis, procedures.covariance_sweep
import simulated_instruments.worlds.microcomb
from labctl.run import runner
from labctl.run.request import Request

def tell(event):
    if event.kind == "point":
        scalars = {k: v for k, v in event.value.items() if not hasattr(v, "shape")}
        print(json.dumps(scalars), flush=True)
    elif event.kind in ("opening", "start", "analysing", "stop"):
        print(json.dumps(event.kind), flush=True)

print(json.dumps("ready"), flush=True)
if sys.argv[1] == "start":
    runner.start(Request("covariance-sweep", bench="cluster-microcomb"), Path(sys.argv[2]), tell)
else:
    runner.resume(Path(sys.argv[2]), tell)
"""
NUMBER = getattr(signal, sys.argv[3] if len(sys.argv) > 3 else "SIGKILL")


def life(arguments: list[str], seconds: float | None) -> tuple[bool, str, dict[int, Any]]:
    """Run for at most so long; whether it was killed, in which phase, and acknowledged rows."""
    process = subprocess.Popen(
        [sys.executable, "-c", CHILD, *arguments], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    process.stdout.readline()  # ready
    killed = False
    if seconds is not None:
        time.sleep(seconds)
        killed = process.poll() is None
        process.send_signal(NUMBER)
    phase, rows = "imports", {}
    for line in process.stdout:
        try:
            said = json.loads(line)
        except ValueError:  # cut short: not acknowledged
            break
        if isinstance(said, str):
            phase = said
        else:
            rows[said["index"]] = said
            phase = "rows"
    process.wait()
    return killed, phase, rows


def campaign(place: Path, choose: random.Random, most: int) -> tuple[int, int, int, list[str]]:
    """Kill one run until it is finished; kills, acknowledged and lost rows, phases."""
    acknowledged: dict[int, Any] = {}
    arguments, kills, lost, phases = ["start", str(place)], 0, 0, []
    while True:
        # Half of the lives are short: what happens before the first row takes a second.
        limit = choose.choice([1.5, 5.0])
        killed, phase, rows = life(arguments, choose.uniform(0, limit) if kills < most else None)
        kills += killed
        phases += [phase] * killed
        acknowledged |= rows
        paths = (
            [p for p in place.iterdir() if (p / "run.jsonl").is_file()] if place.exists() else []
        )
        if not paths or not (paths[0] / "run.jsonl").stat().st_size:
            assert not acknowledged
            place = place.with_name(f"{place.name}x")  # killed before there was a run
            arguments = ["start", str(place)]
            continue
        folder = RunFolder.open(paths[0])
        held = {row["index"]: row for row in folder.rows}
        lost += sum(held.get(index) != row for index, row in acknowledged.items())
        assert len(held) == len(folder.rows), "a point was measured twice"
        if folder.status == "finished":
            assert sorted(held) == list(range(folder.start["points"]))
            assert folder.verify() == []
            assert replay.replay(folder.path).difference == ""
            return kills, len(acknowledged), lost, phases
        arguments = ["resume", str(folder.path)]


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    choose = random.Random(int(sys.argv[2]) if len(sys.argv) > 2 else 1)
    done = rows = lost = runs = 0
    phases: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        while done < kills:
            runs += 1
            count, known, missing, where = campaign(
                Path(folder) / str(runs), choose, min(kills - done, 12)
            )
            done, rows, lost = done + count, rows + known, lost + missing
            phases.update(where)
    print(f"{done} kills ({NUMBER.name}) of {runs} runs, {rows} rows acknowledged, {lost} lost")
    print("in the phase: " + ", ".join(f"{name} {n}" for name, n in phases.most_common()))
    print("all runs finished, every point once, no damage, replays identical")
    assert lost == 0


if __name__ == "__main__":
    main()
