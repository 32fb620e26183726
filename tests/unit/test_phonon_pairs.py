"""Estimators of pulsed optomechanics: reference numbers, and errors against scatter."""

from __future__ import annotations

import math

import numpy as np
import pytest

from labctl.analysis.phonon_pairs import (
    click_patterns,
    count_limit,
    fit_delays,
    fit_gates,
    fit_pump_probe,
    gate_curve,
    sideband_thermometry,
    two_tone_g2,
    violation,
)


@pytest.mark.parametrize(
    ("ratio", "n_th", "g2"),
    [(1.86, 0.0, 5.4596), (1.86, 0.014, 5.23898), (1, 0, 3.0), (1.5, 0.05, 4.01457)],
)
def test_g2_of_two_tones(ratio, n_th, g2):
    assert two_tone_g2(ratio, n_th) == pytest.approx(g2, rel=1e-5)


@pytest.mark.parametrize(
    ("values", "bound", "exact", "propagated", "squared"),
    [
        ((4.8, 0.4, 1.90, 0.24, 1.88, 0.42), (2.835, 0.364), 4.91, 3.63, 3.44),
        ((3.5, 0.5, 1.92, 0.14, 1.92, 0.14), (2.88, 0.1485), 1.24, 1.19, 1.10),
    ],
)
def test_published_values_against_the_classical_bound(values, bound, exact, propagated, squared):
    found = violation(*values)
    assert (found.bound, found.bound_error) == pytest.approx(bound, abs=1e-3)
    assert found.bound_exact == pytest.approx(exact, abs=0.006)
    assert found.propagated == pytest.approx(propagated, abs=0.006)
    assert found.squared == pytest.approx(squared, abs=0.006)


def test_patterns():
    def ints(*numbers):
        return np.array(numbers, dtype=np.int64)

    found = click_patterns(
        ints(1, 2, 5, 5, 7), ints(1, 5, 8), ints(3, 5, 7), ints(3, 4, 5), trials=100
    )
    assert (found.n22, found.n20, found.n02) == (1, 1, 1)  # trials 5, 1, 3
    assert found.table.tolist() == [[93, 1, 1], [2, 1, 0], [1, 0, 1]]
    empty = click_patterns(ints(), ints(), ints(), ints(), trials=7)
    assert empty.table[0, 0] == 7
    assert empty.n22 == 0


def test_limit_without_events():
    assert count_limit(0) == pytest.approx(3.0, abs=0.005)
    assert count_limit(3) == pytest.approx(7.754, abs=1e-3)


def pulse(
    seed: int, trials: int = 2_000_000, p: float = 0.01, strength: float = 2.0, time: float = 15.0
):
    """Clicks of A and B uniform in 94 ns, with pairs that make g2(gate) = 2 + strength e^(...)."""
    rng = np.random.default_rng(seed)
    grid = np.linspace(0, 94, 2000)
    share = grid / 94
    # clicks that have nothing to do with each other meet as well: 1 of the 2
    law = (1 + strength * np.exp(-(np.maximum(grid, 20) - 39) / time)) * share**2
    pairs = rng.poisson(trials * p**2 * law[-1])
    late = np.interp(rng.random(pairs), law / law[-1], grid)
    early = late * rng.random(pairs)
    swap = rng.random(pairs) < 0.5
    where = rng.choice(trials, pairs, replace=False)
    out = []
    for mine in (np.where(swap, late, early), np.where(swap, early, late)):
        alone = rng.poisson(trials * p * (1 - p * law[-1]))
        trial = np.concatenate((where, rng.integers(0, trials, alone)))
        out.append((trial, np.concatenate((mine, rng.uniform(0, 94, alone)))))
    return out


def test_gate_curve_counts_like_brute_force():
    a, b = pulse(0, trials=5000)
    curve = gate_curve(a, b, [10.0, 48.0, 94.0], 5000)
    for gate, both in zip(curve.gates, curve.coincidences, strict=True):
        inside = [set(trial[time < gate].tolist()) for trial, time in (a, b)]
        # a second click of the same detector in a trial is not counted
        assert abs(both - len(inside[0] & inside[1])) <= 1
    assert curve.g2 == pytest.approx(curve.coincidences / curve.accidentals)


def scatter(fit, seeds):
    found = np.array([(d.time, d.time_error) for d in map(fit, seeds)])
    return np.median(found[:, 0]), np.std(found[:, 0]), np.median(found[:, 1])


