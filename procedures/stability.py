"""What fluctuations of the laser do to results: measured once on purpose, counted in every error.

Two measurements of one quantity see different states: the power of the laser fluctuates, and its
frequency drift leaves a small change of the detuning. Some quadratures are therefore measured
again with less pump, and again with the detuning shifted; what that changes, times how stable the
laser is, is part of the errors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from labctl.parameters import number
from procedures.graphs import Graph
from procedures.homodyne import HomodyneMeasurement, to_db

NOMINAL, WEAKER, ABOVE, BELOW = "nominal", "weaker", "above", "below"
DISTURBED = (WEAKER, ABOVE, BELOW)
#: By how much the pumps are weaker (dB), and the detuning larger or smaller (MHz).
PUMP_STEP, DETUNING_STEP = 0.2, 0.6


class StabilityMeasurement(HomodyneMeasurement):
    """A homodyne measurement that also measures how its results follow the laser."""

    power_noise: float = number(
        "Power noise", 0.2, unit="%", minimum=0, maximum=20,
        meaning="rms power fluctuation of the laser, from its data sheet",
    )  # fmt: skip
    detuning_noise: float = number(
        "Detuning noise", 0.2, unit="MHz", minimum=0, maximum=1000,
        meaning="rms by which the detuning differs from what is set",
    )  # fmt: skip
    detuning_drift: float = number(
        "Detuning drift", 0.6, unit="MHz", minimum=0, maximum=1000,
        meaning="rms drift of the detuning within an hour, in proportion to the root of time",
    )  # fmt: skip

    _shift = 0.0  # V, of the piezo from the operating point

    def disturb(self, state: str, graph: Graph) -> None:
        """Go to the operating point `state`."""
        weaker = 10 ** (-PUMP_STEP / 10) if state == WEAKER else 1.0
        self.pump_lines = tuple((line, share * weaker, phase) for line, share, phase in graph.lines)
        shift = {ABOVE: -1.0, BELOW: 1.0}.get(state, 0.0) * DETUNING_STEP / self.piezo_pull
        if shift != self._shift:
            self.laser.piezo_voltage = self.operating_piezo + shift
            self._shift = shift


@dataclass(frozen=True)
class Response:
    """How levels (dB) follow the laser: numbers, or arrays of them.

    A detuning that is larger by u changes a level by `slope` u + `bend` u^2, weaker pumps by
    `weaker`; u counts in `DETUNING_STEP`, pumps in `PUMP_STEP`.
    """

    weaker: Any
    slope: Any
    bend: Any

    def moved(self, seconds: Any, parameters: Mapping[str, Any]) -> np.ndarray:
        """What three fluctuations of the laser do to levels (dB), `seconds` after it was tuned.

        One has more power by its rms, two have the detuning off by its rms to either side: not
        further, because a level far off resonance does not follow a parabola.
        """
        power = float(to_db(1.0 + parameters["power_noise"] / 100.0)) / PUMP_STEP
        drift = parameters["detuning_drift"] ** 2 * np.asarray(seconds) / 3600.0
        u = np.sqrt(parameters["detuning_noise"] ** 2 + drift) / DETUNING_STEP
        rise = -power * self.weaker + 0.0 * u
        return np.array([rise, *(side * self.slope * u + self.bend * u**2 for side in (1, -1))])

    @property
    def turns(self) -> bool:
        """Whether a level is at its turning point over the detuning, within one `DETUNING_STEP`.

        There is one between those that rise with the detuning and those that fall.
        """
        near = np.abs(self.slope) <= 2.0 * np.abs(self.bend)
        return bool(np.any(near) or np.min(self.slope) < 0.0 < np.max(self.slope))


def spread(moved: np.ndarray) -> Any:
    """Standard error (dB) from what the three fluctuations of `Response.moved` change."""
    return np.sqrt(moved[0] ** 2 + (moved[1] ** 2 + moved[2] ** 2) / 2.0)


def response(levels: Mapping[str, tuple[float, float]]) -> Response:
    """How one level follows the laser, from it and its standard error (dB) in each state.

    What is not larger than its error counts less: two noisy levels always differ.
    """
    centre = levels[NOMINAL]
    change = {state: levels[state][0] - centre[0] for state in DISTURBED}
    noise = {state: levels[state][1] ** 2 for state in levels}
    sides = (noise[ABOVE] + noise[BELOW]) / 4.0
    return Response(
        _shrunk(change[WEAKER], noise[WEAKER] + noise[NOMINAL]),
        _shrunk((change[ABOVE] - change[BELOW]) / 2.0, sides),
        _shrunk((change[ABOVE] + change[BELOW]) / 2.0, sides + noise[NOMINAL]),
    )


def interpolated(places: np.ndarray, known: Mapping[float, Response]) -> Response:
    """The responses of levels at `places`, between those where they are known."""
    at = np.array(sorted(known))
    return Response(
        *(
            np.interp(places, at, [getattr(known[place], field.name) for place in at.tolist()])
            for field in fields(Response)
        )
    )


def _shrunk(value: float, noise: float) -> float:
    return math.copysign(math.sqrt(max(value**2 - noise, 0.0)), value)
