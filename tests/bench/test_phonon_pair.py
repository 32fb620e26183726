"""Phonon pairs through wire, tagger and files, against the reference numbers of the model."""

from __future__ import annotations

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from labctl.bench import Bench, find_bench
from labctl.errors import InterlockTripped, RequestError
from labctl.run import run
from labctl.run.folder import RunFolder
from labctl.run.results import run_data
from procedures.delay_scan import DelayScan
from procedures.gate_scan import GateScan
from procedures.phonon_clicks import Clicks, SoFar, g2_so_far
from procedures.phonon_pair_g2 import PhononPairG2
from procedures.pump_probe import PumpProbe
from procedures.sideband_thermometry import SidebandThermometry

#: Reference counts for 1.4e8 trials; the pulses made from steps of 8 ns have tails that reach out
#: of the gates, and powers are set to 0.02 dB.
REFERENCE, IMPERFECT = 1.4e8, 0.025
P_CLICK, PAIRS, PAIRS_48 = 1.89984e-3, 2414.6, 49.8


def measure(procedure, folder: Path, seed: int = 0, **world):
    """Run a procedure on the simulated bench; its results, derived arrays and rows."""
    bench = Bench.open(find_bench("phonon-pair"), "sim", seed=seed, world=world)
    try:
        bench.arm()
        run(procedure, bench, folder)
    finally:
        bench.make_safe()
        bench.close()
    (path,) = [p for p in folder.iterdir() if p.is_dir()]
    stored = RunFolder.open(path)
    data = run_data(procedure, stored)
    return procedure.analyse(data), data


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    procedure = PhononPairG2(trials=20_000_000, single_trials=5_000_000)
    return measure(procedure, tmp_path_factory.mktemp("pairs"))


def close(found: float, expected: float, imperfect: float = IMPERFECT) -> bool:
    """Within four sigma of Poisson counts and what the bench is off by."""
    return abs(found - expected) <= 4 * math.sqrt(expected) + imperfect * expected


def test_counts_and_pairs(pairs):
    results, data = pairs
    both = np.asarray(data["tones"]) == "both"
    assert data["trials"][both].sum() == 20_000_000
    for detector in ("A1", "B1"):
        assert close(data[detector][both].sum(), 20e6 * P_CLICK)
    assert close(results["pairs_pre"], PAIRS * 20e6 / REFERENCE, 2 * IMPERFECT)
    assert close(results["pairs_meas"], PAIRS_48 * 20e6 / REFERENCE, 2 * IMPERFECT)
    assert results["n22"] == 0
    assert results["n22_limit"] == pytest.approx(3.0, abs=0.01)
    assert close(results["n20"], 2384 * 20e6 / REFERENCE, 2 * IMPERFECT)
    assert results["missed_triggers"] == results["lost_tags"] == 0


@pytest.mark.parametrize(
    ("name", "expected"),
    [("g2_pre", 4.7784), ("g2_pre_blue", 1.8993), ("g2_pre_red", 1.8804), ("g2_meas", 3.4893),
     ("g2_cross", 11.996), ("g2_pre_others", 1.0), ("g2_meas_others", 1.0)],
)  # fmt: skip
def test_correlations(pairs, name, expected):
    value, error = pairs[0][name]
    assert abs(value - expected) < 4 * error


def test_the_stated_error_of_g2_is_that_of_the_sheet(pairs):
    # 0.0964 in 1.4e8 trials
    assert pairs[0]["g2_pre"][1] == pytest.approx(0.0964 * math.sqrt(7), rel=0.1)
    assert pairs[0]["violation_pre_thermal"] == pytest.approx(1.78 / 0.255, abs=4)


def test_rows_count_what_their_tags_say(pairs):
    _, data = pairs
    for row in range(len(data)):
        tags = data.tags(str(data["tones"][row]), row)
        assert set(np.unique(tags["detector"]).tolist()) <= {1, 2}
        assert tags["trial"].max() < data["trials"][row] + 2
        rate = tags["time (ps)"].size / (data["trials"][row] * 2e-3)
        assert 15 < rate < 30  # dark counts of both detectors, 20/s, and the pulses


def test_rows_say_what_is_known_so_far(pairs):
    results, data = pairs
    last = np.flatnonzero(np.asarray(data["tones"]) == "both")[-1]
    for column, result in (("g2 pre", "g2_pre"), ("g2 in gate", "g2_meas")):
        assert data[column][last] == pytest.approx(results[result][0], rel=1e-12)
        assert data[f"{column} error"][last] == pytest.approx(results[result][1], rel=1e-12)
    assert data["A2 B2 in gate"][np.asarray(data["tones"]) == "both"].sum() == results["pairs_meas"]


