"""The certificate must hold when every bipartition is entangled, and never when one is not."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.analysis.gaussian import (
    certify_inseparability,
    covariance_from_variances,
    ppt_values,
    quadrature_direction,
)


def network(modes: int, edges: list[tuple[int, int]], r: float = 0.35) -> np.ndarray:
    """Lossy state with two-mode squeezing of strength r along every edge."""
    coupling = np.zeros((modes, modes))
    for i, j in edges:
        coupling[i, j] = coupling[j, i] = -r
    generator = np.block([[np.zeros_like(coupling), coupling], [coupling, np.zeros_like(coupling)]])
    values, vectors = np.linalg.eigh(generator)
    return 0.8 * (vectors * np.exp(2 * values)) @ vectors.T + 0.2 * np.eye(2 * modes)


def chain_edges(modes: int) -> list[tuple[int, int]]:
    return [(k, k + 1) for k in range(modes - 1)]


def test_bounds_every_bipartition_of_a_chain() -> None:
    cov = network(8, chain_edges(8))
    found = certify_inseparability(cov)
    assert found.holds
    assert found.covered == 127
    assert len(found.subsets) == 7
    assert {mode for subset in found.subsets for mode in subset} == set(range(8))
    assert ppt_values(cov).max() <= found.bottleneck < 1
    assert found.bottleneck == pytest.approx(max(found.values))
    assert found.bottleneck_error == 0


@pytest.mark.parametrize("cut", [1, 3, 5])
def test_refuses_a_state_that_is_separable_across_one_cut(cut: int) -> None:
    edges = [edge for edge in chain_edges(6) if edge != (cut - 1, cut)]
    found = certify_inseparability(network(6, edges))
    assert not found.holds
    assert found.bottleneck >= 1 - 1e-9


def test_vacuum_is_not_certified() -> None:
    assert not certify_inseparability(np.eye(10)).holds
    assert not certify_inseparability(np.eye(10), np.full((10, 10), 0.01)).holds


def test_triples_join_in_where_pairs_do_not_suffice() -> None:
    """A star of weak edges: the three-mode state is entangled, each pair too little with noise."""
    cov = network(3, [(0, 1), (0, 2), (1, 2)], r=0.9)
    pairs = certify_inseparability(cov, largest=2)
    both = certify_inseparability(cov, largest=3)
    assert both.holds
    assert both.bottleneck <= pairs.bottleneck
    if not pairs.holds:
        assert both.subsets == ((0, 1, 2),)


def test_errors_take_away_what_is_not_significant() -> None:
    cov = network(5, chain_edges(5))
    exact = certify_inseparability(cov)
    small = certify_inseparability(cov, np.full_like(cov, 1e-3))
    large = certify_inseparability(cov, np.full_like(cov, 0.1))
    assert small.holds
    assert small.bottleneck == pytest.approx(exact.bottleneck)
    assert 0 < small.bottleneck_error < 3e-3
    assert not large.holds


def test_margin_is_corrected_for_the_number_of_comparisons() -> None:
    cov = network(60, chain_edges(60))
    found = certify_inseparability(cov, np.full_like(cov, 1e-3), subsets=chain_edges(60))
    assert found.holds
    assert found.comparisons == 59
    assert found.margin == pytest.approx(4.0763, abs=1e-3)  # tail 0.00135 / 59
    every = certify_inseparability(cov, np.full_like(cov, 1e-3))
    assert every.comparisons == 1770
    assert every.margin > found.margin


@pytest.mark.parametrize("gap", [(1, 5), (5, 1), (1, 1), (1, 6), (6, 1), (5, 2)])
def test_one_missing_element_takes_a_pair_away(gap: tuple[int, int]) -> None:
    """In either triangle; without its own xp a mode is in no pair at all."""
    cov = network(4, chain_edges(4))
    error = np.full_like(cov, 1e-3)
    error[gap] = np.nan
    found = certify_inseparability(cov, error)
    involved = {place % 4 for place in gap}
    assert all(not involved <= set(subset) for subset in found.subsets)


def test_unmeasured_pairs_are_never_used() -> None:
    cov = network(4, chain_edges(4))
    error = np.full_like(cov, 1e-3)
    for a, b in ((1, 2), (1, 6), (5, 2), (5, 6)):
        error[a, b] = error[b, a] = np.nan
    found = certify_inseparability(cov, error)
    assert all(not {1, 2} <= set(subset) for subset in found.subsets)
    error[:] = np.nan
    error[np.diag_indices(8)] = 1e-3
    found = certify_inseparability(cov, error)
    assert not found.holds
    assert found.bottleneck == np.inf
    assert found.subsets == ()


def test_noisy_separable_state_is_certified_less_often_than_promised() -> None:
    """Three vacuum modes at one sigma: 16 % of false alarms are allowed, three pairs share them."""
    modes, alarms, rounds = 3, 0, 200
    weights, angles = [], []
    for k in range(modes):
        for angle in (0.0, np.pi / 2, np.pi / 4):
            weights.append(np.eye(modes)[k])
            angles.append(angle * np.eye(modes)[k])
    for i, j in ((0, 1), (1, 2), (0, 2)):
        for a in (0.0, np.pi / 2):
            for b in (0.0, np.pi / 2):
                weights.append(np.eye(modes)[i] + np.eye(modes)[j])
                angles.append(a * np.eye(modes)[i] + b * np.eye(modes)[j])
    directions = quadrature_direction(np.array(weights), np.array(angles))
    thermal = np.diag([1.3] * 6)
    exact = np.einsum("si,ij,sj->s", directions, thermal, directions)
    rng = np.random.default_rng(0)
    for _ in range(rounds):
        measured = exact + 0.1 * rng.normal(size=len(exact))
        found = covariance_from_variances(directions, measured, 0.1)
        alarms += certify_inseparability(found.covariance, found, sigmas=1).holds
    assert alarms < 0.16 * rounds


@pytest.mark.parametrize("kind", ["matrix", "reconstruction"])
def test_reported_error_agrees_with_repeated_measurements(kind: str) -> None:
    cov = network(2, [(0, 1)])
    rng = np.random.default_rng(3)
    if kind == "matrix":
        error = np.full((4, 4), 2e-3)
        noise = np.triu(rng.normal(0, 2e-3, (400, 4, 4)))
        noise = noise + np.swapaxes(np.triu(noise, 1), 1, 2)
        values = [ppt_values(cov + change)[0] for change in noise]
        found = certify_inseparability(cov, error)
    else:
        angles = np.array([[a, b] for a in (0, np.pi / 2) for b in (0, np.pi / 2)])
        weights = np.ones_like(angles)
        for k in range(2):
            for angle in (0.0, np.pi / 2, np.pi / 4):
                weights = np.vstack([weights, np.eye(2)[k]])
                angles = np.vstack([angles, angle * np.eye(2)[k]])
        directions = quadrature_direction(weights, angles)
        exact = np.einsum("si,ij,sj->s", directions, cov, directions)
        values = [
            ppt_values(
                covariance_from_variances(
                    directions, exact + rng.normal(0, 2e-3, len(exact)), 2e-3
                ).covariance
            )[0]
            for _ in range(400)
        ]
        reconstruction = covariance_from_variances(directions, exact, 2e-3)
        found = certify_inseparability(reconstruction.covariance, reconstruction)
    assert np.std(values) == pytest.approx(found.bottleneck_error, rel=0.15)


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: certify_inseparability(0.5 * np.eye(4)), "cov"),
        (lambda: certify_inseparability(np.eye(2)), "cov"),
        (lambda: certify_inseparability(np.eye(4), sigmas=-1), "sigmas"),
        (lambda: certify_inseparability(np.eye(4), sigmas=float("nan")), "sigmas"),
        (lambda: certify_inseparability(np.eye(4), np.ones((2, 2))), "cov_error"),
        (lambda: certify_inseparability(np.eye(4), -np.ones((4, 4))), "cov_error"),
        (lambda: certify_inseparability(np.eye(4), largest=1), "largest"),
        (lambda: certify_inseparability(np.eye(4), subsets=[(0,)]), "subsets"),
        (lambda: certify_inseparability(np.eye(4), subsets=[(0, 0)]), "subsets"),
        (lambda: certify_inseparability(np.eye(4), subsets=[(0, 5)]), "subsets"),
        (
            lambda: certify_inseparability(np.eye(4), np.full((4, 4), np.nan), subsets=[(0, 1)]),
            "subsets",
        ),
    ],
)
def test_bad_input_is_refused_by_name(call, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        call()
