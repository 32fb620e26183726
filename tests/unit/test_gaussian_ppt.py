"""Partial transposition: closed forms, a slow direct reference, derivatives."""

from __future__ import annotations

import time

import numpy as np
import pytest

from labctl.analysis.gaussian import (
    bipartitions,
    duan_sum,
    log_negativity,
    ppt_gradient,
    ppt_values,
    reduced,
)


def two_mode_squeezed(r: float, efficiency: float = 1.0) -> np.ndarray:
    """x1 + x2 and p1 - p2 are squeezed; order x1, x2, p1, p2."""
    c, s = np.cosh(2 * r), np.sinh(2 * r)
    pure = np.array([[c, -s, 0, 0], [-s, c, 0, 0], [0, 0, c, s], [0, 0, s, c]])
    return efficiency * pure + (1 - efficiency) * np.eye(4)


def chain_state(modes: int, seed: int, squeezing: float = 0.5) -> np.ndarray:
    """A lossy multimode squeezed state mixed by a random interferometer."""
    rng = np.random.default_rng(seed)
    unitary, _ = np.linalg.qr(
        rng.normal(size=(modes, modes)) + 1j * rng.normal(size=(modes, modes))
    )
    passive = np.block([[unitary.real, -unitary.imag], [unitary.imag, unitary.real]])
    r = squeezing * (1 + rng.random(modes))
    pure = passive @ np.diag(np.exp(2 * np.concatenate([-r, r]))) @ passive.T
    return 0.7 * pure + 0.3 * np.eye(2 * modes)


def direct(cov: np.ndarray, party: np.ndarray) -> float:
    """Slow reference, straight from the definition: |eig(i Omega P V P)|."""
    modes = len(party)
    flip = np.diag(np.concatenate([np.ones(modes), np.where(party, -1.0, 1.0)]))
    omega = np.block(
        [[np.zeros((modes, modes)), np.eye(modes)], [-np.eye(modes), np.zeros((modes, modes))]]
    )
    return float(np.abs(np.linalg.eigvals(1j * omega @ flip @ cov @ flip)).min())


@pytest.mark.parametrize("r", [0.0, 0.1, 0.5, 1.5, 3.0])
def test_two_mode_squeezed_vacuum(r: float) -> None:
    cov = two_mode_squeezed(r)
    assert log_negativity(cov, [0]) == pytest.approx(2 * r, abs=1e-9)
    assert log_negativity(cov, np.array([False, True])) == pytest.approx(2 * r, abs=1e-9)
    assert ppt_values(cov) == pytest.approx([np.exp(-2 * r)], rel=1e-9)
    assert duan_sum(cov) == pytest.approx(2 * np.exp(-2 * r))


@pytest.mark.parametrize("r", [3.0, 4.0])
def test_strong_squeezing_is_seen_to_the_last_digits_in_any_local_frame(r: float) -> None:
    turn = np.array([0.3, -1.1])
    cos, sin = np.diag(np.cos(turn)), np.diag(np.sin(turn))
    local = np.block([[cos, -sin], [sin, cos]])
    cov = local @ two_mode_squeezed(r) @ local.T
    assert ppt_values(cov) == pytest.approx([np.exp(-2 * r)], rel=1e-6)


def test_two_mode_squeezed_vacuum_with_loss() -> None:
    """E_N = -ln(1 - eta + eta e^{-2r}); r = 0.5, eta = 0.675 gives 0.5563."""
    assert log_negativity(two_mode_squeezed(0.5, 0.675), [1]) == pytest.approx(0.5563, abs=2e-4)


def test_separable_states_are_not_entangled() -> None:
    thermal = np.diag([1.0, 2.5, 1.7, 1.0, 2.5, 1.7])
    assert (ppt_values(thermal) >= 1 - 1e-12).all()
    assert log_negativity(thermal, [0, 2]) == 0
    assert duan_sum(np.eye(6), 0, 2) == pytest.approx(2)
    assert log_negativity(np.array([thermal, np.eye(6)]), [1]).shape == (2,)


def test_local_phases_change_the_duan_sum_but_not_entanglement() -> None:
    cov = two_mode_squeezed(0.4, 0.8)
    cos, sin = np.diag(np.cos([0.3, 1.1])), np.diag(np.sin([0.3, 1.1]))
    turn = np.block([[cos, -sin], [sin, cos]])
    turned = turn @ cov @ turn.T
    assert abs(duan_sum(turned) - duan_sum(cov)) > 0.1
    assert ppt_values(turned) == pytest.approx(ppt_values(cov), rel=1e-12)


