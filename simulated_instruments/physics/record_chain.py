"""Successive samples of a linear stochastic system, by its exact discrete update.

u -> Phi u + w, cov(w) = C - Phi C Phi^T, from the steady state on (instrument_dynamics, section 0).
All steps of a record are done at once: after the k-th doubling, sample n holds the noise of the
2^k steps before it, so that a record needs log2 of as many products as a sample remembers steps.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.physics.noise import LinearSystem

Floats = NDArray[np.float32]

#: What is left of a state below which it is forgotten: the converter resolves 1e-4.
FORGOTTEN = 1e-7


class RecordChain:
    """Draws records of `watched` variables of a system, `dt` apart, starting in the steady state.

    Args:
        system: drift and diffusion; the unit of time is the caller's.
        dt: time between samples.
        watched: number of variables, from the end, that are recorded.
    """

    def __init__(self, system: LinearSystem, dt: float, watched: int) -> None:
        phi, _, _ = system.step(dt)
        self._watched = watched
        self._start = _root(system.stationary()).astype(np.float32)
        self._kick = system.noise_root(dt).astype(np.float32)
        self._powers = [phi]
        while np.abs(self._powers[-1][-watched:]).max() > FORGOTTEN and len(self._powers) < 40:
            self._powers.append(self._powers[-1] @ self._powers[-1])
        self._steps = [power.T.astype(np.float32) for power in self._powers]

    def draw(self, count: int, rng: np.random.Generator) -> Floats:
        """`count` successive samples, one per row."""
        normals = rng.standard_normal((count, len(self._kick)), dtype=np.float32)
        states = normals @ self._kick.T
        states[0] = self._start @ normals[0]
        reach = 1
        for step in self._steps:
            if reach >= count:
                break
            states[reach:] += states[:-reach] @ step
            reach *= 2
        return states[:, -self._watched :]


def _root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 0.0)))
