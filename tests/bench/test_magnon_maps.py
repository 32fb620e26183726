"""Maps and the temperature sweep of the magnomechanics bench: maxima, refusals, resuming."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from labctl.procedure import LabProcedure, RunData
from labctl.run import control
from labctl.run.folder import RunFolder
from labctl.run.request import Request
from labctl.run.results import run_data
from labctl.run.runner import resume, start
from procedures.coupling_map import CouplingMap
from procedures.detuning_map import DetuningMap
from procedures.magnon_map import quadratic_peak
from procedures.temperature_sweep import TemperatureSweep, crossing, interpolated


def measured(
    cls: type[LabProcedure], folder: Path, world: dict[str, Any] | None = None, **options: Any
) -> RunData:
    outcome = start(
        Request(cls.name(), options, bench="magnomechanics", world=world or {}, record=False),
        folder,
    )  # fmt: skip
    assert outcome.status == "finished", outcome.reason
    return run_data(cls(**options), RunFolder.open(outcome.path))


def value(data: RunData, name: str) -> tuple[float, float]:
    found, error, _ = data.results[name]
    return found, error or 0.0


SMALL_MAP = {"lowest": -12.0, "highest": 12.0, "steps": 5, "rounds": 4, "records": 16_000}


@pytest.fixture(scope="module")
def detunings(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return measured(DetuningMap, tmp_path_factory.mktemp("map"), **SMALL_MAP)


def test_detuning_map_finds_the_maximum(detunings: RunData) -> None:
    """0.13695 at (8.1365, -7.7301), or exchanged."""
    height, error = value(detunings, "maximum")
    assert height == pytest.approx(0.13695, abs=4e-4)
    assert error < 4e-4
    places = {name: value(detunings, f"detuning_{name}_at_maximum") for name in "12"}
    truth = (8.1365, -7.7301) if places["1"][0] > 0 else (-7.7301, 8.1365)
    for name, wanted in zip("12", truth, strict=True):
        found, spread = places[name]
        assert abs(found - wanted) < max(4 * spread, 0.1)
        assert spread < 0.5
    assert value(detunings, "maximum_theory")[0] == pytest.approx(0.13695, abs=2e-4)
    assert value(detunings, "points_measured")[0] == 25 + 36
    assert value(detunings, "points_refused")[0] == 0
    assert value(detunings, "output_maximum")[0] > 0.3


def test_measured_map_is_the_theory_everywhere(detunings: RunData) -> None:
    table = detunings.derived["measured"]
    procedure = DetuningMap(**SMALL_MAP)
    device = procedure.place_device(table[:, 0], table[:, 1])
    from labctl.analysis.magnomechanics import covariance, signed_negativity

    theory = signed_negativity(covariance(device)[:, :4, :4])
    assert table[:, 2] == pytest.approx(theory, abs=3e-3)


def test_map_figures_and_live_panels(detunings: RunData, tmp_path: Path) -> None:
    for name, figure in DetuningMap(**SMALL_MAP).figures(detunings).items():
        figure.savefig(tmp_path / f"{name}.png", dpi=40)
    grid, order = DetuningMap(**SMALL_MAP).panels()
    x, y, values = grid.grid(detunings.columns)
    assert set(x) | set(y) <= set(np.linspace(-12, 12, 5))  # the rounds tear no holes
    assert np.isfinite(values).sum() >= 20
    ((_, inside, error),) = order.series(detunings.columns).values()
    assert len(inside) >= np.isfinite(values).sum() + 5
    assert (error > 0).all()
    assert (error < 0.01).all()


def test_an_interrupted_map_goes_on_to_the_same_places(tmp_path: Path) -> None:
    """Refinement follows from rows; a run that stops among them finds its way."""
    options = {**SMALL_MAP, "steps": 3, "rounds": 1}
    request = Request("detuning-map", options, bench="magnomechanics", seed=5, record=False)
    whole = start(request, tmp_path / "whole")
    seen = []

    def stop_among_the_rounds(event) -> None:
        seen.append(event.kind)
        if seen.count("point") == 16 + 9 + 4:
            (folder,) = (p for p in (tmp_path / "part").iterdir() if p.is_dir())
            control.send(folder, "abort", "enough for today")

    part = start(request, tmp_path / "part", stop_among_the_rounds)
    assert part.status == "aborted"
    done = resume(part.path)
    assert done.status == "finished", done.reason
    rows = [RunFolder.open(outcome.path).rows for outcome in (whole, done)]
    assert [row["index"] for row in rows[1]] == list(range(len(rows[1])))
    places = [
        [(row["D1 set (MHz)"], row["D2 set (MHz)"]) for row in found if row["kind"] == "state"]
        for found in rows
    ]
    assert places[0] == places[1]


def test_seek_the_least_duan_sum(tmp_path: Path) -> None:
    """1.8742 at (8.752, -10.845), which lies in a narrow valley."""
    data = measured(DetuningMap, tmp_path, lowest=-13.0, highest=11.0, steps=4, rounds=6,
                    records=16_000, seek="duan")  # fmt: skip
    least, error = value(data, "duan_minimum")
    assert least == pytest.approx(1.8742, abs=3e-3)
    assert error < 3e-3  # what the last round still gained is part of it


def test_unstable_points_are_left_out_with_a_reason(tmp_path: Path) -> None:
    options = {"coupling": 9.7, "steps": 4, "rounds": 0, "records": 16_000}
    data = measured(DetuningMap, tmp_path, **options)
    refused = value(data, "points_refused")[0]
    assert 0 < refused < 16
    assert value(data, "points_measured")[0] == 16 - refused
    folder = next(tmp_path.glob("*-detuning-map-*"))
    assert b"points of the grid are unstable" in (folder / "run.jsonl").read_bytes()


def test_points_that_sweeps_find_unstable_are_left_out(tmp_path: Path) -> None:
    """A magnon with less loss than expected: two more points have no steady state."""
    options = {"coupling": 9.5, "steps": 4, "rounds": 0, "records": 16_000, "lowest": -15.0,
               "highest": 15.0}  # fmt: skip
    nominal = 16 - len(DetuningMap(**options).places())
    data = measured(DetuningMap, tmp_path, {"kappa_m": 0.6}, **options)
    assert value(data, "points_refused")[0] > nominal
    assert value(data, "points_measured")[0] + value(data, "points_refused")[0] == 16
    (folder,) = tmp_path.glob("*-detuning-map-*")
    assert b"is left out: measured device: unstable" in (folder / "run.jsonl").read_bytes()


def test_coupling_map_finds_the_optimum(tmp_path: Path) -> None:
    """0.16035 at kappa 2 / kappa 1 = 0.3007 and g 2 / g 1 = 0.7730, which is flat."""
    data = measured(CouplingMap, tmp_path, kappa_steps=4, g_steps=3, rounds=2, records=16_000)
    height, error = value(data, "maximum")
    assert height == pytest.approx(0.16035, abs=4e-4)
    assert error < 4e-4
    for name, truth in (("kappa_ratio", 0.3007), ("g_ratio", 0.7730)):
        found, spread = value(data, f"{name}_at_maximum")
        assert abs(found - truth) < max(4 * spread, 0.03)
        assert value(data, f"{name}_theory")[0] == pytest.approx(truth, abs=2e-3)
    assert data.results["red_cavity_narrower"][0] is True


def test_exchanged_detunings_contradict_the_publication(tmp_path: Path) -> None:
    """At (-10, 10) the narrower cavity is the one on the blue sideband: 0.883, 0.753, 0.1041."""
    data = measured(CouplingMap, tmp_path, detuning_1=-10.0, detuning_2=10.0, kappa_lowest=0.5,
                    kappa_steps=3, g_steps=3, rounds=2, records=16_000)  # fmt: skip
    assert value(data, "maximum")[0] == pytest.approx(0.1041, abs=6e-4)
    found, spread = value(data, "kappa_ratio_at_maximum")
    assert abs(found - 0.883) < max(4 * spread, 0.04)
    assert data.results["red_cavity_narrower"][0] is False


def test_temperature_sweep(tmp_path: Path) -> None:
    """It vanishes at 185.1 mK; at 140 mK, where the publication sees the end, E_N is 0.087."""
    data = measured(TemperatureSweep, tmp_path, temperatures=[20.0, 140.0, 175.0, 195.0],
                    records=30_000)  # fmt: skip
    where, error = value(data, "vanishing_temperature")
    assert abs(where - 185.1) < 3 * error
    assert error < 3.0
    assert value(data, "vanishing_temperature_theory")[0] == pytest.approx(185.1, abs=0.1)
    assert value(data, "negativity_at_published")[0] == pytest.approx(0.08716, abs=4e-3)
    assert value(data, "log_negativity")[0] == pytest.approx(0.16035, abs=4e-4)
    assert value(data, "phonons_at_vanishing")[0] < 1.0
    (figure,) = TemperatureSweep().figures(data).values()
    figure.savefig(tmp_path / "temperature.png", dpi=40)


@pytest.mark.parametrize(
    ("first", "second", "vanishes"), [(10.0, -10.0, 156.5), (9.0, -11.0, 138.3)]
)
def test_other_vanishing_temperatures(
    tmp_path: Path, first: float, second: float, vanishes: float
) -> None:
    data = measured(
        TemperatureSweep, tmp_path, detuning_1=first, detuning_2=second, kappa_ratio=1.0,
        g_ratio=1.0, records=16_000, temperatures=[100.0, vanishes - 10, vanishes + 10],
    )  # fmt: skip
    where, error = value(data, "vanishing_temperature")
    assert abs(where - vanishes) < 3 * error


def test_peaks_and_crossings_of_known_curves() -> None:
    rng = np.random.default_rng(2)
    x, y = (v.ravel() for v in np.meshgrid(np.arange(-3.0, 4), np.arange(-3.0, 4)))
    height = 1.0 - 0.1 * (x - 0.3) ** 2 - 0.05 * (y + 0.2) ** 2 + 0.03 * (x - 0.3) * (y + 0.2)
    table = np.column_stack([x, y, height + 1e-5 * rng.normal(size=x.size), np.full(x.size, 1e-5)])
    peak = quadratic_peak(table, (1.0, 1.0))
    assert peak[:3] == pytest.approx([0.3, -0.2, 1.0], abs=1e-3)
    assert (peak[3:] < 2e-3).all()
    edge = table.copy()
    edge[:, 2] = x  # no maximum inside
    flat = quadratic_peak(edge, (1.0, 1.0))
    assert flat[0] == 3.0
    assert flat[3] > 0.9
    few = quadratic_peak(table[:5], (1.0, 1.0))
    assert few[2] == table[:5, 2].max()
    t = np.array([100.0, 150.0, 180.0, 200.0])
    where, error = crossing(t, 0.004 * (170 - t), np.full(4, 0.002), 0.01)
    assert where == pytest.approx(170.0, abs=1e-6)
    assert error == pytest.approx(np.hypot(0.5, 1.7), rel=0.3)
    none, no_error = crossing(t, np.ones(4), np.full(4, 0.1), 0.0)
    assert np.isnan(none)
    assert no_error is None
    assert interpolated(t, t**2, np.full(4, 0.5), 160.0) == (pytest.approx(25600.0), 0.5)
    assert np.isnan(interpolated(t, t, t, 300.0)[0])


def test_a_maximum_beyond_all_places_is_not_believed():
    table = np.array(
        [[x, y, 1 - 0.01 * (x + 1.4) ** 2 - y**2, 1e-4] for x in (0, 1, 2) for y in (-1, 0, 1)]
    )
    peak = quadratic_peak(table, (1.0, 1.0))  # the surface's own top is at x = -1.4
    assert peak[:2].tolist() == [0.0, 0.0]
    assert peak[3] > 1


def test_theory_is_sought_on_the_map_only():
    narrow = CouplingMap(kappa_lowest=0.5, kappa_highest=1.5, g_lowest=0.5, g_highest=1.3)
    x, y, value = narrow.best_in_theory(np.array([1.0, 0.9]))
    assert x == pytest.approx(0.5)
    assert 0.5 < y < 1.3
    wide = CouplingMap().best_in_theory(np.array([0.3, 0.8]))
    assert wide == pytest.approx([0.3007, 0.7730, 0.16035], abs=1e-4)
    assert value < wide[2]


def test_a_summit_that_leans_costs_certainty_of_its_place():
    """Nine places fit a quadratic surface without a trace of the third order."""
    places = [(h * x, h * y) for h in (0.5, 1.0, 2.0) for x in (-1, 0, 1) for y in (-1, 0, 1)]
    x, y = np.array(sorted(set(places))).T
    leaning = 1 - 0.1 * (x + 0.2) ** 2 + 0.02 * (x + 0.2) ** 3 - 0.1 * y**2
    even = 1 - 0.1 * (x + 0.2) ** 2 - 0.1 * y**2
    found = [
        quadratic_peak(np.column_stack([x, y, z, np.full(x.size, 1e-5)]), (2.0, 2.0))
        for z in (leaning, even)
    ]
    off = abs(found[0][0] + 0.2)
    assert off > 0.005
    assert off < 3 * found[0][3] < 1.0
    assert found[1][3] < 1e-6


def test_a_maximum_that_the_last_round_still_moved_is_not_closed_in():
    procedure = DetuningMap(steps=5, rounds=1)
    grid = [(x, y) for y in range(-18, 19, 9) for x in range(-18, 19, 9)]
    known = len(procedure.places())
    rows = np.array([[x, y, -0.01 * np.hypot(x - 5, y), 1e-4] for x, y in grid[:known]])
    rounds = np.array([
        [9 + 3.6 * i, 3.6 * j, -0.01 * np.hypot(4 + 3.6 * i, 3.6 * j), 1e-4]
        for i in (-1, 0, 1) for j in (-1, 0, 1)
    ])  # fmt: skip
    table = np.vstack([rows, rounds])
    peak = procedure.peak(table, np.arange(len(table)))
    assert peak[3:5].tolist() == [9.0, 9.0]
    assert peak[5] > 0.03
    table[known:, 2] = -1.0  # the last round found nothing better
    assert procedure.peak(table, np.arange(len(table)))[5] < 0.03
