"""Fringe fits: exact on exact data, honest errors on counted data."""

import math

import numpy as np
import pytest

from labctl.analysis.fringes import fit_fringe, visibility_error


def fringe(points, mean=200.0, visibility=0.98, offset=0.7):
    phase = 2 * math.pi * np.arange(points) / points
    return phase, mean * (1 + visibility * np.cos(phase - offset))


def test_exact_counts_give_the_exact_fringe():
    phase, expected = fringe(25)
    found = fit_fringe(phase, expected, np.random.default_rng(0))
    assert found.mean == pytest.approx(200.0)
    assert found.visibility == pytest.approx(0.98)
    assert found.offset == pytest.approx(0.7)
    assert found.at(phase) == pytest.approx(expected)


def test_the_error_of_the_shared_facts():
    """25 points of mean 200 at V = 0.98: 0.0145 in theory, 0.0152 resampled; 10 %."""
    phase, expected = fringe(25)
    assert visibility_error(0.98, 25 * 200) == pytest.approx(0.0145, abs=1e-4)
    counts = np.random.default_rng(2).poisson(expected)
    assert fit_fringe(phase, counts, np.random.default_rng(3)).error == pytest.approx(
        0.0152, rel=0.1
    )


def test_errors_cover_the_scatter():
    phase, expected = fringe(12, mean=300.0, visibility=0.9)
    rng = np.random.default_rng(4)
    fits = [fit_fringe(phase, rng.poisson(expected), rng, 200) for _ in range(200)]
    pulls = [(fit.visibility - 0.9) / fit.error for fit in fits]
    assert abs(np.mean(pulls)) < 4 / math.sqrt(200) + 0.1  # cos and sin noise adds a little
    assert np.std(pulls) == pytest.approx(1.0, abs=0.2)


@pytest.mark.parametrize(
    ("phase", "counts", "message"),
    [
        ([0, 1, 2], [1, 2, 3], "3 different settings"),
        ([0, 1, 2, 3, 2 * math.pi], [1, 2, 3, -4, 1], "counts"),
        ([0, 1, 2, math.nan], [1, 2, 3, 4], "phase"),
        ([0, 1, 2], [1, 2], "equally long"),
        ([0, 1, 2, 3], [0, 0, 0, 0], "no coincidences"),
        ([0, math.pi, 1e-4, math.pi + 1e-4], [1, 2, 3, 4], "do not determine"),
        ([[0, 1], [2, 3]], [[1, 2], [3, 4]], "equally long"),
    ],
)
def test_impossible_input_is_named(phase, counts, message):
    with pytest.raises(ValueError, match=message):
        fit_fringe(phase, counts, np.random.default_rng(0))


def test_few_samples_and_no_counts_are_refused():
    phase, expected = fringe(8)
    with pytest.raises(ValueError, match="samples"):
        fit_fringe(phase, expected, np.random.default_rng(0), 1)
    with pytest.raises(ValueError, match="total"):
        visibility_error(0.9, 0.0)
