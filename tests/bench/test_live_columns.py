"""What procedures show while they run: panels of columns there are, with errors that are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from labctl.analysis.magnomechanics import Device
from labctl.analysis.timetags import g2_of_counts, g2_trials
from labctl.live import Curve, HeatMap, Trace
from labctl.run import loading
from labctl.run.folder import RunFolder
from labctl.run.replay import compare
from labctl.run.request import new_columns, panels
from procedures import decoy_rates
from procedures.magnon_setup import FITTED
from procedures.magnon_states import DRIFT, by_sweep
from procedures.pair_rates import PairRates, rates

SHIPPED = loading.all_procedures()
RNG = np.random.default_rng(1)


@pytest.mark.parametrize("name", SHIPPED)
def test_panels_show_columns_that_there_are(name: str) -> None:
    procedure = SHIPPED[name]()
    shown = procedure.panels()
    assert shown, "nothing to see during the run"
    assert len({panel.title for panel in shown}) == len(shown)
    for panel in shown:
        if isinstance(panel, Trace):
            assert {panel.column, panel.x or panel.column} <= set(procedure.TRACES)
            continue
        named = [panel.x, panel.value_column]
        named += [panel.y] if isinstance(panel, HeatMap) else [panel.error, panel.by]
        named += panel.where[:1] if isinstance(panel, Curve) else []
        assert {column for column in named if column} <= set(procedure.DATA_COLUMNS), panel.title


def test_errors_of_pairs_are_their_scatter() -> None:
    peaks, far = RNG.poisson(400, 20_000), RNG.poisson(900, 20_000)
    pairs, pairs_error, car, car_error = rates(peaks, far)
    assert pairs_error.mean() == pytest.approx(pairs.std(), rel=0.03)
    assert car_error.mean() == pytest.approx(car.std(), rel=0.05)
    assert np.isnan(rates(np.array([5]), np.array([0]))[2]).all()
    assert rates(np.array([0]), np.array([0]))[1] > 0.9


def test_errors_of_a_decoy_key_are_its_scatter() -> None:
    link = decoy_rates.LinkSettings((0.5, 0.16, 0.008), (29, 2, 1), 0.0, 1, 1.16, 0.8)
    sent = 1e9 * link.shares
    clicks = sent * (2e-6 + 2e-3 * np.array(link.intensities))
    sifted = clicks / 2
    wrong = sifted * np.array([0.02, 0.022, 0.06])
    mean = np.stack([sent, clicks, sifted, wrong])
    found = []
    for _ in range(200):
        bad, good, rest = (RNG.poisson(n) for n in (wrong, sifted - wrong, clicks - sifted))
        found.append(decoy_rates.secret_rate(np.stack([sent, bad + good + rest, bad + good, bad]),
                                             link))  # fmt: skip
    value, error = decoy_rates.secret_with_error(mean, link)
    assert value == decoy_rates.secret_rate(mean, link)
    assert error == pytest.approx(np.std(found), rel=0.2)
    scatter = RNG.binomial(int(sifted[0]), 0.02, 5000) / int(sifted[0])
    assert decoy_rates.qber_error(mean) == pytest.approx(scatter.std(), rel=0.05)


def test_g2_of_counts_is_that_of_the_clicks() -> None:
    a, b = (np.flatnonzero(RNG.random(5000) < 0.2) for _ in "ab")
    for clicks in (a, a[:20]):
        g2, sigma = g2_trials(clicks, b, 5000, 0)
        found = g2_of_counts(np.intersect1d(clicks, b).size, clicks.size, b.size, 5000)
        assert found == pytest.approx((g2[0], sigma[0]))
    assert np.isnan(g2_of_counts(0, 0, b.size, 5000)).all()


def test_errors_of_a_swept_device() -> None:
    fit = np.zeros((len(FITTED), len(FITTED)))
    one, two = (list(FITTED).index(name) for name in ("detuning_1", "coupling"))
    fit[one, one], fit[two, two], fit[one, two], fit[two, one] = 4e-4, 1e-4, 1e-4, 1e-4
    value, error = by_sweep(
        lambda device: float(3 * device.detuning_1 - device.coupling), Device(), fit
    )
    assert value == float(3 * Device().detuning_1 - Device().coupling)
    drift = 9 * DRIFT["detuning_1"] ** 2 + DRIFT["coupling"] ** 2
    assert error == pytest.approx(np.sqrt(9 * 4e-4 + 1e-4 - 6 * 1e-4 + drift), rel=1e-6)


def record(place: Path, rows: list[dict[str, object]]) -> RunFolder:
    start = {"format": 1, "procedure": "p", "columns": ["index", "y"], "traces": ["spectrum"]}
    with RunFolder.create(place, "p", start) as folder:
        folder.opened({"t": 0.0})
        for row in rows:
            folder.emit(row, 0.0)
    return RunFolder.open(folder.path)


def test_columns_that_came_later_are_not_compared(tmp_path: Path) -> None:
    old = [{"index": 0, "y": 1.0, "spectrum": np.arange(3.0)}, {"index": 1, "y": 2.0}]
    recorded = record(tmp_path / "old", old)
    again = record(tmp_path / "new", [row | {"y error": 0.5} for row in old])
    assert compare(recorded, again, {"y error"}) == (2, "")
    assert "columns differ" in compare(recorded, again)[1]
    other = record(tmp_path / "other", [row | {"y": 3.0, "y error": 0.5} for row in old])
    assert "'y' was 1.0, is 3.0" in compare(recorded, other, {"y error"})[1]
    without = record(tmp_path / "without", [{"index": 0, "y": 1.0}, old[1]])
    assert "'spectrum': is missing" in compare(recorded, without)[1]


def test_an_old_run_shows_the_panels_that_it_can_fill() -> None:
    procedure = PairRates()
    before = [name for name in PairRates.DATA_COLUMNS if "error" not in name]
    assert panels({"columns": before}, procedure) == procedure.panels()  # without error bars
    assert "CAR error" in new_columns({"columns": before}, procedure)
    before.remove("CAR")
    left = panels({"columns": before}, procedure)
    assert len(left) == len(procedure.panels()) - 1
