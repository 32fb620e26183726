"""All pairs of the single-pump comb through the wire, against a model of each pair on its own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from labctl.bench import Bench, find_bench
from labctl.errors import RequestError
from labctl.procedure import RunData
from labctl.run import run
from procedures.epr_pairs import EprPairs
from procedures.stability import Response

EFFICIENCY, JITTER, PUMP, DISPERSION = 0.675, 0.1094, 0.605, 1e-3
OMEGA = 0.5e6 / 4.8354e6  # analysis frequency over half the linewidth


def pair_noise(pair: int, detuning: float) -> tuple[float, float]:
    """Least and most noise (dB) of a pair that one pump drives: a 2 x 2 problem per sideband."""
    e = detuning + DISPERSION * pair**2 / 2
    number, product = 0.0, 0j
    for w in (OMEGA, -OMEGA):
        inverse = np.linalg.inv(
            np.array([[1 + 1j * (e - w), -1j * PUMP], [1j * PUMP, 1 - 1j * (e + w)]])
        )
        here = 2 * inverse - np.eye(2)
        number += abs(here[0, 1]) ** 2 / 2
        # <a_k a_-k>: annihilation of one at w with creation of the other's vacuum at -w.
        back = 2 * np.linalg.inv(
            np.array([[1 + 1j * (e + w), -1j * PUMP], [1j * PUMP, 1 - 1j * (e - w)]])
        ) - np.eye(2)
        product += here[0, 0] * back[0, 1] / 2
    blurred = abs(product) * np.exp(-2 * JITTER**2)
    low, high = (1 + 2 * EFFICIENCY * (number + sign * blurred) for sign in (-1, 1))
    return 10 * np.log10(low), 10 * np.log10(high)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The default measurement, and the detuning that the ring had at the end of each row."""
    bench = Bench.open(find_bench("cluster-microcomb"), "sim", seed=0)
    detuning: list[float] = []
    procedure = EprPairs()
    inner = procedure.measure_point

    def measure_point(point: Any) -> Any:
        row = inner(point)
        detuning.append(bench.world.detuning(bench.clock.now()))
        return row

    procedure.measure_point = measure_point  # type: ignore[method-assign]
    rows = run(procedure, bench, tmp_path_factory.mktemp("pairs"))
    bench.close()
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    data = RunData(columns, EprPairs().parameter_values())
    found = procedure.analyse(data)
    promised = EprPairs().result_list()
    results = {r.name: (*np.atleast_1d(found[r.name]), None)[:2] for r in promised}
    data.results = {r.name: (*results[r.name], r.unit) for r in promised}
    data.derived = {name: np.asarray(v) for name, v in found.items() if name not in results}
    return SimpleNamespace(data=data, found=found, detuning=np.array(detuning))


def test_model_of_the_test_itself() -> None:
    """Reference of the physics sheet for one pair: -3.0817 and +10.2835 dB."""
    low, high = pair_noise(16, -0.256 + (0.002 - DISPERSION) * 16**2 / 2)
    assert -low == pytest.approx(3.0817, abs=0.002)
    assert high == pytest.approx(10.2835, abs=0.002)


def test_all_31_pairs_lie_within_a_fifth_of_a_decibel_of_the_model(measured: Any) -> None:
    kinds, pairs = measured.data["kind"], measured.data["pair"]
    assert measured.found["pairs"] == 31
    for place, pair in enumerate(range(5, 36)):
        for name, kind, side in (
            ("squeezing_x", "x+x", 0), ("squeezing_p", "p-p", 0),
            ("antisqueezing_x", "x-x", 1), ("antisqueezing_p", "p+p", 1),
        ):  # fmt: skip
            (row,) = np.flatnonzero(
                (kinds == kind) & (pairs == pair) & (measured.data["state"] == "nominal")
            )
            expected = abs(pair_noise(pair, measured.detuning[row])[side])
            value = measured.found[f"{name}_db"][place, 0]
            assert value == pytest.approx(expected, abs=0.2), (pair, name)


def test_each_pair_has_results_of_its_own(measured: Any) -> None:
    for place, pair in enumerate(range(5, 36)):
        for name in ("squeezing_x", "squeezing_p", "antisqueezing_x", "antisqueezing_p"):
            value, error, unit = measured.data.results[f"{name}_{pair}"]
            assert [value, error] == measured.found[f"{name}_db"][place].tolist()
            assert unit == "dB"
    best = measured.found["squeezing_best_pair"]
    mean = np.mean([measured.found[f"squeezing_{letter}_{best}"][0] for letter in "xp"])
    assert mean == pytest.approx(measured.found["squeezing_best"][0])
    (four,) = {len(EprPairs(first=k, last=k).result_list()) - len(EprPairs.RESULTS) for k in (5, 9)}
    assert four == 4


