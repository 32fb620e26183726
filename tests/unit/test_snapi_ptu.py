"""PTU files that we write, read by PicoQuant's own library where somebody has installed it.

Its licence comes with their hardware, so nothing here depends on it.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labctl.analysis.timetags import write_ptu
from labctl.analysis.timetags.files.model import MARKER

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("snAPI") is None, reason="PicoQuant's snAPI is not installed"
)

READ = """
import json, sys
from snAPI.Main import snAPI
sn = snAPI()
if not sn.getFileDevice(sys.argv[1]):
    sys.exit("snAPI refuses the file")
sn.{kind}.measure(1000, size=1000000, waitFinished=True, savePTU=False)
found = sn.{kind}.getData()
open(sys.argv[2], "w").write(json.dumps([[int(n) for n in column] for column in found]))
"""


def snapi(path: Path, kind: str) -> list[np.ndarray]:
    out = path.with_suffix(".json")
    done = subprocess.run(
        [sys.executable, "-c", READ.format(kind=kind), str(path), str(out)],
        cwd=path.parent, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if not out.exists():
        pytest.skip(f"snAPI does not run here: {(done.stdout + done.stderr)[-200:]}")
    return [np.array(column) for column in json.loads(out.read_text())]


def test_the_vendor_reads_our_t2_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    times = np.cumsum(rng.integers(1, 3 * 10**8, 500))
    channels = rng.integers(0, 8, 500).astype(np.uint8)
    sync = times[::50] + 1
    markers = np.zeros(3, MARKER)
    markers["marker"], markers["time"] = [1, 2, 4], times[[100, 200, 300]] + 2
    path = tmp_path / "t2.ptu"
    write_ptu(path, channels, times, sync=sync, markers=markers)
    found, inputs = snapi(path, "unfold")
    photon = (inputs >= 1) & (inputs <= 64)
    np.testing.assert_array_equal(found[photon], times)
    np.testing.assert_array_equal(inputs[photon], channels + 1)
    np.testing.assert_array_equal(found[inputs == 0], sync)
    np.testing.assert_array_equal(found[(inputs > 128) & (inputs < 255)], markers["time"])


def test_the_vendor_reads_our_t3_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    pulses = np.cumsum(rng.integers(0, 5000, 500))
    dtimes = rng.integers(0, 2000, 500)
    channels = rng.integers(0, 4, 500).astype(np.uint8)
    path = tmp_path / "t3.ptu"
    write_ptu(path, channels, sync=pulses, dtimes=dtimes, resolution=5.0, sync_period=12_500.0)
    found, inputs, *_ = snapi(path, "unfold")
    photon = (inputs >= 1) & (inputs <= 64)
    np.testing.assert_array_equal(inputs[photon], channels + 1)
    np.testing.assert_array_equal(found[photon] >> 15, pulses)  # how it packs both numbers
    np.testing.assert_array_equal(found[photon] & 32767, dtimes)
