"""Squeezing of the benchmark pair through real drivers and simulated instruments."""

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
from procedures.homodyne import noise_over_shot, squeezing_angle
from procedures.squeezing_spectrum import FLANKS, SqueezingSpectrum
from procedures.stability import DISTURBED


def measure(tmp_path: Path, seed: int = 0, **options: Any) -> tuple[RunFolder, RunData]:
    world = options.pop("world", {})
    outcome = start(
        Request(
            "squeezing-spectrum", options, bench="cluster-microcomb", seed=seed, world=world,
            record=False,
        ),
        tmp_path,
    )  # fmt: skip
    assert outcome.status == "finished", outcome.reason
    folder = RunFolder.open(outcome.path)
    return folder, run_data(SqueezingSpectrum(**options), folder)


@pytest.fixture(scope="module")
def benchmark_pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, RunData]:
    return measure(tmp_path_factory.mktemp("pair"))


def test_reaches_the_benchmark_pair(benchmark_pair: tuple[RunFolder, RunData]) -> None:
    """Paper: 3.08 and 3.04 dB of squeezing, 10.29 and 10.15 dB of antisqueezing."""
    _, data = benchmark_pair
    for name, target, tolerance in (
        ("squeezing_x", 3.08, 0.15),
        ("squeezing_p", 3.08, 0.15),
        ("antisqueezing_x", 10.3, 0.2),
        ("antisqueezing_p", 10.3, 0.2),
    ):
        value, uncertainty, unit = data.results[name]
        assert value == pytest.approx(target, abs=tolerance), name
        assert 0.002 < uncertainty < 0.15, name
        assert unit == "dB"


def test_quadratures_of_one_state_agree_within_their_errors(
    benchmark_pair: tuple[RunFolder, RunData],
) -> None:
    _, data = benchmark_pair
    for kind in ("squeezing", "antisqueezing"):
        x, dx, _ = data.results[f"{kind}_x"]
        p, dp, _ = data.results[f"{kind}_p"]
        assert abs(x - p) < 5 * np.hypot(dx, dp) + 0.02  # the laser drifts between them


def test_records_what_was_measured(benchmark_pair: tuple[RunFolder, RunData]) -> None:
    folder, data = benchmark_pair
    kinds = list(data["kind"])
    squeezed = ["flank", "flank", "x+x", "flank", "flank", "p-p"]
    again = ["flank", "flank", "x+x", "x-x"]
    assert kinds == ["dark", *["scan"] * 12, *squeezed, "x-x", "p+p", *again * 3]
    assert list(data["state"]) == ["nominal"] * 21 + [s for s in DISTURBED for _ in range(4)]
    assert data.trace("signal (dBm)", 13).shape == (401,)
    assert data["shot (mW)"][1] > 10 * data["shot (mW)"][0]  # clearance above dark noise
    assert not [event for event in folder.events if event["entry"] == "note"]
    angle, error, _ = data.results["squeezing_angle"]
    assert 0.01 < error < 0.1  # 0.1 rad per 0.6 MHz of detuning, which differs by 0.2 MHz
    assert data["squeezing angle (rad)"][20] == pytest.approx(angle, abs=0.05)
    assert abs(data["squeezing angle (rad)"][20] - angle) > 0.5e-3  # the flanks corrected it


def test_figure_shows_traces_against_shot_noise(
    benchmark_pair: tuple[RunFolder, RunData], tmp_path: Path
) -> None:
    _, data = benchmark_pair
    (figure,) = SqueezingSpectrum().figures(data).values()
    figure.savefig(tmp_path / "squeezing.png", dpi=40)
    traces, scan = figure.axes
    assert len(traces.lines) == 8
    shown = " ".join(text.get_text() for text in traces.texts)
    assert f"{data.results['antisqueezing_x'][0]:.2f}" in shown
    assert "shot noise" in shown
    assert "dB" in scan.get_ylabel()


