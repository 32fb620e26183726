"""A window that is left open: its memory does not grow with what it follows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "bench_gui.py"


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="asks /proc for memory")
def test_memory_stays_flat_while_a_monitor_goes_on(tmp_path):
    """43200 rows, watched quantities, and frames enough to fill the caches of Qt and pyqtgraph.

    Measured over a day and over three: 0.1 MB. A table that grows with the rows adds 1.4 MB here.
    """
    numbers = ("12", "2", "300")  # hours, frames per hour, and in the first two hours
    command = [sys.executable, str(BENCHMARK), "--memory", str(tmp_path / "runs"), *numbers]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert abs(found["window after 12 h"] - found["window after 2 h"]) < 0.5, found
    assert abs(found["run after 12 h"] - found["run after 2 h"]) < 0.2, found