def test_dispersion_rolls_off_the_gain(measured: Any) -> None:
    found = measured.found
    assert found["antisqueezing_best"][0] > found["antisqueezing_worst"][0] + 1.5
    assert found["antisqueezing_worst_pair"] == 35
    assert found["squeezing_best"][0] >= found["squeezing_worst"][0] > 2.9
    assert 0.003 < found["squeezing_best"][1] < 0.1
    assert 0.1 < found["antisqueezing_worst"][1] < 1.0  # 2 dB per MHz of detuning
    # Of the pair on resonance: 0.03 dB by 0.2 % of power, and nothing by the detuning.
    assert 0.025 < found["antisqueezing_best"][1] < 0.04


@pytest.mark.parametrize(
    ("slope", "bend", "turns"),
    [
        ((0.1, -0.3, -0.6), (0.0, 0.0, 0.0), True),  # in between
        ((-0.2, -0.3, -0.6), (-0.15, -0.1, 0.0), True),  # just beyond the first
        ((-0.4, -0.5, -0.6), (-0.15, -0.1, 0.0), False),
        ((0.3, 0.4, 0.5), (-0.1, -0.1, -0.1), False),
    ],
)
def test_a_resonance_lies_between_what_rises_and_what_falls(slope, bend, turns) -> None:
    assert Response(np.zeros(3), np.array(slope), np.array(bend)).turns is turns


def test_figure_names_both_extremes(measured: Any, tmp_path: Path) -> None:
    (figure,) = EprPairs().figures(measured.data).values()
    figure.savefig(tmp_path / "pairs.png", dpi=40)
    upper, lower = figure.axes
    assert f"{measured.found['antisqueezing_best'][0]:.2f}" in upper.get_title()
    assert f"{measured.found['squeezing_worst'][0]:.2f}" in lower.get_title()
    assert "dB" in lower.get_ylabel()


def test_a_resumed_run_uses_the_scan_that_it_finds(tmp_path: Path) -> None:
    bench = Bench.open(find_bench("cluster-microcomb"), "sim", seed=1)
    options: dict[str, Any] = {"first": 16, "last": 16, "sweep_time": 0.5}
    run(EprPairs(**options), bench, tmp_path, stop_after=6)
    rows = run(EprPairs(**options), bench, tmp_path)
    bench.close()
    assert [row["index"] for row in rows] == list(range(10 + 3 * 7))
    assert 0.4 < rows[6]["variance"] < 0.6  # x + x at the squeezing angle


def test_pairs_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(RequestError, match="first: 20 is above last, 10"):
        list(EprPairs(first=20, last=10).points())


def test_incomplete_data_are_refused_in_one_line() -> None:
    columns = {
        name: np.ones(1)
        for name in ("signal (mW)", "signal error (mW)", "shot (mW)", "shot error (mW)", "pair",
                     "time (s)")
    }  # fmt: skip
    columns |= {"kind": np.array(["dark"]), "state": np.array(["nominal"])}
    data = RunData(columns, EprPairs().parameter_values())
    with pytest.raises(RequestError, match=r"lacks x\+x of pair 5; resume it first"):
        EprPairs().analyse(data)


def test_errors_contain_what_the_detuning_does(measured: Any) -> None:
    """Scatter of the model over normal detunings, where it is a parabola: small ones."""
    parameters = EprPairs(detuning_noise=0.15, detuning_drift=0.0, power_noise=0.0)
    data = RunData(measured.data.columns, parameters.parameter_values())
    steady = EprPairs(detuning_noise=0.0, detuning_drift=0.0, power_noise=0.0)
    still = RunData(measured.data.columns, steady.parameter_values())
    found, without = parameters.analyse(data), steady.analyse(still)
    shifts = np.random.default_rng(1).normal(0, 0.15 / 4.8354, 400)
    for place, pair in ((0, 5), (11, 16), (30, 35)):
        (row,) = np.flatnonzero(
            (measured.data["kind"] == "x-x") & (measured.data["pair"] == pair)
            & (measured.data["state"] == "nominal")
        )  # fmt: skip
        centre = measured.detuning[row]
        levels = np.array([pair_noise(pair, centre + shift)[1] for shift in shifts])
        expected = np.sqrt(np.mean((levels - pair_noise(pair, centre)[1]) ** 2))
        own, total = (f["antisqueezing_x_db"][place, 1] for f in (without, found))
        assert np.sqrt(total**2 - own**2) == pytest.approx(expected, rel=0.5, abs=0.03), pair
