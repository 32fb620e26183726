"""The ring's dip through laser, shaper and power meter: linewidth, coupling, mode spacing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.errors import RequestError
from labctl.procedure import RunData
from labctl.run.folder import RunFolder
from labctl.run.request import Request
from labctl.run.results import run_data
from labctl.run.runner import start
from procedures.ring_transmission import RingTransmission, fit_dip
from simulated_instruments.worlds.microcomb import MicrocombWorld


def scan(tmp_path: Path, world: dict[str, Any] | None = None, **options: Any) -> RunData:
    outcome = start(
        Request("ring-transmission", options, bench="cluster-microcomb", world=world or {},
                record=False),
        tmp_path,
    )  # fmt: skip
    assert outcome.status == "finished", outcome.reason
    return run_data(RingTransmission(**options), RunFolder.open(outcome.path))


@pytest.fixture(scope="module")
def default(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return scan(tmp_path_factory.mktemp("ring"))


def test_recovers_the_figures_of_the_paper(default: RunData) -> None:
    """Paper: total Q 20 million, extraction 94 %, FSR about 25 GHz; ours D2 4.84 kHz."""
    results = {name: (value, error) for name, (value, error, _) in default.results.items()}
    assert results["loaded_q"][0] == pytest.approx(20e6, rel=0.03)
    assert results["extraction"][0] == pytest.approx(0.94, rel=0.03)
    assert results["fsr"][0] == pytest.approx(25.0, abs=1e-4)
    assert abs(results["dispersion"][0] - 4.835) < 4 * results["dispersion"][1]
    assert results["loaded_q"][1] < 0.5e6
    assert results["linewidth"][0] == pytest.approx(9.67, rel=0.03)


def test_errors_agree_with_what_was_missed(default: RunData) -> None:
    for name, truth in (("loaded_q", 20e6), ("extraction", 0.94), ("fsr", 25.0)):
        value, error, _ = default.results[name]
        assert abs(value - truth) < 4 * error + 1e-3 * truth * (name == "extraction"), name


def test_another_ring(tmp_path: Path) -> None:
    world = {"loaded_q": 8e6, "extraction": 0.3, "dispersion": 5e-3}
    data = scan(tmp_path, world, span=250.0, scans=4, coupling="under")
    assert data.results["loaded_q"][0] == pytest.approx(8e6, rel=0.04)
    assert data.results["extraction"][0] == pytest.approx(0.3, rel=0.05)
    gamma = 299_792_458 / 1550e-9 / 8e6 / 2 * 1e-3  # kHz
    assert data.results["dispersion"][0] == pytest.approx(5e-3 * gamma, abs=8.0)


def test_second_laser_finds_the_same_ring_without_the_comb(tmp_path: Path) -> None:
    data = scan(tmp_path, light="probe", scans=2, steps=41, span=60.0)
    for name, truth, tolerance in (
        ("loaded_q", 20e6, 6e6), ("extraction", 0.94, 0.02), ("fsr", 25.0, 1e-3),
    ):  # fmt: skip
        assert data.results[name][0] == pytest.approx(truth, abs=tolerance), name
    found = data["dip (MHz)"][1:]
    assert np.ptp(found) < 60  # its etalon is off by the same at every mode


def test_figure_shows_the_dip_and_its_numbers(default: RunData, tmp_path: Path) -> None:
    (figure,) = RingTransmission().figures(default).values()
    figure.savefig(tmp_path / "ring.png", dpi=40)
    left, right = figure.axes
    assert f"loaded Q {default.results['loaded_q'][0] / 1e6:.2f}" in left.get_title()
    assert f"FSR {default.results['fsr'][0]:.6f}" in right.get_title()


def test_too_much_light_drags_the_resonance() -> None:
    """Weak light sees a Lorentzian; stronger light pulls the mode, and the dip moves."""
    world = MicrocombWorld(seed=1, laser_drift=0.0, laser_wander=0.0, laser_power_noise=0.0)
    world.laser.laser_enabled = world.laser.current_enabled = True
    world.laser.tune(299_792_458.0 / 193.4e12 * 1e9, 0.0)
    dips = {}
    for attenuation in (55.0, 35.0):
        shaper = world.shaper
        inside = np.abs(shaper.grid_thz - 193.4) < 0.0124
        level = np.where(inside, attenuation, 60.0)
        shaper.load(level, np.zeros(shaper.size), np.where(inside, 1, 0), 0.0)
        start_v, width = 70.0, 0.02
        powers = []
        volts = start_v + np.linspace(-width, width, 161)
        for number, voltage in enumerate(volts):
            when = 10.0 + 0.1 * number + (100.0 if attenuation < 50 else 0.0)
            world.laser.set_piezo(voltage, when - 0.05)
            powers.append(float(world.behind_ring.watt(np.array([when]))[0]))
        found = np.array(powers) / max(powers)
        dips[attenuation] = float(volts[int(found.argmin())] - start_v)
        assert found.min() == pytest.approx((2 * 0.94 - 1) ** 2, abs=0.01)
    assert abs(dips[55.0]) < 0.0005
    assert abs(dips[35.0] - dips[55.0]) > 0.0005


def test_a_fit_recovers_what_was_drawn() -> None:
    rng = np.random.default_rng(1)
    detuning = np.linspace(-60, 60, 101) + 7.0
    clean = 3e-9 * (1 + 2e-4 * detuning) * (1 - 0.22 / (1 + (2 * (detuning - 4.0) / 9.7) ** 2))
    fits = np.array([fit_dip(detuning, clean * (1 + 0.004 * rng.normal(size=101)))
                     for _ in range(60)])  # fmt: skip
    centre, width, depth, level = fits.mean(axis=0)
    assert centre == pytest.approx(4.0, abs=0.05)
    assert width == pytest.approx(9.7, rel=0.01)
    assert depth == pytest.approx(0.22, rel=0.01)
    assert level == pytest.approx(3e-9, rel=0.01)


def test_darkness_and_missing_scans_are_said_in_one_line() -> None:
    with pytest.raises(RequestError, match="no light behind the ring"):
        fit_dip(np.linspace(0, 1, 30), np.zeros(30))
    columns = {"kind": np.array(["search"]), "line": np.array([0])}
    data = RunData(columns, RingTransmission().parameter_values())
    with pytest.raises(RequestError, match="lacks two scans of each line; resume it first"):
        RingTransmission().analyse(data)
