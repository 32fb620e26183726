"""A chip on a Peltier element: thermal mass, sensor, PI controller and ambient, exactly.

    tau dT = (-T + T_a + K I + heat) dt         the chip
    tau_s dT_s = (T - T_s) dt                   its thermistor
    dz = (r - T_s - n) dt                       what the controller sums up
    I = kp (r - T_s - n) + ki z - kp td dT_s/dt within +-limit; z rests at the limit
    T_a: mean + Ornstein-Uhlenbeck; n: white; r: the set point, reached with a ramp

Between commands the system is linear in pieces that end where the ramp arrives or the current
meets its limit. Within a piece the state is the matrix exponential of its begin plus noise that
is a function of time, so nothing depends on when or how often anyone looks. Whether the current
is at its limit follows from the expected state, without the noise of the piece (0.5 mA).

Source: linear system with noise (Van Loan), see `noise.LinearSystem` and `linear_noise`.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.physics.linear_noise import LinearNoise
from simulated_instruments.physics.noise import LinearSystem, White

Floats = NDArray[np.float64]

CHIP, SENSOR, SUM, AMBIENT, NOMINAL, ONE = range(6)  # places in the extended state

LOOK_AHEAD = 600.0  # s after which a piece is looked at anew
RESTING = 1e-4  # K/s
FINE, COARSE = 0.02, 0.25  # s between looks at the current, in the first 5 s and later
SHORTEST = 1e-3  # s that a piece lasts, unless the ramp arrives
BACK = 0.995  # of the limit, at which the controller leaves it again
TICK = 0.1  # s between readings of the sensor
MOST_READINGS = 50  # that are looked at for the stable flag
PIECES = 500  # of the past that are kept


@dataclass(frozen=True)
class Plant:
    """What the controller is bolted to. The defaults are a microring chip on a small mount."""

    tau: float = 25.0  # s, chip and mount
    kelvin_per_ampere: float = 20.0
    tau_sensor: float = 0.8  # s
    ambient: float = 25.0  # degC, mean
    ambient_std: float = 0.1  # K
    ambient_tau: float = 1800.0  # s
    reading_rms: float = 2e-4  # K, of a sensor reading
    tick: float = TICK  # s between sensor readings: the noise density is reading_rms^2 tick


@dataclass(frozen=True)
class Control:
    """What the controller was told: `regulating`, or else a constant current (0: off)."""

    regulating: bool = False
    current: float = 0.0  # A, when not regulating
    target: float = 25.0  # degC
    ramp: float = math.inf  # K/s
    kp: float = 0.5  # A/K
    ki: float = 0.05  # A/(K s)
    td: float = 0.0  # s
    limit: float = 1.5  # A
    heat: float = 0.0  # K that a load, such as absorbed light, adds without control


@dataclass
class _Piece:
    """One linear stretch of time."""

    begun: float
    ends: float
    side: int  # 0: as told; +1, -1: at the limit of the current
    control: Control
    drift: Floats  # of the extended state
    noise: LinearNoise
    noisy: list[int]  # places of the extended state that have noise
    start: Floats  # extended state at `begun`, minus the noise there
    arrives: bool  # whether the ramp arrives at `ends`
    latest: tuple[float, Floats] | None = None  # what was asked for last

    def at(self, t: float) -> Floats:
        """Extended state at time `t` (s)."""
        if self.latest is None or self.latest[0] != t:
            self.latest = t, self.many(np.array([t]))[0]
        return self.latest[1].copy()

    def many(self, times: Floats) -> Floats:
        """Extended states at times (s), one row each."""
        from scipy.linalg import expm

        forward = expm(self.drift * (times - self.begun)[:, None, None])
        states: Floats = forward @ self.start
        states[:, self.noisy] += self.noise.at(times)
        return states


class TecModel:
    """Chip and controller. Temperatures in degC, currents in A, positive heats.

    Args:
        seed_of: seeds by name.
        name: the instrument's name.
        plant: what is controlled.
        tuning: Hz by which 1 K shifts a resonance of the chip (silicon nitride).
        control: what the controller was told before time 0; what it regulates is settled.
    """

    def __init__(
        self,
        seed_of: Callable[[str], int],
        name: str = "tec",
        plant: Plant | None = None,
        tuning: float = -2.5e9,
        control: Control | None = None,
    ) -> None:
        self.plant = plant or Plant()
        self.tuning = tuning
        self.now = 0.0
        self._seed = lambda what: seed_of(f"{name}.{what}")
        self._noises: dict[tuple[float, ...], tuple[LinearNoise, list[int]]] = {}
        self._readings = White(self._seed("readings"), self.plant.reading_rms, self.plant.tick)
        self.control = control or Control(target=self.plant.ambient)
        self._told = [0.0]  # when the controller was told something
        rest = np.array([0.0] * 5 + [1.0])
        rest[[CHIP, SENSOR, AMBIENT, NOMINAL]] = self.plant.ambient
        if self.control.regulating:
            held = self.control.target
            rest[[CHIP, SENSOR, NOMINAL]] = held
            effort = (held - self.plant.ambient - self.control.heat) / self.plant.kelvin_per_ampere
            rest[SUM] = effort / self.control.ki
        noise, noisy = self._noise_of(self.control, 0)
        rest[noisy] += noise.at(0.0)
        self._pieces = [self._piece(0.0, rest, self.control, 0)]

    # ---------------------------------------------------------------- for the world

    def temperature(self, t: Any) -> Any:
        """True temperature (degC) of the chip at time `t` (s), a float or an array."""
        return self._state(t, CHIP)

    def shift_hz(self, t: Any) -> Any:
        """Frequency (Hz) by which the chip's resonances are away from those at mean ambient."""
        return self.tuning * (self.temperature(t) - self.plant.ambient)

    def set_heat(self, kelvin: float, t: float) -> None:
        """From `t` on a load heats the chip: by `kelvin` in the end, if nothing counteracts."""
        self.tell(t, heat=kelvin)

    def advance(self, now: float) -> None:
        """Nothing is in progress that a function of time does not tell; keeps the time."""
        self.now = now

    # ---------------------------------------------------------------- for the instrument

    def tell(self, t: float, **changes: Any) -> None:
        """Change fields of `Control` at time `t` (s)."""
        control = replace(self.control, **changes)
        if control == self.control:
            return
        state = self._piece_at(t).at(t)
        if control.regulating and not self.control.regulating:
            state[NOMINAL], state[SUM] = state[SENSOR], 0.0
        if not control.regulating:
            state[NOMINAL] = control.target
        self.control = control
        self._pieces = [piece for piece in self._pieces if piece.begun < t]
        if self._pieces:
            self._pieces[-1].ends = min(self._pieces[-1].ends, t)
        self._told.append(t)
        del self._told[:-PIECES]
        self._begin(t, state, control, 0)

    def reading(self, t: float) -> float:
        """What the sensor reads (degC): 10 readings per second with their own noise."""
        return float(self._state(t, SENSOR)) + self._readings.at(t)

    def nominal(self, t: float) -> float:
        """Set point (degC) on its ramp."""
        return float(self._state(t, NOMINAL))

    def ambient(self, t: Any) -> Any:
        """Temperature (degC) around the chip."""
        return self._state(t, AMBIENT)

    def current(self, t: float) -> float:
        """Current (A) through the Peltier element."""
        piece = self._piece_at(t)
        if piece.side:
            return piece.side * piece.control.limit
        limit = piece.control.limit
        return min(max(float(self._law(piece.control) @ piece.at(t)), -limit), limit)

    def stable(self, t: float, deviation: float, window: float) -> bool:
        """Whether all readings of the last `window` s are within `deviation` K of the target."""
        told = self._told[max(bisect_right(self._told, t) - 1, 0)]
        if not self.control.regulating or t - told < window:
            return False
        stride = TICK * max(1, math.ceil(window / TICK / MOST_READINGS))
        last = math.floor(t / stride)
        times = stride * np.arange(last, max(0, math.floor((t - window) / stride)), -1)
        readings = self._state(times, SENSOR) + self._readings.at(times)
        return bool(np.all(np.abs(readings - self.control.target) <= deviation))

    # ---------------------------------------------------------------- pieces

    def _state(self, t: Any, place: int) -> Any:
        if not isinstance(t, np.ndarray):
            return float(self._piece_at(t).at(t)[place])
        values = np.empty(t.shape)
        if t.size:
            self._piece_at(float(t.max()))
            index = np.searchsorted([piece.begun for piece in self._pieces], t, side="right") - 1
            for number in np.unique(index):
                here = index == number
                values[here] = self._pieces[max(number, 0)].many(t[here])[:, place]
        return values

    def _piece_at(self, t: float) -> _Piece:
        while (last := self._pieces[-1]).ends <= t:
            self._continue(last)
        if last.begun <= t:
            return last
        index = bisect_right(self._pieces, t, key=lambda piece: piece.begun)
        return self._pieces[max(index - 1, 0)]

    def _continue(self, last: _Piece) -> None:
        """Add the piece behind the last one: ramp arrived, limit met or left, or looked anew."""
        state = last.at(last.ends)
        if last.arrives:
            state[NOMINAL] = last.control.target
        self._begin(last.ends, state, last.control, last.side)

    def _begin(self, t: float, state: Floats, control: Control, before: int) -> None:
        """Add the piece that begins at `t` (s) in `state`; `before`: the side of the one before."""
        if control.ramp == math.inf:
            state[NOMINAL] = control.target
        side = 0
        if control.regulating:
            wish = float(self._law(control) @ state)
            if abs(wish) > control.limit * (BACK if before else 1.0):
                side = 1 if wish > 0 else -1
        self._pieces.append(self._piece(t, state, control, side))
        del self._pieces[:-PIECES]

    def _piece(self, t: float, state: Floats, control: Control, side: int) -> _Piece:
        gap = control.target - state[NOMINAL]
        speed = math.copysign(control.ramp, gap) if gap and control.ramp < math.inf else 0.0
        drift = self._drift(control, side, speed)
        noise, noisy = self._noise_of(control, side)
        start = state.copy()
        start[noisy] -= noise.at(t)
        arrival = gap / speed if speed else math.inf
        crossing = max(SHORTEST, self._crossing(state, drift, control, side, arrival))
        ends, arrives = t + min(arrival, crossing), arrival <= crossing
        return _Piece(t, ends, side, control, drift, noise, noisy, start, arrives)

    def _crossing(
        self, state: Floats, drift: Floats, control: Control, side: int, until: float
    ) -> float:
        """Seconds until the expected current meets or leaves its limit, or to look anew."""
        from scipy.linalg import expm

        if not control.regulating:
            return math.inf
        law = self._law(control)

        def beyond(now: Floats) -> bool:
            wish = float(law @ now)
            return wish * side < BACK * control.limit if side else abs(wish) > control.limit

        def at_rest(now: Floats) -> bool:
            """Far from the limit, and too slow to get there before it is looked at anew."""
            far = not side and abs(float(law @ now)) < 0.9 * control.limit
            return far and float(np.max(np.abs((drift @ now)[:AMBIENT]))) < RESTING

        elapsed, stop = 0.0, min(until, LOOK_AHEAD)
        for step, end in ((FINE, 5.0), (COARSE, LOOK_AHEAD)):
            forward = np.asarray(expm(drift * step))
            while elapsed < min(end, stop):
                following = forward @ state
                if beyond(following):
                    low, high = 0.0, step
                    while high - low > 1e-9:
                        middle = (low + high) / 2.0
                        if beyond(np.asarray(expm(drift * middle)) @ state):
                            high = middle
                        else:
                            low = middle
                    return elapsed + high
                if at_rest(following):
                    return LOOK_AHEAD
                state, elapsed = following, elapsed + step
        return LOOK_AHEAD

    # ---------------------------------------------------------------- matrices

    def _law(self, control: Control) -> Floats:
        """Row vector that makes the controller's current (A) of an extended state."""
        law = np.zeros(6)
        if not control.regulating:
            law[ONE] = control.current
            return law
        damping = control.kp * control.td / self.plant.tau_sensor
        law[[CHIP, SENSOR, SUM, NOMINAL]] = (
            -damping,
            damping - control.kp,
            control.ki,
            control.kp,
        )
        return law

    def _drift(self, control: Control, side: int, speed: float) -> Floats:
        """Drift of the extended state (per s)."""
        plant = self.plant
        law = self._law(control)
        if side:
            law = np.zeros(6)
            law[ONE] = side * control.limit
        drift = np.zeros((6, 6))
        drift[CHIP] = plant.kelvin_per_ampere * law / plant.tau
        drift[CHIP, CHIP] -= 1.0 / plant.tau
        drift[CHIP, AMBIENT] += 1.0 / plant.tau
        drift[CHIP, ONE] += control.heat / plant.tau
        drift[SENSOR, [CHIP, SENSOR]] = 1.0 / plant.tau_sensor, -1.0 / plant.tau_sensor
        if control.regulating and control.ki and not side:
            drift[SUM, [NOMINAL, SENSOR]] = 1.0, -1.0
        drift[AMBIENT, [ONE, AMBIENT]] = np.array([plant.ambient, -1.0]) / plant.ambient_tau
        drift[NOMINAL, ONE] = speed
        return drift

    def _noise_of(self, control: Control, side: int) -> tuple[LinearNoise, list[int]]:
        """Noise of a kind of piece, and the places of the extended state that have it.

        A loop that the user has made unstable has no steady state; it shakes on its own, and
        its noise is that of the open loop.
        """
        plant = self.plant
        places = [CHIP, SENSOR, AMBIENT]
        key: tuple[float, ...] = ()
        if control.regulating and not side:
            looped = places if control.ki == 0 else [CHIP, SENSOR, SUM, AMBIENT]
            drift = self._drift(control, 0, 0.0)[np.ix_(looped, looped)]
            if float(np.max(np.linalg.eigvals(drift).real)) < -1e-9:
                places, key = looped, (control.kp, control.ki, control.td)
        if key not in self._noises:
            drift = self._drift(control if key else Control(), 0, 0.0)[np.ix_(places, places)]
            seen = np.zeros(6)
            if key:
                seen[CHIP] = plant.kelvin_per_ampere * control.kp / plant.tau
                seen[SUM] = 1.0
            diffusion = plant.reading_rms**2 * plant.tick * np.outer(seen, seen)
            diffusion[AMBIENT, AMBIENT] = 2.0 * plant.ambient_std**2 / plant.ambient_tau
            system = LinearSystem(drift, diffusion[np.ix_(places, places)])
            seed = self._seed("/".join(["thermal", *map(repr, key)]))
            self._noises[key] = LinearNoise(seed, system), places
        return self._noises[key]
