"""The cluster-microcomb bench: laser, comb, filter, ring, homodyne detection, phase lock.

    laser -> EO comb -> amplifier -> filter port 1 -> phase modulator -> ring -> 50/50 -> pump
               ^ RF source           filter port 2 -> local oscillator -------> splitter  filter
                                         ^ tap: 10 % of the primary pump line      -> detector
    second laser -> tap before the ring, for its transmission only

The RF source sets the spacing of the lines, which must be that of the ring's modes to a small part
of their linewidth, and with its power how many lines there are. The amplifier sets the power of
all lines. A temperature controller holds the chip; the resonances move with it. All three run when
the world begins: somebody switched them on the day before.

The filter gives each 1 GHz grid point to one port, so one line cannot go to both; a fixed tap
therefore brings part of the primary pump line into the local-oscillator path, where its
interference with the pump behind the ring tells the phase between the two arms. The lines around
the pumps are filtered out before the detector.

Which lines pump the ring, and what the local oscillator is, follows only from the profile that
the filter holds. Detunings count in Gamma, half the loaded linewidth; the ring is heated by the
light in it and follows the laser, so that only `thermal_drag` of a laser shift is left as
detuning, and no light is coupled in outside `capture_range`. Inside it the power in the ring is
taken as independent of the detuning. Slow changes are followed once per second, see
`microcomb_slow`. The RF source follows the laboratory's 10 MHz standard, whose error is left out.

Above threshold the linear model has no state; the ring then shows the very loud noise of a ring
just below (see `ring.LEAST_DAMPING`), and `ring_state` says that it oscillates.

Source: Wang et al., "Large-scale cluster quantum microcombs", arXiv 2406.10715 ("paper").
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from simulated_instruments.physics.analyser import AnalyserModel
from simulated_instruments.physics.comb import Comb
from simulated_instruments.physics.edfa import EdfaModel
from simulated_instruments.physics.gaussian import Complex, Real
from simulated_instruments.physics.homodyne import Detector, relative_variance
from simulated_instruments.physics.itla_laser import ItlaModel
from simulated_instruments.physics.laser import CtlLaserModel
from simulated_instruments.physics.phase_lock import PhaseLoop
from simulated_instruments.physics.power_meter import PowerMeterModel
from simulated_instruments.physics.rf_source import RfSourceModel
from simulated_instruments.physics.ring import Crossing, RingState
from simulated_instruments.physics.ring_table import LocalOscillator, Pumps, RingTable, Selection
from simulated_instruments.physics.shaper import ShaperModel
from simulated_instruments.physics.thermal import Control, Plant, TecModel
from simulated_instruments.redpitaya_model import RedPitayaModel
from simulated_instruments.world import World, WorldParameter
from simulated_instruments.worlds.microcomb_slow import SlowLight

C = 299_792_458.0  # speed of light, m/s

PUMP_PORT, LO_PORT = 1, 2

#: Optical frequency (Hz) grid on which the filter's transfer is looked up. A line in the middle
#: of its block is exact; one 1.6 GHz off the middle of a 25 GHz block is wrong by 2e-4.
LASER_GRID = 0.1e9

#: Steps (s) in which the filter is followed while its liquid crystal turns: for the lock signal,
#: for the local oscillator, and for the ring, which takes longest to solve.
FRINGE_STEP, LO_STEP, RING_STEP = 0.001, 0.02, 0.1

AT_REST = -1.0  # in place of a time: the filter's crystal has arrived

REMEMBERED = 256  # states of the filter

#: Fixed-point steps of a mode that light heats; each reduces the error by a third or more.
HEATING_ROUNDS = 40

P = WorldParameter

Version = tuple[int, Comb]  # of the filter's profile, and the comb


@dataclass(frozen=True)
class Light:
    """What the filter makes of the comb, at nominal laser power."""

    pumps: Pumps
    oscillator: LocalOscillator
    lo_power: float  # in lines at 0 dB


class MicrocombWorld(World):
    """Everything between the laser and the analyser, on one clock."""

    PARAMETERS = (
        P("laser_power", 20.0, "mW", "nominal power of the laser", "assumed", 0.1, 1000.0),
        P("laser_drift", 1e6, "Hz/sqrt(s)", "random walk of the laser frequency",
          "assumed, typical of external-cavity lasers", 0.0, 1e9),
        P("laser_wander", 20e6, "Hz", "rms of the laser's thermal wander (600 s)", "assumed",
          0.0, 1e9),
        P("laser_power_noise", 2e-3, "", "rms relative power noise of the laser (300 s)", "assumed",
          0.0, 0.1),
        P("laser_hop_rate", 1e-6, "1/s", "rate of random mode hops of 5 GHz", "assumed", 0.0, 1.0),
        P("resonance", 193.4e12, "Hz", "laser frequency at which the pumped mode is on resonance",
          "assumed", 191.25e12, 196.275e12),
        P("line_spacing", 25e9, "Hz", "spacing of the comb lines, frequency of the RF source at "
          "the start", "paper: about 25 GHz", 12e9, 31.8e9),
        P("mode_spacing", 25e9, "Hz", "free spectral range of the ring around the pumped mode",
          "paper: about 25 GHz", 12e9, 70e9),
        P("rf_power", 12.0, "dBm", "RF power for which the comb is levelled; at the start",
          "assumed", -20.0, 15.0),
        P("comb_throughput", 0.025, "", "part of the laser's power behind the modulators",
          "assumed", 1e-6, 1.0),
        P("amplifier_current", 250.0, "mA", "pump current of the amplifier that gives nominal "
          "powers; at the start", "assumed", 60.0, 500.0),
        P("chip_temperature", 25.0, "degC", "temperature of the chip at which the ring is resonant "
          "as told; at the start", "assumed", 15.0, 45.0),
        P("chip_tuning", -1.45e9, "Hz/K", "shift of the resonances with the chip's temperature",
          "silica: 7.5e-6/K", -1e11, 1e11),
        P("chip_noise", 2e-4, "K", "rms of a reading of the chip's thermistor", "assumed",
          0.0, 1.0),
        P("ambient_wander", 0.1, "K", "rms of the laboratory's temperature (1800 s)", "assumed",
          0.0, 10.0),
        P("probe_tap", 1e-4, "", "part of the second laser's power that reaches the ring",
          "assumed", 0.0, 1.0),
        P("comb_rolloff", 0.0, "dB", "how much weaker lines 35 and -35 are than line 0",
          "assumed: flat top", 0.0, 30.0),
        P("loaded_q", 20e6, "", "loaded quality factor at 1550 nm", "paper", 1e5, 1e9),
        P("dispersion", 1e-3, "Gamma", "mode k is detuned by dispersion x k^2 / 2 more",
          "one of many values that fit the paper's squeezing", -1.0, 1.0),
        P("avoided_crossing", 0.0, "Gamma", "loss where a transverse mode crosses; 0: none",
          "paper: degradation near mode 27; 1 looks like it", 0.0, 100.0),
        P("crossing_mode", 27.0, "", "mode number at which the transverse modes cross", "paper",
          -45.0, 45.0),
        P("crossing_width", 1.0, "", "modes over which the transverse mode gets out of resonance",
          "assumed", 0.01, 45.0),
        P("thermal_drag", 0.01, "", "part of a laser shift that the heated ring does not follow",
          "assumed", 0.0, 1.0),
        P("capture_range", 5e9, "Hz", "laser shift beyond which no light is coupled in",
          "assumed", 0.0, 1e12),
        P("pump_per_line", 0.605 * 10**0.3, "",
          "|alpha|^2 of a pump line at 0 dB, threshold 1: 3.0 dB of attenuation give 0.605",
          "0.605 explains the paper's pair -16/16; the 3 dB are assumed", 0.0, 100.0),
        P("efficiency", 0.675, "", "from inside the ring to the photocurrent", "paper", 0.0, 1.0),
        P("extraction", 0.94, "", "part of the loaded loss that goes to the taper; over-coupled",
          "paper", 0.0, 1.0),
        P("line_power", 0.1, "mW", "one line at 0 dB behind the ring, off resonance", "assumed",
          1e-9, 100.0),
        P("pump_filter", 4, "", "lines -n..n do not reach the detector",
          "assumed: the paper shows 31 pairs, which 5 to 35 are", 0, 35),
        P("lock_tap", 0.1, "", "part of the primary pump line that goes to the lock", "paper",
          0.0, 1.0),
        P("fringe", 0.4, "V", "amplitude of the lock signal at 10 % tap and 3.0 dB attenuation",
          "assumed", 0.0, 1.0),
        P("phase_drift", 0.1, "rad/sqrt(s)", "random walk of the phase between the arms",
          "assumed, short fibre", 0.0, 10.0),
        P("fast_jitter", 0.1029, "rad", "rms phase noise that the lock does not see",
          "assumed: with a good lock the sum is 0.1094, which explains the paper's pair -16/16",
          0.0, 1.0),
        P("shot_level", -67.0, "dBm", "shot noise of one line at 0 dB in 100 kHz", "assumed",
          -150.0, 0.0),
        P("dark_level", -80.0, "dBm", "noise of the detector's electronics in 100 kHz", "assumed",
          -150.0, 0.0),
    )  # fmt: skip

    def __init__(self, seed: int = 0, **values: Any) -> None:
        super().__init__(seed, **values)
        v = self.values
        self.gamma_hz = C / 1550e-9 / v["loaded_q"] / 2.0
        self.detector = Detector(v["shot_level"], v["dark_level"])
        crossing = Crossing(v["avoided_crossing"], v["crossing_mode"], v["crossing_width"])
        self.ring = RingTable(v["dispersion"], self.gamma_hz, crossing)
        self.laser = CtlLaserModel(
            self.seed_of,
            "laser",
            power_mw=v["laser_power"],
            drift_hz=v["laser_drift"],
            thermal_hz=v["laser_wander"],
            power_noise=v["laser_power_noise"],
            hop_rate=v["laser_hop_rate"],
        )
        self.rf_source = RfSourceModel(
            self.seed_of, "rf_source", frequency_hz=v["line_spacing"], power_dbm=v["rf_power"],
            output=True,
        )  # fmt: skip
        self.rf_source.external_reference = lambda t: 0.0 * t
        self._driven: tuple[tuple[float, float, bool], Comb] | None = None  # RF settings
        self.amplifier = EdfaModel(self.seed_of, "amplifier")
        self.amplifier.left_on(v["amplifier_current"])
        self.chip = TecModel(
            self.seed_of, "chip",
            Plant(ambient=22.0, ambient_std=v["ambient_wander"], reading_rms=v["chip_noise"]),
            v["chip_tuning"], Control(regulating=True, target=v["chip_temperature"]),
        )  # fmt: skip
        self._slow = SlowLight(
            self.laser, self.amplifier, self.chip, resonance_hz=v["resonance"],
            nominal_mw=v["laser_power"], throughput=v["comb_throughput"],
            celsius=v["chip_temperature"],
        )  # fmt: skip
        self.shaper = ShaperModel()
        self._light: dict[tuple[Version, float, float], Light] = {}
        self._levels: dict[tuple[Version, float, float], float] = {}
        self._pumped: dict[tuple[Version, float, float], Complex] = {}
        self.loop = PhaseLoop(
            lambda name: self.seed_of(f"lock.{name}"),
            drift=v["phase_drift"],
            fast_rms=v["fast_jitter"],
            error_amplitude=self.fringe_volts,
        )
        self.lock = RedPitayaModel(lambda name: self.seed_of(f"lock.{name}"), loop=self.loop)
        self.analyser = AnalyserModel(self.seed_of, "analyser", self)
        self.transmission = PowerMeterModel(self.seed_of, "transmission", self.transmitted_w)
        self.probe = ItlaModel(self.seed_of, "probe")
        self.parts.update(  # in this order: what others look at comes first
            chip=self.chip, laser=self.laser, rf_source=self.rf_source, amplifier=self.amplifier,
            shaper=self.shaper, lock=self.lock, analyser=self.analyser,
            transmission=self.transmission, probe=self.probe,
        )  # fmt: skip

    # --- what the analyser and the lock see -----------------------------------------------------

    def psd_w_per_hz(self, frequency_hz: Any, times_s: Any) -> Real:
        """Noise density (W/Hz) from the detector at analysis frequencies and times; broadcast."""
        shape = np.broadcast_shapes(np.shape(frequency_hz), np.shape(times_s))
        frequency = np.broadcast_to(np.asarray(frequency_hz, dtype=float), shape).ravel()
        times = np.broadcast_to(np.asarray(times_s, dtype=float), shape).ravel()
        variance, lo_power = np.ones(times.size), np.zeros(times.size)
        power = self._slow.power(times) if times.size else lo_power
        if power.any():
            laser, shift = self._slow.laser_hz(times), self._slow.ring_hz(times)
            moving = times < self.shaper.settle_until
            stage = np.where(moving, np.floor(times / LO_STEP), AT_REST)
            for (step, cell), here in _groups(stage, np.rint(laser / LASER_GRID)):
                light = self._light_of(step * LO_STEP if step >= 0 else AT_REST, cell)
                if not light.lo_power:
                    continue
                lo_power[here] = light.lo_power * power[here]
                number, squeezing = self._seen(
                    light, step, cell, frequency[here], shift[here], power[here]
                )
                if number.any():
                    variance[here] = relative_variance(
                        number,
                        squeezing,
                        self.values["efficiency"],
                        self.loop.phase(times[here]),
                        self.loop.jitter_rms(times[here]),
                    )
        return self.detector.psd_w_per_hz(frequency, lo_power, variance).reshape(shape)

    def fringe_volts(self, times_s: Any) -> Any:
        """Amplitude (V) of the lock signal at times (s), a float or an array.

        Both arms of the interference carry the primary pump line from behind the filter, so the
        amplitude goes with its power. Follows the filter in steps of 1 ms, the laser in steps of
        1 s.
        """
        if not isinstance(times_s, np.ndarray) or times_s.ndim == 0:
            return self._fringe(float(times_s))
        seconds = np.floor(times_s)
        moving = times_s < self.shaper.settle_until
        stage = np.where(moving, np.floor(times_s / FRINGE_STEP), AT_REST)
        cell = np.rint(self._slow.laser_hz(seconds) / LASER_GRID)
        level = np.empty(times_s.shape)
        for pair, here in _groups(stage, cell):
            level[here] = self._level_of(*pair)
        return level * self._slow.power(seconds)

    def _fringe(self, t: float) -> float:
        """The same for one time, which a running lock asks for often."""
        second = math.floor(t)
        stage = math.floor(t / FRINGE_STEP) if t < self.shaper.settle_until else AT_REST
        cell = float(round(self._slow.one("laser", second) / LASER_GRID))
        return self._level_of(stage, cell) * self._slow.one("power", second)

    def transmitted_w(self, times_s: Real) -> Real:
        """Power (W) of all light behind the ring, at times (s); what the power meter sees.

        Line n meets mode n if the laser is at the resonance, but for dispersion and what the line
        spacing differs from the mode spacing. On resonance the
        light from the ring interferes with what passes it, |1 - 2 extraction / (1 + i x)|^2 at x
        half linewidths. A line so weak that it shifts its mode by less than half a linewidth sees
        a cold ring; stronger ones are followed by their mode (see `thermal_drag`).
        """
        v = self.values
        power = self._slow.exact_power(times_s)
        laser = self._slow.exact_laser_hz(times_s)
        shift = laser - self._slow.exact_chip_hz(times_s)
        stage = np.where(times_s < self.shaper.settle_until, times_s, AT_REST)
        total = self._probe_w(times_s)
        for (when, cell), here in _groups(stage, np.rint(laser / LASER_GRID)):
            lines = np.abs(self._through(when, cell)) ** 2
            for line in np.flatnonzero(lines > 1e-9):
                order = int(self.comb.orders[line])
                cold = self._mode_gamma(order) - shift[here] / self.gamma_hz
                cold -= order * self.comb.spacing_hz / self.gamma_hz
                # By how much the light shifts its mode: it can follow the laser over the whole
                # capture range when a line at 0 dB heats the ring.
                heat = v["capture_range"] / self.gamma_hz * lines[line] * power[here]
                x = cold
                for _ in range(HEATING_ROUNDS):
                    x = cold - np.minimum(heat, 1.0) / (1.0 + x**2)
                locked = (heat >= 1.0) & (np.abs(shift[here]) <= v["capture_range"])
                x = np.where(locked, v["thermal_drag"] * cold, x)
                total[here] += 1e-3 * v["line_power"] * lines[line] * power[here] * self._past(x)
        return total

    def _probe_w(self, times_s: Real) -> Real:
        """Power (W) of the second laser behind the ring; so weak that it heats nothing."""
        power = 1e-3 * self.values["probe_tap"] * np.asarray(self.probe.power_mw(times_s))
        if not power.any():
            return np.zeros(times_s.shape)
        above = np.asarray(self.probe.frequency_hz(times_s)) - self.values["resonance"]
        above = above - self._slow.exact_chip_hz(times_s)
        mode = np.rint(above / self.values["mode_spacing"])
        return np.asarray(power * self._past(self._mode_gamma(mode) - above / self.gamma_hz))

    def _mode_gamma(self, order: Any) -> Any:
        """Frequency (Gamma) of mode `order` of the cold ring above that of mode 0."""
        spacing = self.values["mode_spacing"] / self.gamma_hz
        return order * spacing + self.values["dispersion"] * order**2 / 2.0

    def _past(self, x: Real) -> Real:
        """Part of the light that passes the ring at x half linewidths from a mode."""
        return np.asarray(np.abs(1.0 - 2.0 * self.values["extraction"] / (1.0 + 1j * x)) ** 2)

    # --- for looking into the world, as no instrument can ---------------------------------------

    def detuning(self, t: float) -> float:
        """Detuning (Gamma) of the pumped mode at time `t` (s): (mode - drive) / Gamma."""
        return float(self._detuning(self._ring_hz(t)))

    def ring_state(self, t: float, frequency_hz: float = 0.5e6) -> RingState:
        """What leaves the ring at time `t` (s), and whether it oscillates."""
        shift, at = self._ring_hz(t), np.array([t])
        when = t if t < self.shaper.settle_until else AT_REST
        cell = float(np.rint(self._slow.exact_laser_hz(at)[0] / LASER_GRID))
        pumps = self._light_of(when, cell).pumps
        power = float(self._slow.exact_power(at)[0])
        if abs(shift) > self.values["capture_range"]:
            power = 0.0
        return self.ring.state(pumps, float(self._detuning(shift)), power, frequency_hz)

    def _ring_hz(self, t: float) -> float:
        at = np.array([t])
        return float(self._slow.exact_laser_hz(at)[0] - self._slow.exact_chip_hz(at)[0])

    # --- how it follows -------------------------------------------------------------------------

    @property
    def comb(self) -> Comb:
        """The comb that the RF source drives as it is set now."""
        rf = self.rf_source
        settings = (rf.frequency, rf.power, rf.output)
        if self._driven is None or self._driven[0] != settings:
            power = min(rf.power, rf.leveled_max) if rf.output else -math.inf
            drive = power - self.values["rf_power"]
            self._driven = (
                settings,
                Comb(
                    spacing_hz=rf.frequency, rolloff_db=self.values["comb_rolloff"], drive_db=drive
                ),
            )
        return self._driven[1]

    @property
    def _version(self) -> Version:
        """What the light behind the filter depends on, apart from time and laser."""
        return self.shaper.version, self.comb

    def _detuning(self, shift_hz: Any) -> Any:
        return -self.values["thermal_drag"] * shift_hz / self.gamma_hz

    def _seen(
        self, light: Light, step: float, cell: float, frequency: Real, shift: Real, power: Real
    ) -> tuple[Real, Complex]:
        """What the local oscillator sees of the ring, for points with the same light."""
        number, squeezing = np.zeros(shift.size), np.zeros(shift.size, dtype=complex)
        captured = (np.abs(shift) <= self.values["capture_range"]) & (power > 0)
        pumps = self._light_of(AT_REST, cell).pumps
        if step >= 0:
            ring_time = step // (RING_STEP / LO_STEP) * RING_STEP
            turning = self._light_of(ring_time, cell).pumps
            if turning != pumps:  # the ring follows the filter in coarse steps
                now = np.array([ring_time])
                at = float(self._detuning(self._slow.ring_hz(now)[0]))
                relative = float(self._slow.power(now)[0])
                if turning.lines and captured.any():
                    number[captured], squeezing[captured] = self.ring.frozen(
                        turning, light.oscillator, at, relative, frequency[captured]
                    )
                return number, squeezing
        if pumps.lines and captured.any():
            number[captured], squeezing[captured] = self.ring.drifting(
                pumps,
                light.oscillator,
                self._detuning(shift[captured]),
                power[captured],
                frequency[captured],
            )
        return number, squeezing

    def _light_of(self, when: float, cell: float) -> Light:
        """What the filter makes of the comb at time `when` (s) or at rest."""
        key = (self._version, when, cell)
        if key not in self._light:
            pumps = self._fields(PUMP_PORT, when, cell) * self.values["pump_per_line"] ** 0.5
            mismatch = (self.values["mode_spacing"] - self.comb.spacing_hz) / self.gamma_hz
            if mismatch:  # the ring follows the primary line only
                primary = self.comb.orders[int(np.argmax(np.abs(pumps)))]
                pumps = pumps / (1.0 + 1j * mismatch * (self.comb.orders - primary))
            oscillator = self._fields(LO_PORT, when, cell)
            oscillator[np.abs(self.comb.orders) <= self.values["pump_filter"]] = 0.0
            power = float(np.sum(np.abs(oscillator) ** 2))
            if len(self._light) >= REMEMBERED:
                self._light.clear()
            self._light[key] = Light(
                Pumps.of(self.comb.orders, pumps, mismatch),
                LocalOscillator(oscillator / (power or 1.0) ** 0.5),
                power,
            )
        return self._light[key]

    def _level_of(self, step: float, cell: float) -> float:
        """Amplitude (V) of the lock signal at nominal power; `step` counts `FRINGE_STEP`."""
        key = (self._version, step, cell)
        if key not in self._levels:
            if len(self._levels) >= 16 * REMEMBERED:
                self._levels.clear()
            when = AT_REST if step == AT_REST else step * FRINGE_STEP
            primary = float(np.max(np.abs(self._fields(PUMP_PORT, when, cell)))) ** 2
            tap = (self.values["lock_tap"] / 0.1) ** 0.5
            self._levels[key] = self.values["fringe"] * tap * primary * 10**0.3
        return self._levels[key]

    def _through(self, when: float, cell: float) -> Complex:
        """Amplitudes of all lines that go to the ring; remembered while the filter rests."""
        if when != AT_REST:
            return self._fields(PUMP_PORT, when, cell)
        key = (self._version, when, cell)
        if key not in self._pumped:
            if len(self._pumped) >= REMEMBERED:
                self._pumped.clear()
            self._pumped[key] = self._fields(PUMP_PORT, when, cell)
        return self._pumped[key]

    def _fields(self, port: int, when: float, cell: float) -> Complex:
        """Amplitudes of all lines behind a port of the filter."""
        laser_hz = self.values["resonance"] + cell * LASER_GRID
        at = self.shaper.settle_until if when == AT_REST else when
        lines = self.comb.frequencies_thz(laser_hz)
        return np.asarray(self.comb.amplitudes() * self.shaper.transfer(port, lines, at))


def _groups(stage: Real, cell: Real) -> Iterator[tuple[tuple[float, float], Selection]]:
    """Points with the same stage of the filter and the same laser cell."""
    if stage.size and (stage == stage[0]).all() and (cell == cell[0]).all():
        yield (float(stage[0]), float(cell[0])), slice(None)
        return
    for pair in np.unique(np.stack([stage, cell]), axis=1).T:
        yield (float(pair[0]), float(pair[1])), (stage == pair[0]) & (cell == pair[1])
