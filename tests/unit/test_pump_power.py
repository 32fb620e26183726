"""The best pump power from counts at several: against the closed forms of the shared facts."""

import numpy as np
import pytest

from labctl.analysis.pump_power import fit_network, optimum_with_errors
from labctl.analysis.qkd import minimum_visibility

TAU, V0 = 3.2e-9, 0.99
POWERS = np.array([0.1, 0.2, 0.3, 0.4, 0.6, 1.0])
USERS = [(0, 1), (1, 3)]  # A-B, B-D
PAIRS = np.array([6328.0, 3.0514e3 * 0.2945]) / 0.4**2  # true coincidences per s and mW^2
SINGLES = np.array([139.1e3, 139.1e3, 134.7e3, 173.5e3])  # per s at 0.4 mW


def counts(power, seconds):
    relative = power / 0.4
    singles = SINGLES[:, None] * (relative**2 + 0.1 * relative) / 1.1 * seconds
    first, second = np.array(USERS).T
    accidental = singles[first] * singles[second] / seconds * TAU / 2
    true = PAIRS[:, None] * power**2 * seconds / 4
    sifted = true + accidental
    return sifted, (sifted - V0 * true) / 2, singles


def test_exact_counts_give_the_exact_model():
    seconds = np.full(len(POWERS), 10.0)
    sifted, errors, singles = counts(POWERS, seconds)
    model = fit_network(POWERS, seconds, USERS, sifted, errors, singles, TAU)
    assert model.pairs == pytest.approx(PAIRS)
    assert model.visibility == pytest.approx(V0)
    again, rate = model.sifted(POWERS)
    assert again == pytest.approx(sifted / 10.0)
    assert rate == pytest.approx(errors / sifted)
    total, fair = model.optimum(0.05, 2.0)
    assert fair == pytest.approx(0.314, abs=0.01)  # shared facts: 0.31 to 0.32 mW
    assert total > 0.9
    limit = model.limit(0.05, 2.0)
    assert limit == pytest.approx(0.462, abs=0.001)
    assert 1 - 2 * model.sifted(limit)[1][1, 0] == pytest.approx(minimum_visibility(), abs=1e-5)
    assert model.limit(0.05, 0.4) == 0.4  # key everywhere


def test_errors_cover_the_scatter():
    rng = np.random.default_rng(1)
    seconds = np.full(len(POWERS), 5.0)
    sifted, errors, singles = counts(POWERS, seconds)
    model = fit_network(POWERS, seconds, USERS, sifted, errors, singles, TAU)
    exact = (*model.optimum(0.05, 2.0), model.limit(0.05, 2.0))
    pulls = []
    for _ in range(12):
        bad, good = rng.poisson(errors), rng.poisson(sifted - errors)
        _, found = optimum_with_errors(
            POWERS, seconds, USERS, good + bad, bad, rng.poisson(singles), TAU, rng, samples=40
        )
        pulls.append(
            [
                (value - true) / error
                for (value, error), true in zip(found.values(), exact, strict=True)
            ]
        )
    assert np.abs(pulls).max() < 4
    assert 0.5 < np.std(pulls) < 1.6


def test_impossible_input_is_named():
    seconds = np.full(len(POWERS), 5.0)
    sifted, errors, singles = counts(POWERS, seconds)
    with pytest.raises(ValueError, match="2 different ones"):
        fit_network([0.1, 0.2], [1, 1], USERS, sifted[:, :2], errors[:, :2], singles[:, :2], TAU)
    with pytest.raises(ValueError, match="row for each link"):
        fit_network(POWERS, seconds, USERS, sifted.T, errors, singles, TAU)
    with pytest.raises(ValueError, match="row for each user"):
        fit_network(POWERS, seconds, USERS, sifted, errors, singles[:2], TAU)
    with pytest.raises(ValueError, match="positive"):
        fit_network(POWERS, 0 * seconds, USERS, sifted, errors, singles, TAU)
