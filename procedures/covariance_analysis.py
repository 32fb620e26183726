"""From the rows of a covariance sweep to its results; works on stored data alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from labctl.analysis.gaussian import (
    Certificate,
    Reconstruction,
    align_phases,
    bipartitions,
    certify_inseparability,
    covariance_from_variances,
    displacement_qfi_gradients,
    nearest_physical,
    nullifier_direction,
    ppt_gradient,
    ppt_values,
    quadrature_direction,
    reduced,
)
from labctl.errors import RequestError
from labctl.procedure import RunData
from procedures.homodyne import dark_power, db_error, noise_over_shot, repeated, to_db

#: Sets of modes, consecutive in the order -6, 6, -7, 7, ..., for which all bipartitions are shown.
SETS, SET_SIZE = 6, 12
#: Settings of a pair that is measured again: three of each mode, four of both.
BLOCK = 10


@dataclass(frozen=True)
class Sweep:
    """What a covariance sweep was meant to measure."""

    modes: tuple[int, ...]  # ascending
    order: tuple[int, ...]  # the same modes along the graph, for sets of neighbours
    connected: tuple[tuple[int, int], ...]  # pairs of mode numbers that the pumps connect
    sums: tuple[int, ...]
    weight: float  # of the neighbours in a nullifier
    settings: int

    def place(self, mode: int) -> int:
        return self.modes.index(mode)

    def partners(self, mode: int) -> list[int | None]:
        """Mode numbers -mode + s for each sum s, None where that is not measured."""
        return [s - mode if s - mode in self.modes and s != 2 * mode else None for s in self.sums]


def analyse_sweep(data: RunData, sweep: Sweep) -> dict[str, Any]:
    """All results and derived arrays of a covariance sweep."""
    made, angles, (drift, most) = reconstruct(data, sweep)
    measured = made.whole
    state = nearest_physical(measured.covariance)
    # A random walk of N steps lies, in the mean square, sqrt(N / 3) steps from where it began.
    common = common_drift(measured.covariance, most * math.sqrt(len(sweep.modes) / 3))
    results: dict[str, Any] = {
        "modes": len(sweep.modes),
        "settings": sweep.settings,
        "repeated": repeated(data),
        "drift": 100.0 * drift,
        **squeezing(measured, common, sweep),
        **inseparability(made, common, state, sweep),
    }
    gradient, bound_gradient = displacement_qfi_gradients(state)
    for name, slope in (("qfi", gradient), ("qfi_bound", bound_gradient)):
        # Both are homogeneous of degree -1 in V, so their value is -sum(slope * V).
        results[name] = (-float(np.sum(slope * state)), _error(measured, common, slope))
    return results | {
        "mode_numbers": np.array(sweep.modes),
        "covariance": measured.covariance,
        "covariance_error": measured.error,
        "covariance_physical": state,
        "phase_rotation": angles,
    }


def reconstruct(data: RunData, sweep: Sweep) -> tuple[Measured, np.ndarray, tuple[float, float]]:
    """Covariance matrix with aligned phases, the angle (rad) each mode was rotated by, drift.

    The drift is that of `drift_per_mode`; its best value is in the errors of the variances.
    """
    kinds = np.asarray(data["kind"])
    light = np.flatnonzero((kinds != "dark") & (kinds != "scan"))
    if len(light) < sweep.settings or "dark" not in kinds:
        raise RequestError(
            f"the sweep has {len(light)} of {sweep.settings} settings; resume it first"
        )
    signal, shot = data["signal (mW)"], data["shot (mW)"]
    signal_error, shot_error = data["signal error (mW)"], data["shot error (mW)"]
    dark, dark_error = dark_power(kinds, (signal, shot), (signal_error, shot_error))
    variance, error = noise_over_shot(
        signal[light], signal_error[light], shot[light], shot_error[light], dark, dark_error
    )
    first = np.array([sweep.place(int(k)) for k in data["mode i"][light]])
    second = np.array([sweep.place(int(k)) for k in data["mode j"][light]])
    alone = first == second
    base = np.arange(len(light)) < sweep.settings  # the others were measured again
    once = alone & base
    # The shot noise of single lines tells how strong each line of the local oscillator is.
    power = np.bincount(first[once], (shot[light] - dark)[once]) / np.bincount(first[once])
    amplitude = np.sqrt(power / power.mean())
    drift = drift_per_mode(variance[once], error[once], first[once])
    error = np.hypot(error, drift[0] * np.maximum(variance - 1.0, 0.0))
    # Phases count from those at which the sweep took x of each mode: close to alignment already.
    rows = np.flatnonzero(base & (kinds[light] == "x"))
    frame = np.zeros(len(sweep.modes))
    frame[first[rows]] = data["angle i (rad)"][light][rows]
    rows = np.arange(len(first))
    weights = np.zeros((len(first), len(sweep.modes)))
    phases = np.zeros_like(weights)
    for place, angle in ((first, "angle i (rad)"), (second, "angle j (rad)")):
        weights[rows, place] = amplitude[place]
        phases[rows, place] = data[angle][light] - frame[place]
    directions = quadrature_direction(weights[base], phases[base])
    raw = covariance_from_variances(directions, variance[base], error[base])
    pairs = [(sweep.place(i), sweep.place(j)) for i, j in sweep.connected]
    _, angles = align_phases(raw.covariance, pairs)
    directions = quadrature_direction(weights, phases + np.where(weights > 0, angles, 0.0))
    found = covariance_from_variances(directions[base], variance[base], error[base])
    measured = Measured(found, found, 0)
    if not base.all():
        measured = with_blocks(found, directions, variance, error, alone, sweep.settings)
    return measured, angles - frame, drift


@dataclass(frozen=True)
class Measured:
    """The covariance matrix from all settings, and from those of the sweep without repetitions."""

    whole: Reconstruction
    sweep: Reconstruction
    blocks: int  # pairs that were measured again, `BLOCK` settings each


def with_blocks(
    sweep: Reconstruction,
    directions: np.ndarray,
    variance: np.ndarray,
    error: np.ndarray,
    alone: np.ndarray,
    settings: int,
) -> Measured:
    """The matrix of a sweep with the blocks of settings measured again later.

    Until then the laser has drifted. By how much that changed the light, the settings of single
    modes in a block tell; those of both modes together are corrected for it and then count like
    those of the sweep. What is common to all elements cannot be averaged away by a few of them.
    """
    pattern = common_drift(sweep.covariance, 1.0)
    expected = np.einsum("si,ij,sj->s", directions, sweep.covariance, directions)
    drifted = np.einsum("si,ij,sj->s", directions, pattern, directions)
    chosen = [np.arange(settings)]
    corrected, sigma = variance.copy(), error.copy()
    blocks = (len(variance) - settings) // BLOCK  # an incomplete one does not count
    for start in range(settings, settings + blocks * BLOCK, BLOCK):
        rows = np.arange(start, start + BLOCK)
        single, both = rows[alone[rows]], rows[~alone[rows]]
        weight = drifted[single] / error[single] ** 2
        power = float(np.sum(weight * drifted[single]))
        change = float(np.sum(weight * (variance - expected)[single])) / power if power else 0.0
        corrected[both] -= change * drifted[both]
        if power:
            sigma[both] = np.hypot(error[both], drifted[both] / math.sqrt(power))
        chosen.append(both)
    rows = np.concatenate(chosen)
    whole = covariance_from_variances(directions[rows], corrected[rows], sigma[rows])
    return Measured(whole, sweep, blocks)


def weakest_pair(data: RunData, sweep: Sweep) -> tuple[tuple[int, int], float]:
    """The pair of modes that the certificate depends on most, and the error of its PPT value.

    Of all pairs that the proof stands on, the one that may lie highest. The error is that of the
    measured variances, without what drifts of the laser do to all pairs alike.
    """
    measured, _, _ = reconstruct(data, sweep)
    found = certify_inseparability(measured.whole.covariance, measured.whole, largest=2)
    if not found.subsets:
        return sweep.connected[0], math.inf
    limits = np.array(found.values) + found.margin * np.array(found.errors)
    place = int(np.argmax(limits))
    first, second = (sweep.modes[mode] for mode in found.subsets[place])
    return (first, second), found.errors[place]


def drift_per_mode(
    variance: np.ndarray, error: np.ndarray, mode: np.ndarray
) -> tuple[float, float]:
    """Relative change of the excess noise from one mode to the next measured, by drifts alone.

    The excess noise is smooth in the mode number, on either side of the pumps. What its second
    differences show beyond the statistical errors is a drift of the laser. On one side, modes
    follow each other in two steps of the sweep; a random walk of s per step then gives
    ((a - b) - (b - c)) / 2 the variance s^2. A pair is measured about one step after its modes, so
    s says how badly they fit together; squeezed noise hardly depends on the detuning.

    The second number is what s may be at most, by one standard error of s^2.
    """
    scatter, noise = [0.0], [0.0]
    for side in (mode[mode < mode.mean()], mode[mode > mode.mean()]):
        order = np.unique(side)
        excess = np.array([variance[mode == k].mean() - 1.0 for k in order])
        squares = np.array([np.sum(error[mode == k] ** 2) / np.sum(mode == k) ** 2 for k in order])
        if len(order) < 3 or not (excess > 3.0 * np.sqrt(squares)).all():
            return 0.0, 0.0  # too little light from the ring to tell
        scatter.extend(np.diff(np.log(excess), 2) ** 2 / 4.0)
        noise.extend(squares / excess**2)
    square = max(0.0, float(np.mean(scatter[1:]) - 1.5 * np.mean(noise[1:])))
    spread = float(np.std(scatter[1:])) / math.sqrt(len(scatter) - 1)
    return math.sqrt(square), math.sqrt(square + spread)


def common_drift(cov: np.ndarray, change: float) -> np.ndarray:
    """How the matrix differs if all noise above the vacuum is larger by the fraction `change`.

    Light of n photons per mode, made in pairs, has correlations |m|^2 = n (n + 1), so these grow by
    the fraction (2n + 1) / (2n + 2) of the change.
    """
    noise = np.diag(cov) - 1.0
    photons = np.maximum(noise[:, None] + noise, 0.0) / 4.0
    share = (2.0 * photons + 1.0) / (2.0 * photons + 2.0)
    np.fill_diagonal(share, 1.0)
    return np.asarray(change * share * (cov - np.eye(len(cov))))


def _error(
    measured: Reconstruction,
    common: np.ndarray,
    gradient: np.ndarray,
    modes: list[int] | None = None,
) -> float:
    """Standard error of a result, from its derivative: of what was measured, and common drift."""
    drifted = common if modes is None else reduced(common, modes)
    own = float(measured.uncertainty(gradient, modes))
    return math.hypot(own, float(np.sum(gradient * drifted)))


def squeezing(measured: Reconstruction, common: np.ndarray, sweep: Sweep) -> dict[str, Any]:
    """Squeezing (dB below shot noise) of all nullifiers and pairs, and the best of each.

    The drift that is common to all is in every error, but not in the comparison between them.
    """
    modes = len(sweep.modes)
    cov = measured.covariance
    nullifiers, pairs = [], []
    for place, mode in enumerate(sweep.modes):
        partners = [None if k is None else sweep.place(k) for k in sweep.partners(mode)]
        known = [partner for partner in partners if partner is not None]
        nullifiers.append(nullifier_direction(modes, place, known, sweep.weight))
        for partner in partners:
            alone = np.zeros(2 * modes)
            if partner is not None:
                alone = nullifier_direction(modes, place, [partner], 1.0)
            pairs.append(alone)
    out: dict[str, Any] = {}
    for name, directions in (("nullifier", np.array(nullifiers)), ("two_mode", np.array(pairs))):
        variance = np.einsum("ki,ij,kj->k", directions, cov, directions)
        outer = directions[:, :, None] * directions[:, None, :]
        drifted = np.einsum("kij,ij->k", outer, common)
        with np.errstate(divide="ignore", invalid="ignore"):
            own = db_error(variance, measured.uncertainty(outer))
            table = np.stack([-to_db(variance), np.hypot(own, db_error(variance, drifted))], -1)
        table[~directions.any(axis=1)] = np.nan  # no such partner
        there = np.flatnonzero(np.isfinite(table[:, 0]))
        bias = selection_bias(table[there, 0], own[there])
        best = there[int(np.argmax(table[there, 0]))]
        out[name] = (float(table[best, 0]) - bias, float(table[best, 1]))
        out[f"{name}_bias"] = bias
        shape = (modes, -1, 2) if name == "two_mode" else (modes, 2)
        out[f"{name}_db"] = table.reshape(shape)
    return out


def inseparability(
    made: Measured, common: np.ndarray, state: np.ndarray, sweep: Sweep
) -> dict[str, Any]:
    """PPT values of the sets of twelve, and the certificate for all modes."""
    measured = made.whole
    starts = np.rint(np.linspace(0, len(sweep.order) - SET_SIZE, SETS)).astype(int)
    sets = np.array([sweep.order[start : start + SET_SIZE] for start in starts])
    places = np.array([[sweep.place(k) for k in members] for members in sets])
    values = np.array([ppt_values(reduced(state, members.tolist())) for members in places])
    worst, row = np.unravel_index(int(np.argmax(values)), values.shape)
    members = places[worst].tolist()
    slope = ppt_gradient(reduced(state, members), bipartitions(SET_SIZE)[row])
    found = certify_inseparability(measured.covariance, measured)
    tree = [
        (*(sweep.modes[place] for place in subset), value, error)
        for subset, value, error in zip(found.subsets, found.values, found.errors, strict=True)
        if len(subset) == 2
    ]
    return {
        "ppt_max": (float(values[worst, row]), _error(measured, common, slope, members)),
        "ppt_bottleneck": _bottleneck(found, common, state),
        "completely_inseparable": found.holds,
        **repetition(made, found, state, sweep),
        "ppt": values,
        "ppt_sets": sets,
        "certificate": np.array(tree).reshape(-1, 4),  # mode, mode, PPT value, error
    }


def repetition(
    made: Measured, found: Certificate, state: np.ndarray, sweep: Sweep
) -> dict[str, Any]:
    """What settings that were measured again did to the error of the bottleneck."""
    results: dict[str, Any] = {"blocks": made.blocks}
    if math.isfinite(found.bottleneck):
        members = list(found.subsets[found.values.index(found.bottleneck)])
        part = reduced(state, members)
        slope = ppt_gradient(part, bipartitions(len(members))[int(np.argmax(ppt_values(part)))])
        before, after = (
            float(source.uncertainty(slope, members)) for source in (made.sweep, made.whole)
        )
        results["bottleneck_statistical"] = after
        if made.blocks:
            more = made.blocks * BLOCK / sweep.settings  # in lengths of the sweep
            results["adaptive_gain"] = ((before / after) ** 2 - 1.0) / more
    return results


def _bottleneck(found: Certificate, common: np.ndarray, state: np.ndarray) -> Any:
    if not math.isfinite(found.bottleneck):
        # The measured pairs do not connect all modes: take the unmeasured ones as uncorrelated.
        return certify_inseparability(state, largest=2).bottleneck
    members = list(found.subsets[found.values.index(found.bottleneck)])
    part = reduced(state, members)
    party = bipartitions(len(members))[int(np.argmax(ppt_values(part)))]
    drifted = float(np.sum(ppt_gradient(part, party) * reduced(common, members)))
    return found.bottleneck, math.hypot(found.bottleneck_error, drifted)


def selection_bias(values: np.ndarray, errors: np.ndarray, draws: int = 4000) -> float:
    """By how much the largest of noisy values lies too high on average (parametric bootstrap).

    The values first shrink towards their mean by the part of their spread that is noise, so that
    the draws scatter around what the true values may be.
    """
    spread, noise = float(np.var(values)), float(np.mean(errors**2))
    keep = math.sqrt(max(0.0, 1.0 - noise / spread)) if spread > 0 else 0.0
    centre = values.mean() + keep * (values - values.mean())
    rng = np.random.default_rng(0)
    drawn = centre + errors * rng.standard_normal((draws, len(values)))
    best = np.argmax(drawn, axis=1)
    return float(np.mean(drawn[np.arange(draws), best] - centre[best]))