def test_nothing_is_said_before_there_are_pairs():
    row = {"tones": "both", "delay (ns)": 30.0, "lost": 0, "trials": 1000, "A1": 50, "B1": 40}
    so_far = SoFar(("A1", "B1", "A1 B1"), [row | {"A1 B1": 2, "lost": 3}, row])
    assert math.isnan(g2_so_far(so_far.of("both", 30.0), ())["g2 pre"])  # lost tags, no column
    so_far.add(row | {"A1 B1": 2})
    assert math.isnan(g2_so_far(so_far.of("both", 30.0), ())["g2 pre"])
    found = g2_so_far(so_far.add(row | {"A1 B1": 2}), ())
    assert found["g2 pre"] == pytest.approx(4 * 2000 / (100 * 80))
    assert 0.3 < found["g2 pre error"] < 0.7
    assert so_far.of("both", 60.0)["trials"] == 0


def test_gates_from_stored_tags(pairs):
    _, data = pairs
    scan = GateScan(trials=20_000_000)
    chosen = np.asarray(data["tones"]) == "both"
    assert chosen.sum() == 4
    found = scan.analyse(data)
    assert found["g2"].size == scan.steps
    time, error = found["decay_time"]
    assert abs(time - 15.3) < 4 * error + 2
    assert abs(found["g2_longest"][0] - 2.0492) < 4 * found["g2_longest"][1]


def test_delays(tmp_path):
    scan = DelayScan(trials=4_000_000, delays=[30.0, 150.0, 400.0])
    found, data = measure(scan, tmp_path)
    assert found["delays"].tolist() == [30.0, 150.0, 400.0]
    assert (np.abs(found["g2_pre"] - 4.7784) < 4 * found["g2_pre_error"]).all()
    assert found["decay_time"][0] > 0
    assert sorted(set(data["delay (ns)"].tolist())) == [30.0, 150.0, 400.0]
    _, of_preparation = scan.panels()
    ((x, g2, error),) = of_preparation.series(data.columns).values()
    assert x.tolist() == found["delays"].tolist()
    assert g2 == pytest.approx(found["g2_pre"], rel=1e-12)
    assert error == pytest.approx(found["g2_pre_error"], rel=1e-12)


def test_pump_probe(tmp_path):
    found, data = measure(PumpProbe(trials=1_000_000), tmp_path)
    (panel,) = PumpProbe().panels()
    ((x, phonons, error),) = panel.series(data.columns).values()
    assert x.tolist() == found["delays"].tolist()
    assert phonons == pytest.approx(found["phonons"], rel=1e-12)
    assert error == pytest.approx(found["phonons_error"], rel=1e-12)
    for name, expected in (("short_time", 220.0), ("long_time", 1460.0), ("excited", 0.05)):
        value, error = found[name]
        assert abs(value - expected) < 4 * error + 0.02 * expected
    assert found["chi_square"] < 3


def test_thermometry(tmp_path):
    found, data = measure(SidebandThermometry(trials=20_000_000), tmp_path)
    value, error = found["thermal_phonons"]
    assert data["phonons"][-1] == pytest.approx(value, rel=1e-12)
    assert data["phonons error"][-1] == pytest.approx(error, rel=1e-12)
    assert np.isnan(data["phonons"][:3]).all()  # there are four kinds of pulses
    assert np.isfinite(data["clicks per million error"]).all()
    assert abs(value - 0.014) < 4 * error
    assert error == pytest.approx(0.00032 * math.sqrt(5) * 1.25, rel=0.25)  # of the backgrounds too


def test_missed_triggers_are_no_trials(tmp_path):
    procedure = PhononPairG2(trials=3_000_000, single_trials=1000)
    found, data = measure(procedure, tmp_path, trigger_loss=0.1)
    both = np.asarray(data["tones"]) == "both"
    trials = int(data["trials"][both].sum())
    assert trials == pytest.approx(2.7e6, abs=4 * math.sqrt(3e6 * 0.09))
    assert found["missed_triggers"] == pytest.approx(3e5, abs=4 * math.sqrt(3e6 * 0.09) + 1000)
    assert close(data["A1"][both].sum(), trials * P_CLICK)
    assert abs(found["g2_pre"][0] - 4.7784) < 4 * found["g2_pre"][1]


def test_trials_without_light_are_measured_again(tmp_path):
    # hops of 5 GHz about every five hours; a point takes 2.8 h
    procedure = PhononPairG2(trials=20_000_000, single_trials=1000)
    found, data = measure(procedure, tmp_path, seed=2, laser_hop_rate=5e-5)
    both = np.asarray(data["tones"]) == "both"
    assert data["attempt"][both].sum() > 0
    clicks, trials = data["A1"][both], data["trials"][both]
    assert all(close(n, N * P_CLICK, 0.05) for n, N in zip(clicks, trials, strict=True))
    assert abs(found["g2_pre"][0] - 4.7784) < 4 * found["g2_pre"][1]
    assert found["pairs_pre"] == data["A1 B1"][both].sum()  # of the last attempts alone


