"""The simulators' Gaussian helpers: conventions and identities every state must satisfy."""

from __future__ import annotations

import numpy as np
import pytest

from simulated_instruments.physics.gaussian import Moments
from simulated_instruments.physics.ring import drift_matrix, output_covariance


def form(n):
    return np.block([[np.zeros((n, n)), np.eye(n)], [-np.eye(n), np.zeros((n, n))]])


def least_transposed(v):
    """Smallest symplectic eigenvalue after the partial transpose of mode 0 of two."""
    flip = np.diag([1, 1, -1, 1])
    return np.abs(np.linalg.eigvals(1j * form(2) @ flip @ v @ flip)).min()


def two_mode_squeezed(r, phase=0.0):
    number = np.sinh(r) ** 2 * np.eye(2, dtype=complex)
    squeezing = np.exp(1j * phase) * np.sinh(r) * np.cosh(r) * np.array([[0, 1], [1, 0]])
    return Moments(number, squeezing)


def duan(v):
    """(Var(x1 + x2) + Var(p1 - p2)) / 2 with vacuum variance 1; 2 for vacuum."""
    plus, minus = np.array([1, 1, 0, 0]), np.array([0, 0, 1, -1])
    return (plus @ v @ plus + minus @ v @ minus) / 2


def random_state(n, seed):
    """A pure state from a random stable drift of the ring, then some loss."""
    rng = np.random.default_rng(seed)
    pumps = {int(k): complex(*rng.normal(0, 0.2, 2)) for k in range(-1, 2)}
    v = output_covariance(drift_matrix(pumps, rng.normal(), 0.1, 0, guard=n), 0.0)
    return 0.8 * v + 0.2 * np.eye(len(v))


@pytest.mark.parametrize("seed", range(4))
def test_moments_and_covariance_are_inverse(seed):
    v = random_state(3, seed)
    moments = Moments.of_covariance(v)
    np.testing.assert_allclose(moments.covariance(), v, atol=1e-12)
    np.testing.assert_allclose(moments.number, moments.number.conj().T, atol=1e-12)
    np.testing.assert_allclose(moments.squeezing, moments.squeezing.T, atol=1e-12)


def test_moments_of_known_states():
    thermal = Moments.of_covariance(5.0 * np.eye(2))  # V = 2 N + 1
    assert thermal.number[0, 0] == pytest.approx(2.0)
    assert thermal.squeezing[0, 0] == 0
    squeezed = Moments.of_covariance(np.diag([np.exp(2.0), np.exp(-2.0)]))
    assert squeezed.number[0, 0] == pytest.approx(np.sinh(1) ** 2)
    assert squeezed.squeezing[0, 0] == pytest.approx(np.sinh(1) * np.cosh(1))


@pytest.mark.parametrize("phase", [0.0, 0.3, -np.pi / 2, 2.0])
@pytest.mark.parametrize("r", [0.1, 0.5, 1.3])
def test_two_mode_squeezed_vacuum(r, phase):
    v = two_mode_squeezed(r, phase).covariance()
    assert -np.log(least_transposed(v)) == pytest.approx(2 * r, rel=1e-9)
    eta = 0.675
    lossy = two_mode_squeezed(r, phase).after_loss(eta).covariance()
    assert -np.log(least_transposed(lossy)) == pytest.approx(
        -np.log(1 - eta + eta * np.exp(-2 * r)), rel=1e-9
    )
    assert np.abs(np.linalg.eigvals(1j * form(2) @ v)).min() == pytest.approx(1, abs=1e-6)


def test_reference_values_of_the_two_mode_squeezed_vacuum():
    lossy = two_mode_squeezed(0.5).after_loss(0.675).covariance()
    assert -np.log(least_transposed(lossy)) == pytest.approx(0.5563, abs=1e-4)
    # <a b> = -sinh cosh squeezes x1 + x2 and p1 - p2
    assert duan(two_mode_squeezed(0.5, np.pi).covariance()) == pytest.approx(2 * np.exp(-1.0))


def test_phase_turns_change_the_duan_sum_only():
    states = [two_mode_squeezed(0.5, phase).covariance() for phase in (np.pi, 0.4)]
    assert duan(states[0]) < 2 < duan(states[1])
    assert least_transposed(states[0]) == pytest.approx(least_transposed(states[1]))


def test_loss_is_a_beam_splitter():
    v = random_state(2, 5)
    lossy = Moments.of_covariance(v).after_loss(0.3).covariance()
    np.testing.assert_allclose(lossy, 0.3 * v + 0.7 * np.eye(len(v)), atol=1e-12)


def test_jitter_is_the_mean_over_a_common_phase():
    moments = Moments.of_covariance(random_state(2, 7))
    s = 0.25
    nodes, weights = np.polynomial.hermite_e.hermegauss(40)
    mean = sum(
        w * Moments(moments.number, np.exp(2j * s * x) * moments.squeezing).covariance()
        for x, w in zip(nodes, weights / weights.sum(), strict=True)
    )
    np.testing.assert_allclose(moments.after_jitter(s).covariance(), mean, atol=1e-12)


def test_tracing_out_modes_raises_the_smallest_value():
    v = random_state(2, 3)
    moments = Moments.of_covariance(v)
    rows = np.array([1, 3])
    reduced = moments.only(rows).covariance()
    np.testing.assert_allclose(reduced, v[np.ix_([1, 3, 6, 8], [1, 3, 6, 8])], atol=1e-12)
    flip = np.diag([1] * 5 + [1, -1, 1, 1, 1])
    whole = np.abs(np.linalg.eigvals(1j * form(5) @ flip @ v @ flip)).min()
    assert least_transposed(reduced) >= whole - 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_collective_mode_has_the_variance_of_the_weighted_sum(seed):
    v = random_state(2, seed)
    rng = np.random.default_rng(seed)
    w = rng.normal(size=5) + 1j * rng.normal(size=5)
    w /= np.linalg.norm(w)
    number, squeezing = Moments.of_covariance(v).collective(w)
    # a local oscillator w_k = |w_k| e^{i theta_k} weighs x_k cos(theta_k) + p_k sin(theta_k)
    direction = np.concatenate([w.real, w.imag])
    assert 1 + 2 * number + 2 * squeezing.real == pytest.approx(direction @ v @ direction)