def test_errors_contain_what_the_power_of_the_laser_does(
    benchmark_pair: tuple[RunFolder, RunData],
) -> None:
    """Lossless pair: S = 1 +- 4 p / ((1 -+ p)^2 + w^2), p = 0.605; loss and jitter from outside."""
    _, data = benchmark_pair

    def level(p: float, sign: float) -> float:
        plus, minus = (1 + s * 4 * 0.675 * p / ((1 - s * p) ** 2 + 0.1034**2) for s in (1.0, -1.0))
        keep = np.exp(-2 * 0.1094**2)
        return 10 * np.log10((plus + minus) / 2 + sign * keep * (plus - minus) / 2)

    for kind, sign in (("squeezing", -1.0), ("antisqueezing", 1.0)):
        moved = abs(level(0.605 * 1.002, sign) - level(0.605, sign))
        without = SqueezingSpectrum(power_noise=0.0)
        for name in (f"{kind}_x", f"{kind}_p"):
            own = without.analyse(
                RunData(data.columns, without.parameter_values(), read_trace=data.read_trace)
            )[name][1]
            added = np.sqrt(data.results[name][1] ** 2 - own**2)
            assert added == pytest.approx(moved, rel=0.15, abs=2e-3), name


def test_the_angle_is_followed_while_it_drifts() -> None:
    """Variances of a pair whose squeezing angle moves by 0.06 rad after the scan."""
    procedure = SqueezingSpectrum()
    procedure._scan, procedure._flanks, procedure._angle = {}, {}, None

    def seen(kind: str, theta: float, angle: float, offset: float) -> None:
        variance = 5.6 - 5.1 * np.cos(2 * (theta - angle))
        procedure._remember({"kind": kind, "angle i (rad)": offset, "variance": variance})

    for theta in np.pi * np.arange(12) / 12:
        seen("scan", theta, 0.7, theta)
    assert procedure._origin() == pytest.approx(0.7, abs=1e-9)
    for angle in (0.76, 0.74):
        for flank in FLANKS:
            seen("flank", procedure._origin() + flank, angle, flank)
        assert procedure._origin() == pytest.approx(angle, abs=1e-9)


def test_more_jitter_costs_squeezing_but_hardly_antisqueezing(
    benchmark_pair: tuple[RunFolder, RunData], tmp_path: Path
) -> None:
    _, worse = measure(tmp_path, sweep_time=1.0, world={"fast_jitter": 0.2})
    _, data = benchmark_pair
    assert worse.results["squeezing_x"][0] < data.results["squeezing_x"][0] - 0.8
    assert worse.results["antisqueezing_x"][0] == pytest.approx(
        data.results["antisqueezing_x"][0], abs=0.25
    )


def test_same_seed_same_numbers(tmp_path: Path) -> None:
    first, second = (
        measure(tmp_path, seed=3, sweep_time=0.5, scan_steps=5)[1].results for _ in range(2)
    )
    assert first == second


def test_incomplete_data_are_refused_in_one_line() -> None:
    with pytest.raises(RequestError, match=r"lacks scan, x\+x, p-p, x-x, p\+p, .* first$"):
        SqueezingSpectrum().analyse(
            RunData({"kind": np.array(["dark"]), "state": np.array(["nominal"])})
        )


def test_angle_of_a_scan_with_known_answer() -> None:
    theta = np.linspace(0, np.pi, 9, endpoint=False)
    rng = np.random.default_rng(1)
    exact = 5.6 - 5.1 * np.cos(2 * (theta - 0.7))
    found = [
        squeezing_angle(dict(zip(theta, exact * (1 + 0.01 * rng.normal(size=9)), strict=True)))
        for _ in range(300)
    ]
    angles, errors = np.array(found).T
    assert np.mean(angles) == pytest.approx(0.7, abs=5e-4)
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(np.std(angles), rel=0.25)


def test_dark_noise_is_subtracted_and_errors_propagate() -> None:
    """Sheet: -69.5 dBm over -67.0 dBm with a floor of -80 dBm is 0.5392."""
    signal, shot, dark = (10 ** (level / 10) for level in (-69.5, -67.0, -80.0))
    value, error = noise_over_shot(signal, 0.001 * signal, shot, 0.001 * shot, dark, 0.0)
    assert value == pytest.approx(0.5392, abs=1e-4)
    rng = np.random.default_rng(0)
    many, _ = noise_over_shot(
        signal * (1 + 0.001 * rng.normal(size=4000)), 0.0,
        shot * (1 + 0.001 * rng.normal(size=4000)), 0.0, dark, 0.0,
    )  # fmt: skip
    assert error == pytest.approx(np.std(many), rel=0.05)
    _, error = noise_over_shot(signal, 0.0, shot, 0.0, dark, 0.01 * dark)
    many, _ = noise_over_shot(
        signal, 0.0, shot, 0.0, dark * (1 + 0.01 * rng.normal(size=4000)), 0.0
    )
    assert error == pytest.approx(np.std(many), rel=0.05)