def test_steady_clicks():
    seen = Clicks()
    seen.parts = [(5000, 10**6), (5100, 10**6), (4950, 10**6)]
    assert seen.unsteady(None) is None
    assert seen.unsteady(5.05e-3) is None
    assert seen.unsteady(6.5e-3) == pytest.approx(5.0e-3)
    seen.parts.append((3000, 10**6))
    assert seen.unsteady(None) == pytest.approx(3.0e-3)
    few = Clicks()
    few.parts = [(3, 1000), (9, 1000)]
    assert few.unsteady(None) is None


def test_trials_with_lost_tags_are_not_analysed(tmp_path):
    procedure = PhononPairG2(trials=500_000)
    with pytest.raises(RequestError, match="the tagger lost tags in all trials with 'both'"):
        measure(procedure, tmp_path, tagger_rate=5.0, tagger_buffer=1000.0)


def test_a_cryostat_that_warms_up_ends_the_run(tmp_path):
    with pytest.raises(InterlockTripped, match="ground state only when it is cold"):
        measure(PhononPairG2(trials=2_000_000), tmp_path, cooling_fails=900.0)


@pytest.mark.parametrize(
    ("procedure", "message"),
    [
        (PhononPairG2(delay=-5.0), "delay: -5 ns would let the read-out pulse begin before"),
        (PhononPairG2(delay=3e5, repetition=0.2), "repetition: 0.2 ms is shorter than the pattern"),
        (PhononPairG2(gate=95.0), "gate: 95 ns is outside the read-out pulse"),
        (PhononPairG2(gate=0.0), "gate: 0 ns is outside"),
        (PhononPairG2(repetition=0.0008, blue_area=1e-4, conversion=0.001), "% of the time"),
        (PhononPairG2(blue_area=0.5), "more than the sample stands"),
        (PhononPairG2(repetition=0.05), "nW on average"),
        (PhononPairG2(first_fwhm=6.0), "cannot be made by modulators"),
        (PhononPairG2(second_fwhm=9000.0), "more than the 500 foreseen"),
        (GateScan(first=60.0, last=50.0), "must be below the longest"),
        (GateScan(last=120.0), "gate: 120 ns is outside"),
        (DelayScan(delays=[30.0, 60.0]), "three or more different"),
        (PumpProbe(delays=[30.0, 60.0, 90.0]), "five or more different"),
    ],
)
def test_impossible_requests_are_refused_before_anything_is_switched_on(procedure, message):
    with pytest.raises(RequestError, match=message):
        list(procedure.points())


KILLED = """
import os, sys
from labctl.cli import main
from labctl.procedure import LabProcedure
record, left = LabProcedure.record_tags, [int(sys.argv[2])]
def record_tags(self, name, columns):
    record(self, name, columns)
    left[0] -= 1
    if left[0] == 0:
        os.kill(os.getpid(), 9)
LabProcedure.record_tags = record_tags
sys.exit(main(["run", "phonon-pair-g2", "--bench", "phonon-pair", "--runs", sys.argv[1], "--seed",
    "3", "--set", "trials=8000000", "--set", "single_trials=1000"]))
"""


def test_a_killed_run_is_resumed_and_counts_no_trial_twice(tmp_path):
    # the eighth commit: the first point (5 commits) and both short ones are done
    dead = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), "8"], check=False, timeout=300,
        capture_output=True,
    )  # fmt: skip
    assert dead.returncode == -9
    (path,) = [p for p in tmp_path.iterdir() if p.is_dir()]
    assert len(RunFolder.open(path).rows) == 3
    resume = f"import sys; from labctl.cli import main; sys.exit(main(['resume', {str(path)!r}]))"
    done = subprocess.run(
        [sys.executable, "-c", resume], check=False, timeout=300, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    folder = RunFolder.open(path)
    assert [row["index"] for row in folder.rows] == [0, 1, 2, 3]
    procedure = PhononPairG2(trials=8_000_000, single_trials=1000)
    data = run_data(procedure, folder)
    both = np.asarray(data["tones"]) == "both"
    assert data["trials"][both].tolist() == [5_000_000, 3_000_000]
    found = procedure.analyse(data)
    assert close(data["A1"][both].sum(), 8e6 * P_CLICK)
    # pairs of the rows are those of the tags: none of the unfinished attempt is among them
    assert found["pairs_pre"] == data["A1 B1"][both].sum()
    assert abs(found["g2_pre"][0] - 4.7784) < 4 * found["g2_pre"][1]
