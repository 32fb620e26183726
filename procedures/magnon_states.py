"""From recorded moments and sweeps to output states, and to what they mean inside the cavities."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from labctl.analysis.gaussian import is_physical
from labctl.analysis.heterodyne import Estimate, Loads, Moments, estimate, moments
from labctl.analysis.inference import Inferred, infer
from labctl.analysis.magnomechanics import Device, covariance, signed_negativity
from labctl.errors import RequestError
from labctl.procedure import RunData
from procedures.magnon_setup import FITTED

#: Standard errors (MHz) that are added to those of a fit: between sweep and records the field
#: drifts by 3e-7 and the source's level by 0.005 dB; a sweep's points are not quite independent.
DRIFT = {
    "detuning_1": 3e-4, "detuning_2": 3e-4, "detuning_m": 2e-3, "kappa_1": 2e-4, "kappa_2": 2e-4,
    "kappa_m": 2e-4, "g_1": 2e-4, "g_2": 2e-4, "coupling": 1e-3,
}  # fmt: skip
#: Relative standard error of the phonon's damping, which is taken from elsewhere.
DAMPING_ERROR = 0.05
#: Part of the stage's temperature that the thermometer's error is, plus this (mK).
LEAST_TEMPERATURE_ERROR = 0.02
#: Interleaved quadratures (X1, Y1, X2, Y2) to (X1, X2, Y1, Y2).
BLOCKED = (0, 2, 1, 3)
#: A measured matrix may be outside the physical ones by noise: by so many standard errors.
PHYSICAL_SIGMAS = 3.0


@dataclass(frozen=True)
class State:
    """One working point: the output state and what it says about the inside."""

    device: Device  # by spectroscopy
    estimate: Estimate
    inferred: Inferred
    temperature: float  # mK
    records: float
    physical: bool


def _summed(data: RunData, rows: np.ndarray, which: int) -> Moments:
    """Moments of all these rows together; 0 or 1: cold and hot, or off and on."""
    total = np.zeros((9, 4))
    count = 0.0
    for row in rows.tolist():
        total += np.asarray(data.trace("moments", row))[which]
        count += float(data["records"][row])
    return moments(total[0], total[1:5], total[5:9], count)


def load_moments(data: RunData) -> tuple[Moments, Moments, float, float]:
    """Cold and hot moments, and the temperatures (mK) of stage and load meanwhile.

    Raises:
        RequestError: the run has none yet.
    """
    rows = np.flatnonzero(np.asarray(data["kind"]) == "loads")
    if not len(rows):
        raise RequestError("this run lacks the calibration loads; resume it first")
    stage, load = (float(np.mean(data[name][rows].astype(float)))
                   for name in ("stage (mK)", "load (mK)"))  # fmt: skip
    return _summed(data, rows, 0), _summed(data, rows, 1), stage, load


def fitted_device(data: RunData, row: int, like: Device) -> tuple[Device, dict[str, float]]:
    """The device that a sweep found, with standard errors of its fields."""
    values = {name: float(data[column][row]) for name, column in FITTED.items()}
    covariance = np.asarray(data.trace("fit covariance", row))
    scatter = dict(zip(FITTED, np.sqrt(np.diag(covariance)).tolist(), strict=True))
    errors = {name: float(np.hypot(scatter[name], DRIFT[name])) for name in FITTED}
    return like.with_(**values), errors


def negativity_inside(device: Device) -> float:
    """E_N of the fields inside the cavities, below 0 where there is none."""
    return float(signed_negativity(covariance(device)[:4, :4]))


def by_sweep(
    wanted: Callable[[Device], float], device: Device, fit: np.ndarray
) -> tuple[float, float]:
    """What a swept device means, with the standard error that its fit and drifts give.

    Args:
        wanted: a number of a device.
        device: as it was fitted.
        fit: covariance of the fitted fields, in the order of `FITTED`.
    """
    whole = fit + np.diag([DRIFT[name] ** 2 for name in FITTED])
    slope = []
    for name, sigma in zip(FITTED, np.sqrt(np.diag(whole)).tolist(), strict=True):
        here = float(getattr(device, name))
        up, down = (wanted(device.with_(**{name: here + step})) for step in (sigma, -sigma))
        slope.append((up - down) / (2.0 * sigma))
    gradient = np.array(slope)
    return wanted(device), float(np.sqrt(gradient @ whole @ gradient))


def states(data: RunData, like: Device) -> dict[int, State]:
    """All working points with a check and records, by place.

    Raises:
        RequestError: loads or states are missing, or nonsense.
    """
    kinds, places = np.asarray(data["kind"]), data["place"].astype(int)
    cold, hot, cold_mk, hot_mk = load_moments(data)
    taken = data["records"].astype(float)
    found = {}
    for place in sorted(set(places[kinds == "state"].tolist())):
        rows = np.flatnonzero((kinds == "state") & (places == place) & (taken > 0))
        if not len(rows):  # refused when the device turned out to be unstable there
            continue
        swept = np.isfinite(data[FITTED["coupling"]].astype(float))
        checks = np.flatnonzero(swept & (places == place))
        if not len(checks):
            raise RequestError(f"this run lacks the sweep at working point {place}; resume it")
        found[place] = one_state(data, rows, int(checks[-1]), like, (cold, hot, cold_mk, hot_mk))
    if not found:
        raise RequestError("this run lacks records of a working point; resume it first")
    return found


def one_state(
    data: RunData, rows: np.ndarray, check: int, like: Device,
    loads: tuple[Moments, Moments, float, float],
) -> State:  # fmt: skip
    """The state that these rows of records show."""
    measured, stage = output_state(data, rows, loads)
    parameters = data.parameters
    device, errors = fitted_device(data, check, like)
    device = device.with_(temperature=stage)
    errors["temperature"] = float(
        np.hypot(parameters["stage_accuracy"] / 100.0 * stage, LEAST_TEMPERATURE_ERROR)
    )
    errors["damping"] = DAMPING_ERROR * float(device.damping)
    try:
        inside = infer(measured, device, errors, parameters["bandwidth"], parameters["sideband"])
    except ValueError as error:
        raise RequestError(f"working point {check}: {error}") from None
    count = float(np.sum(data["records"][rows].astype(float)))
    return State(device, measured, inside, stage, count, physical(measured))


def output_state(
    data: RunData, rows: np.ndarray, loads: tuple[Moments, Moments, float, float]
) -> tuple[Estimate, float]:
    """The output state that these rows of records show, and the stage's temperature (mK).

    Raises:
        RequestError: the loads do not tell gain from noise.
    """
    cold, hot, cold_mk, hot_mk = loads
    parameters = data.parameters
    stage = float(np.mean(data["stage (mK)"][rows].astype(float)))
    accuracy = parameters["stage_accuracy"] / 100.0
    known = Loads(
        frequency=parameters["drive_frequency"], cold=cold_mk, hot=hot_mk, stage=stage,
        cold_error=accuracy, hot_error=parameters["load_accuracy"] / 100.0, stage_error=accuracy,
    )  # fmt: skip
    try:
        made = estimate(_summed(data, rows, 1), _summed(data, rows, 0), hot, cold, known)
    except ValueError as error:
        raise RequestError(str(error)) from None
    return made, stage


def physical(measured: Estimate) -> bool:
    """Whether the measured matrix is that of a quantum state, within its errors."""
    order = np.ix_(BLOCKED, BLOCKED)
    worst = float(np.max(measured.errors))
    return is_physical(2.0 * measured.covariance[order], tolerance=2.0 * PHYSICAL_SIGMAS * worst)


def total(parts: tuple[float, float, float]) -> tuple[float, float]:
    """A value with its whole error, of value, statistical and systematic error."""
    return parts[0], float(np.hypot(parts[1], parts[2]))


def device_like(parameters: Mapping[str, Any]) -> Device:
    """What the parameters say about all that sweeps do not tell."""
    return Device(
        magnon=parameters["drive_frequency"] + parameters["magnon_detuning"],
        phonon=parameters["phonon"],
        damping=parameters["phonon_damping"],
    )
