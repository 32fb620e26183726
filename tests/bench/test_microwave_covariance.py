"""The magnomechanics bench: spectroscopy, drive, covariance; errors, resuming, replay."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.procedure import LabProcedure, RunData
from labctl.run.folder import RunFolder
from labctl.run.replay import replay
from labctl.run.request import Request
from labctl.run.results import run_data
from labctl.run.runner import start
from procedures.drive_calibration import DriveCalibration
from procedures.microwave_covariance import MicrowaveCovariance
from procedures.mode_spectroscopy import ModeSpectroscopy


def measured(
    cls: type[LabProcedure], folder: Path, seed: int = 0, world: dict[str, Any] | None = None,
    record: bool = False, **options: Any,
) -> RunData:  # fmt: skip
    outcome = start(
        Request(cls.name(), options, bench="magnomechanics", world=world or {}, seed=seed,
                record=record),
        folder,
    )  # fmt: skip
    assert outcome.status == "finished", outcome.reason
    return run_data(cls(**options), RunFolder.open(outcome.path))


def value(data: RunData, name: str) -> tuple[float, float]:
    found, error, _ = data.results[name]
    return found, error or 0.0


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return measured(MicrowaveCovariance, tmp_path_factory.mktemp("covariance"), record=True)


def test_a_million_records_per_state(default: RunData) -> None:
    """Output E_N 0.4643 at 0.5 MHz; inside 0.09809 and a Duan sum of 2.0636."""
    assert value(default, "records_taken")[0] >= 1e6
    found, error = value(default, "log_negativity")
    assert error < 0.03
    assert abs(found - 0.4643) < 4 * error
    assert value(default, "log_negativity_theory")[0] == pytest.approx(0.4643, abs=4e-3)
    inside, inside_error = value(default, "intracavity_log_negativity")
    assert inside == pytest.approx(0.09809, abs=6e-4)
    assert inside_error < 3e-4
    assert value(default, "intracavity_duan_sum")[0] == pytest.approx(2.0636, abs=4e-3)
    assert default.results["physical"][0] is True
    assert value(default, "added_noise_1")[0] == pytest.approx(5.0, abs=0.1)
    assert value(default, "gain_2")[0] == pytest.approx(1e-3, rel=0.015)
    assert value(default, "duan_best")[0] < 2 - 5 * value(default, "duan_best")[1]
    assert value(default, "chi_square")[0] < 30


def test_rows_say_the_entanglement_so_far(default: RunData) -> None:
    shown, error = (default[name].astype(float) for name in ("E_N out", "E_N out error"))
    states = np.asarray(default["kind"]) == "state"
    assert np.isfinite(shown[states]).all()
    assert np.isnan(shown[~states]).all()
    assert (shown[-1], error[-1]) == pytest.approx(value(default, "log_negativity"), rel=1e-12)
    assert (np.diff(error[states]) < 0).all()


def test_its_covariance_is_that_of_the_theory(default: RunData) -> None:
    cov, errors = default.derived["covariance"], default.derived["covariance_error"]
    pulls = (cov - default.derived["covariance_theory"]) / errors
    assert np.abs(pulls).max() < 4
    assert 0.3 < np.sqrt(np.mean(pulls[np.triu_indices(4)] ** 2)) < 2.0
    assert errors.max() < 0.02


def test_figure_says_what_was_measured(default: RunData, tmp_path: Path) -> None:
    (figure,) = MicrowaveCovariance().figures(default).values()
    figure.savefig(tmp_path / "covariance.png", dpi=40)
    assert "inside, inferred" in figure.get_suptitle()


def test_errors_are_honest_over_seeds(tmp_path: Path) -> None:
    """Scatter over eight seeds against the stated errors."""
    rows = []
    for seed in range(200, 208):
        data = measured(MicrowaveCovariance, tmp_path, seed, records=48_000)
        truth = value(data, "log_negativity_theory")[0]
        found, error = value(data, "log_negativity")
        inside, inside_error = value(data, "intracavity_log_negativity")
        added, added_error = value(data, "added_noise_1")
        rows.append([(found - truth) / error, (added - 5) / added_error, inside, inside_error])
    table = np.array(rows)
    for pulls in table[:, :2].T:
        assert 0.6 < np.sqrt(np.mean(pulls**2)) < 1.5
    ratio = float(np.std(table[:, 2], ddof=1) / np.mean(table[:, 3]))
    assert 0.6 < ratio < 1.5
    assert np.mean(table[:, 2]) == pytest.approx(0.09809, abs=2e-4)


@pytest.mark.parametrize(
    ("options", "outputs", "inside"),
    [({"detuning_1": 9.0, "detuning_2": -11.0}, 0.3162, 0.06808),
     ({"detuning_1": -9.0, "detuning_2": 11.0, "sideband": 10.0}, None, 0.12325),
     ({"bandwidth": 0.1}, 1.0028, 0.09809), ({"bandwidth": 2.0}, 0.1905, 0.09809),
     ({"temperature": 140.0, "kappa_ratio": 0.3007, "g_ratio": 0.773}, None, 0.08716)],
)  # fmt: skip
def test_other_working_points(
    tmp_path: Path, options: dict[str, float], outputs: float | None, inside: float
) -> None:
    data = measured(MicrowaveCovariance, tmp_path, records=60_000, **options)
    found, error = value(data, "intracavity_log_negativity")
    assert abs(found - inside) < max(4 * error, 4e-4)
    if outputs:
        theory = value(data, "log_negativity_theory")[0]
        assert theory == pytest.approx(outputs, abs=0.008)
        measured_value, measured_error = value(data, "log_negativity")
        assert abs(measured_value - theory) < 4 * measured_error


def test_local_oscillators_turn_the_duan_sum_alone(tmp_path: Path) -> None:
    data = measured(MicrowaveCovariance, tmp_path, records=100_000, world={"lo_phase_1": 5.0})
    plain = measured(MicrowaveCovariance, tmp_path, records=100_000)
    for name in ("log_negativity", "duan_best"):
        difference = value(data, name)[0] - value(plain, name)[0]
        assert abs(difference) < 0.1 * value(plain, name)[1] + 1e-3
    expected = 4 * 0.698 * np.sin(np.radians(5.0))
    shift = value(data, "duan_sum")[0] - value(plain, "duan_sum")[0]
    assert abs(shift) == pytest.approx(expected, abs=0.05)
    assert value(data, "intracavity_log_negativity")[0] == pytest.approx(0.0981, abs=6e-4)


def test_a_stronger_sphere_is_found_out_with_caution(tmp_path: Path) -> None:
    """G_0 is three times what is expected: the full drive at once would be unstable."""
    data = measured(
        MicrowaveCovariance, tmp_path, records=20_000, world={"single_magnon_coupling": 1.0}
    )
    assert value(data, "g_eff")[0] == pytest.approx(4.5, abs=0.02)
    assert max(data["G (MHz)"][np.asarray(data["kind"]) == "pump"]) < 4.6


def test_mode_spectroscopy(tmp_path: Path) -> None:
    data = measured(ModeSpectroscopy, tmp_path, steps=9)
    for name, truth in (("kappa_1", 1.0), ("kappa_2", 1.0), ("kappa_m", 1.0), ("g_1", 3.8),
                        ("g_2", 3.8), ("gyromagnetic_ratio", 28.0), ("remanence", 0.21)):  # fmt: skip
        found, error = value(data, name)
        assert abs(found - truth) < 5 * error + 1e-4 * truth, name
        assert error < 2e-3 * truth
    assert value(data, "omega_1")[0] == pytest.approx(10001.0, abs=0.02)
    assert value(data, "misfit")[0] < 2e-3
    (figure,) = ModeSpectroscopy(steps=9).figures(data).values()
    figure.savefig(tmp_path / "modes.png", dpi=40)


def test_drive_calibration_finds_the_published_powers(tmp_path: Path) -> None:
    """6.3 mW without dissipation, 6.44 mW with it; 0.57 and 0.58 mW for a sphere with 1 Hz."""
    data = measured(DriveCalibration, tmp_path)
    power, error = value(data, "drive_power")
    assert abs(power - 6.437) < 3 * error
    assert value(data, "drive_power_simplified")[0] == pytest.approx(6.308, abs=2e-3)
    assert value(data, "drive_power_1hz")[0] == pytest.approx(0.5793, rel=2e-3)
    single, single_error = value(data, "single_magnon_coupling")
    assert abs(single - 0.3) < 3 * single_error
    assert value(data, "strain_shift")[0] == pytest.approx(
        value(data, "strain_shift_theory")[0], abs=0.02
    )
    table = data.derived["calibration"]
    assert table[:, 1] / np.sqrt(table[:, 0]) == pytest.approx(
        np.full(len(table), table[-1, 1] / np.sqrt(table[-1, 0])), rel=0.01
    )
    (figure,) = DriveCalibration().figures(data).values()
    figure.savefig(tmp_path / "drive.png", dpi=40)


@pytest.mark.parametrize("mode", ["wire", "sim"])
def test_replay_is_identical(tmp_path: Path, mode: str) -> None:
    assert replay(measured_folder(tmp_path), mode).identical


def measured_folder(folder: Path) -> Path:
    outcome = start(
        Request("microwave-covariance", {"records": 20_000}, bench="magnomechanics", record=True),
        folder,
    )
    assert outcome.status == "finished"
    return outcome.path


#: A run that is killed when it has measured its second row of loads, and not recorded it.
KILLED = """
import os, signal, labctl.cli
from procedures.microwave_covariance import MicrowaveCovariance
measure = MicrowaveCovariance.measure_point
def measure_or_die(self, point):
    row = measure(self, point)
    if (point["kind"], point["step"]) == ("loads", 1):
        os.kill(os.getpid(), signal.SIGKILL)
    return row
