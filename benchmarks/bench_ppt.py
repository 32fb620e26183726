"""PPT values of six sets of twelve modes (12282 bipartitions): ours, a plain loop, a peer.

Run with `python benchmarks/bench_ppt.py`. The peer is thewalrus; it has no partial transpose, so
that is applied outside before its symplectic eigenvalues are asked for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import numpy as np

from labctl.analysis.gaussian import bipartitions, ppt_values

MODES, SETS = 12, 6


def lossy_state(seed: int) -> np.ndarray:
    """Squeezed modes behind a random interferometer, 32 % loss."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(MODES, MODES)) + 1j * rng.normal(size=(MODES, MODES))
    unitary, _ = np.linalg.qr(raw)
    passive = np.block([[unitary.real, -unitary.imag], [unitary.imag, unitary.real]])
    r = rng.uniform(0.2, 0.6, MODES)
    pure = passive @ np.diag(np.exp(2 * np.concatenate([-r, r]))) @ passive.T
    return 0.68 * pure + 0.32 * np.eye(2 * MODES)


def direct(cov: np.ndarray) -> np.ndarray:
    """One eigenvalue problem of i Omega P V P per bipartition."""
    zero, one = np.zeros((MODES, MODES)), np.eye(MODES)
    omega = np.block([[zero, one], [-one, zero]])
    out = []
    for party in bipartitions(MODES):
        flip = np.concatenate([np.ones(MODES), np.where(party, -1.0, 1.0)])
        out.append(np.abs(np.linalg.eigvals(1j * omega @ (flip[:, None] * cov * flip))).min())
    return np.array(out)


def peer(cov: np.ndarray) -> np.ndarray:
    """thewalrus, vacuum variance hbar / 2 with hbar = 2."""
    from thewalrus.decompositions import symplectic_eigenvals

    out = []
    for party in bipartitions(MODES):
        flip = np.concatenate([np.ones(MODES), np.where(party, -1.0, 1.0)])
        out.append(np.min(symplectic_eigenvals(flip[:, None] * cov * flip)))
    return np.array(out)


def timed(function: Callable[[np.ndarray], np.ndarray], states: list[np.ndarray], rounds: int):
    best, result = np.inf, np.empty(0)
    for _ in range(rounds):
        start = time.perf_counter()
        result = np.concatenate([function(state) for state in states])
        best = min(best, time.perf_counter() - start)
    return best, result


def main() -> None:
    states = [lossy_state(seed) for seed in range(SETS)]
    ours, values = timed(ppt_values, states, 5)
    loop, reference = timed(direct, states, 1)
    report = {
        "bipartitions": len(values),
        "ours_s": round(ours, 4),
        "loop_s": round(loop, 3),
        "loop_over_ours": round(loop / ours, 1),
        "largest_difference_to_loop": float(np.abs(values - reference).max()),
        "goal_s": 0.3,
    }
    try:
        theirs, other = timed(peer, states, 1)
        report["peer_s"] = round(theirs, 3)
        report["peer_over_ours"] = round(theirs / ours, 1)
        report["largest_difference_to_peer"] = float(np.abs(values - other).max())
    except ImportError:
        report["peer_s"] = "thewalrus is not installed"
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