def test_error_of_the_gate_time_is_its_scatter():
    gates = np.arange(25.0, 94.0, 3.0)

    def fit(seed):
        return fit_gates(gate_curve(*pulse(seed), gates, 2_000_000))

    median, spread, stated = scatter(fit, range(30))
    assert median == pytest.approx(15.0, abs=4 * stated / np.sqrt(30) * 1.25)
    assert stated == pytest.approx(spread, rel=0.6)


def test_error_of_the_delay_time_is_its_scatter():
    delays = np.array([30.0, 60, 100, 150, 200, 300, 400])
    chance = np.full(7, 60.0)

    def fit(seed):
        mean = chance * (2 + 1.55 * np.exp(-(delays - 30) / 132))
        return fit_delays(delays, np.random.default_rng(seed).poisson(mean), chance)

    median, spread, stated = scatter(fit, range(200))
    assert median == pytest.approx(132, abs=4 * stated / np.sqrt(200) * 1.25)
    assert stated == pytest.approx(spread, rel=0.4)


def test_pump_probe_is_recovered_within_its_errors():
    t = np.concatenate((np.arange(20, 1000, 60), np.arange(1000, 6000, 400))).astype(float)
    truth = 0.014 + 0.11 * np.exp(-t / 1460) - 0.06 * np.exp(-t / 220)
    pulls = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        error = 0.0008 * np.ones(t.size)
        fit = fit_pump_probe(t, truth + error * rng.normal(size=t.size), error, 0.014)
        pulls.append(
            [
                (v[0] - x) / v[1]
                for v, x in ((fit.short_time, 220), (fit.long_time, 1460), (fit.excited, 0.05))
            ]
        )
    spread = np.std(pulls, axis=0)
    assert (np.abs(np.mean(pulls, axis=0)) < 4 / np.sqrt(40)).all()
    assert spread == pytest.approx([1, 1, 1], abs=4 / np.sqrt(80))
    exact = fit_pump_probe(t, truth, np.full(t.size, 1e-4), 0.014)
    assert exact.short_time[0] == pytest.approx(220, rel=1e-4)
    assert float(exact(333.2)) == pytest.approx(0.08836, abs=2e-5)


def test_thermometry():
    x, n, trials, eta = 0.02, 0.014, 1e8, 0.07
    red = trials * eta * -math.expm1(-x) * n
    blue = trials * eta * math.expm1(x) * (n + 1)
    assert red == pytest.approx(1940.5, abs=0.1)
    assert blue == pytest.approx(143389, abs=1)
    found = sideband_thermometry(red, blue, x)
    assert found.naive == pytest.approx((0.013719, 0.00032), abs=6e-6)
    assert found.unbiased[0] == pytest.approx(0.014, abs=1e-9)
    dark = sideband_thermometry(red + 500, blue + 500, x, 500, 500)
    assert dark.unbiased[0] == pytest.approx(0.014, abs=1e-9)
    assert dark.unbiased[1] > found.unbiased[1]


def test_errors_of_the_thermometry_are_its_scatter():
    rng = np.random.default_rng(4)
    red, blue, dark, stray = rng.poisson([[4.1e4], [9.1e4], [1e3], [1e3]], (4, 4000))
    drawn = [
        sideband_thermometry(r, b, 0.02, d, s, background_trials=1.0)
        for r, b, d, s in zip(red, blue, dark, stray, strict=True)
    ]
    for way in ("naive", "unbiased"):
        values, errors = np.array([getattr(one, way) for one in drawn]).T
        assert values.std() == pytest.approx(errors.mean(), rel=4 / np.sqrt(2 * 4000))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sideband_thermometry(10, 5, 0.02), "blue: must be above red"),
        (lambda: sideband_thermometry(1, 5, 0.0), "area: must be positive"),
        (lambda: fit_delays([1, 2], [1, 2], [1, 2]), "at least three points"),
        (lambda: fit_pump_probe([1, 2], [1, 2], [1, 1], 0), "at least five points"),
        (lambda: fit_pump_probe([1, 2, 3, 4, 5], [1] * 5, [0] * 5, 0), "errors: must be positive"),
        (lambda: violation(4, 0, 2, 0.1, 2, 0.1), "g2: .* must be positive"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