MicrowaveCovariance.measure_point = measure_or_die
labctl.cli.script()
"""


@pytest.mark.skipif(os.name == "nt", reason="there is no kill -9")
def test_killed_in_mid_run_and_resumed(tmp_path: Path) -> None:
    """Each point is there once, and the result is right."""
    options = ["run", "microwave-covariance", "--bench", "magnomechanics", "--set",
               "records=1000000", "--runs", str(tmp_path)]  # fmt: skip
    process = subprocess.run([sys.executable, "-c", KILLED, *options], timeout=300, check=False,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    assert process.returncode == -signal.SIGKILL
    command = [sys.executable, "-c", "import labctl.cli; labctl.cli.script()"]
    folders = [p for p in tmp_path.iterdir() if p.is_dir()]
    killed = RunFolder.open(folders[0])
    assert killed.status == "interrupted"
    assert [row["kind"] for row in killed.rows].count("loads") == 1
    subprocess.run([*command, "resume", str(folders[0])], check=True, timeout=120,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # fmt: skip
    done = RunFolder.open(folders[0])
    assert done.status == "finished"
    indices = [row["index"] for row in done.rows]
    assert sorted(indices) == list(range(len(indices)))
    data = run_data(MicrowaveCovariance(records=1_000_000), done)
    found, error = value(data, "log_negativity")
    assert abs(found - 0.4643) < 4 * error