def test_bipartitions_count_up_in_binary_with_mode_1_least_significant() -> None:
    flags = bipartitions(4)
    assert flags.shape == (7, 4)
    assert not flags[:, 0].any()
    assert [int(f"{int(c)}{int(b)}{int(a)}", 2) for _, a, b, c in flags] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_the_direct_reference(seed: int) -> None:
    cov = chain_state(7, seed)
    parties = bipartitions(7)
    slow = [direct(cov, party) for party in parties]
    assert np.abs(ppt_values(cov) - slow).max() < 1e-10
    assert np.abs(ppt_values(cov, ~parties) - slow).max() < 1e-10  # the complement is the same


def test_strong_squeezing_does_not_lose_digits() -> None:
    for r in (3.0, 5.0):
        assert ppt_values(two_mode_squeezed(r)) == pytest.approx([np.exp(-2 * r)], abs=1e-10)


def test_tracing_out_modes_can_only_raise_the_value() -> None:
    cov = chain_state(6, 11)
    party = np.array([True, False, True, False, False, True])
    whole = ppt_values(cov, party[None])[0]
    kept = [0, 1, 2, 3]
    assert ppt_values(reduced(cov, kept), party[None, kept])[0] >= whole - 1e-12


def test_log_negativity_sums_over_all_eigenvalues_below_one() -> None:
    a, b = two_mode_squeezed(0.3), two_mode_squeezed(0.7)
    both = np.zeros((8, 8))
    order_a, order_b = [0, 1, 4, 5], [2, 3, 6, 7]
    both[np.ix_(order_a, order_a)] = a
    both[np.ix_(order_b, order_b)] = b
    assert log_negativity(both, [0, 2]) == pytest.approx(2.0, abs=1e-9)


def test_gradient_agrees_with_finite_differences() -> None:
    cov = chain_state(4, 5)
    party = np.array([False, True, True, False])
    gradient = ppt_gradient(cov, party)
    rng = np.random.default_rng(1)
    for _ in range(5):
        change = rng.normal(size=cov.shape)
        change = 1e-6 * (change + change.T)
        up, down = direct(cov + change, party), direct(cov - change, party)
        assert np.sum(gradient * change) == pytest.approx((up - down) / 2, rel=1e-4)


def test_six_sets_of_2047_are_fast() -> None:
    """The goal is 0.3 s on two free cores; the bound here leaves room for a busy machine."""
    cov = chain_state(12, 3)
    ppt_values(cov)
    spent = []
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(6):
            ppt_values(cov)
        spent.append(time.perf_counter() - start)
    assert min(spent) < 5.0


@pytest.mark.parametrize(
    ("call", "name"),
    [
        (lambda: ppt_values(0.5 * np.eye(4)), "cov"),
        (lambda: ppt_values(np.eye(3)), "cov"),
        (lambda: ppt_values(np.eye(4), [True, False]), "parties"),
        (lambda: ppt_values(np.eye(4), [[True, False, True]]), "parties"),
        (lambda: ppt_values(np.eye(4), [[2, 0]]), "parties"),
        (lambda: ppt_values(np.eye(4), [["a", "b"]]), "parties"),
        (lambda: ppt_values(np.eye(60)), "parties"),
        (lambda: log_negativity(np.eye(4), [2]), "party"),
        (lambda: log_negativity(np.eye(4), [0.5]), "party"),
        (lambda: log_negativity(np.eye(4), [True, False, True]), "party"),
        (lambda: log_negativity(0.9 * np.eye(4), [0]), "cov"),
        (lambda: log_negativity(np.full((4, 4), np.nan), [0]), "cov"),
        (lambda: log_negativity(np.eye(4), []), "party"),
        (lambda: duan_sum(0.5 * np.eye(4)), "cov"),
        (lambda: duan_sum(np.eye(4), 0, 0), "j"),
        (lambda: duan_sum(np.eye(4), -1, 0), "i"),
        (lambda: duan_sum(np.eye(2)), "j"),
        (lambda: ppt_gradient(np.eye(4), [True]), "party"),
    ],
)
def test_bad_input_is_refused_by_name(call, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: "):
        call()


def test_agrees_with_an_independent_library() -> None:
    peer = pytest.importorskip("thewalrus.quantum")
    cov = chain_state(5, 9)
    for party in ([0], [1, 3], [0, 2, 4]):
        assert log_negativity(cov, party) == pytest.approx(
            float(peer.log_negativity(cov, modes_A=party)), abs=1e-10
        )
