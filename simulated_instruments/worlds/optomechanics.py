"""The phonon-pair bench: two tones, pulsed by modulators, on a cold optomechanical crystal.

    laser -+- modulator at +omega_m - VOA 1 (blue) -+- AOM 1 (preparation) -+
           +- modulator at -omega_m - VOA 2 (red) --+                       +- tap -> power meter
           +- modulator at -omega_m - VOA 3 (read-out) -- AOM 2 (read-out) -+- crystal in cryostat
                                                                                     |
    delay generator: T0 -> pulse pattern generator, start input of the tagger     filters
    pattern generator: A0 drives AOM 1, A1 drives AOM 2                             |
    two SNSPDs behind a 50/50 splitter -> time tagger, inputs 1 and 2 <-------------+

One laser feeds three paths; the tones are one mechanical frequency above and below it, so that
light scattered by the mechanics is at the laser's own frequency, which must be that of the cavity.
What pulses there are, how wide, how far apart and with how much light between them, follows only
from the pattern that the generator holds, the radio power of the AOM driver, attenuators and laser.

The state is exact Gaussian physics; heating follows the measured curves (see
`physics.optomechanics`). Between two settings of the instruments it is looked up every 512 s, and
every 0.1 s while it follows a change.

Source: Wang et al., "Nonclassical phonon pair" ("paper"); what is "inferred" was chosen so that
its count rates and correlations come out.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.aa_mpds import MpdsModel
from simulated_instruments.physics.attenuator import AttenuatorModel
from simulated_instruments.physics.cryostat import STAGES, CryostatModel
from simulated_instruments.physics.dead_time import alive
from simulated_instruments.physics.delay_generator import DelayGeneratorModel
from simulated_instruments.physics.laser import CtlLaserModel
from simulated_instruments.physics.optomechanics import (
    Cavity,
    Heating,
    Prepared,
    Readout,
    pattern_probabilities,
    prepared,
)
from simulated_instruments.physics.optomechanics_pulses import Envelope, modulated
from simulated_instruments.physics.optomechanics_trials import (
    Chances,
    MissedTriggers,
    RandomClicks,
    TrialSource,
    pair_law,
)
from simulated_instruments.physics.power_meter import PowerMeterModel
from simulated_instruments.physics.pulse_streamer import FULL, Pattern, PulseStreamerModel
from simulated_instruments.physics.snspd import SnspdModel, Wire
from simulated_instruments.physics.tagger import TaggerModel
from simulated_instruments.world import World, WorldParameter

Ints = NDArray[np.int64]

PS = 10**12
H, K = 6.62607015e-34, 1.380649e-23

#: Steps (ps) in which the world is looked up; the fine one holds after a change until light has
#: followed it.
COARSE, FINE, FOLLOWING = 512 * PS, PS // 10, 3 * PS // 10
BLUE, RED, READOUT = 0, 1, 2
DETECTORS = (0, 1)
MIXING_CHAMBER, WARMING_W = 6, 0.04  # channel of the thermometer; power that takes it to 1 K
NOTHING = (np.empty(0, dtype=np.int64),) * 2

P = WorldParameter

PARAMETERS = (
    P("wavelength", 1550.589, "nm", "resonance of the cavity", "paper", 1500.0, 1600.0),
    P("kappa", 700e6, "Hz", "its linewidth", "paper", 1e6, 1e12),
    P("coupling", 0.5, "", "part of it that goes to the waveguide", "inferred", 0.01, 1.0),
    P("omega_m", 5.2e9, "Hz", "mechanical frequency", "paper", 1e6, 1e12),
    P("g0", 800e3, "Hz", "single-photon coupling", "paper", 1.0, 1e9),
    P("lifetime", 1460.0, "ns", "of phonons, 1/gamma_m", "paper", 1.0, 1e9),
    P("thermal_phonons", 0.014, "", "before each trial, at base temperature", "paper", 0.0, 100.0),
    P("bath_time", 220.0, "ns", "in which absorbed light heats the mode", "paper", 1.0, 1e6),
    P("gate_excess", 2.80, "", "g2 - 2 of the read-out in a gate of 39 ns, 30 ns after the pulse, "
      "without background: sets the heating", "inferred from the paper's Fig. 3", 0.0, 100.0),
    P("gate_time", 15.3, "ns", "decay of g2 - 2 with the gate: heating by the read-out pulse",
      "paper: 15 ns; phenomenological", 0.1, 1e4),
    P("delay_time", 132.0, "ns", "decay of g2 - 2 with the delay", "paper; phenomenological", 0.1,
      1e6),
    P("red_heating", 0.006, "", "quanta that a read-out without a blue tone adds", "inferred", 0.0,
      10.0),
    P("pump_heating", 1.2464, "", "quanta that a blue pulse alone adds late, for each unit of its "
      "area", "inferred from the paper's Fig. 4c", 0.0, 1e3),
    P("leak_heating", 0.2, "", "quanta that light between the pulses adds if it has the energy of "
      "the preparation pulse", "assumed", 0.0, 1e3),
    P("blue_leak", 0.05416, "", "photons of the blue tone that pass the filters, for each unit of "
      "area", "inferred: pulls g2 of the blue tone to 1.90", 0.0, 100.0),
    P("red_leak", 7.268e-4, "", "the same of the red tone", "inferred", 0.0, 100.0),
    P("readout_leak", 7.150e-4, "", "the same of the read-out pulse", "inferred", 0.0, 100.0),
    P("collection", 0.07920, "", "from the crystal to the detectors; with detectors at 16 uA a "
      "photon clicks with probability 0.07", "inferred", 0.0, 1.0),
    P("stray_rate", 11.2, "1/s", "stray photons at each detector; 10 dark counts/s at 16 uA",
      "inferred", 0.0, 1e6),
    P("laser_power", 10.0, "mW", "nominal power of the laser", "assumed", 0.1, 100.0),
    P("laser_drift", 0.0, "Hz/sqrt(s)", "random walk of the laser frequency",
      "assumed: held by a wavelength meter that is not shown", 0.0, 1e9),
    P("laser_wander", 2e6, "Hz", "rms of its remaining wander (600 s)", "assumed", 0.0, 1e9),
    P("laser_power_noise", 2e-3, "", "rms relative power noise (300 s)", "assumed", 0.0, 0.1),
    P("laser_hop_rate", 1e-6, "1/s", "rate of random mode hops of 5 GHz", "assumed", 0.0, 1.0),
    P("blue_loss", 23.4, "dB", "from the laser to the crystal, without VOA and AOM", "assumed",
      0.0, 100.0),
    P("red_loss", 18.0, "dB", "the same of the red tone", "assumed", 0.0, 100.0),
    P("readout_loss", 17.2, "dB", "the same of the read-out tone", "assumed", 0.0, 100.0),
    P("tap", 0.5, "", "power on the meter over power at the crystal", "assumed", 0.0, 1.0),
    P("aom_rise", 12.0, "ns", "10-90 % rise of both modulators", "assumed: 10 to 20 ns", 0.1, 1e3),
    P("aom_saturation", 20.0, "dBm", "radio power of full diffraction", "assumed", -50.0, 50.0),
    P("aom_extinction", 100.0, "dB", "light that passes two modulators in series when off",
      "assumed", 0.0, 200.0),
    P("latency", 350.0, "ns", "from the trigger to the detectors: sound, fibres, cables", "assumed",
      0.0, 1e6),
    P("base_temperature", 0.010, "K", "of the mixing chamber", "assumed", 0.005, 300.0),
    P("cooling_fails", 0.0, "s", "time from which the mixing chamber warms up to 1 K; 0: never",
      "for tests", 0.0, 1e9),
    P("tagger_rate", 8.5e6, "1/s", "tags that the tagger can send", "data sheet", 0.1, 1e9),
    P("tagger_buffer", 1.6e7, "", "tags that wait in it", "assumed", 1.0, 1e10),
    P("trigger_loss", 0.0, "", "probability that the tagger misses a trigger", "assumed", 0.0, 0.9),
)  # fmt: skip


@dataclass(frozen=True)
class Settings:
    """What the instruments were told, as far as light and clicks depend on it."""

    pattern: Pattern | None  # that each trigger starts
    resting: tuple[float, float]  # drive of both modulators between patterns, 1 for full amplitude
    radio: tuple[float, float]  # amplitude at full drive over that of full diffraction
    train: tuple[int, int] | None  # first trigger and period (ps)
    open: tuple[bool, ...]  # shutters of the attenuators
    arrives: float  # s, when the last of the attenuators does


@dataclass(frozen=True)
class Areas:
    """Strength of the pulses: integrals of the scattering rate, and light between them."""

    blue: float
    red: float
    readout: float
    leak: float  # energy between pulses over that of the preparation pulse
    resonance: float = 1.0  # of the scattered light with the cavity; the areas hold for 1


class Crystal:
    """What pulses of given areas do to light and motion, and what the detectors make of that."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.values = v = values
        turn = 2 * math.pi
        self.cavity = Cavity(
            v["wavelength"] * 1e-9,
            turn * v["kappa"],
            turn * v["kappa"] * v["coupling"],
            turn * v["omega_m"],
            turn * v["g0"],
        )
        self.heating = Heating(
            excess=v["gate_excess"],
            gate_time=v["gate_time"],
            delay_time=v["delay_time"],
            lifetime=v["lifetime"],
            bath_time=v["bath_time"],
            red_only=v["red_heating"],
            pumped=v["pump_heating"],
        )

    def phonons(self, kelvin: float, leak: float) -> float:
        """Thermal phonons before a trial."""
        v = self.values
        boltzmann = H * v["omega_m"] / (K * max(kelvin, 1e-3))
        return float(
            v["thermal_phonons"] + 1 / math.expm1(min(boltzmann, 500.0)) + v["leak_heating"] * leak
        )

    def chances(
        self,
        areas: Areas,
        first: Envelope | None,
        second: Envelope | None,
        kelvin: float,
        efficiencies: tuple[float, float],
    ) -> Chances:
        """Probabilities and times of clicks in a trial."""
        v = self.values
        n_th = self.phonons(kelvin, areas.leak)
        blue, red = areas.blue * areas.resonance, areas.red * areas.resonance
        state = prepared(blue, red, n_th)
        delay = begin = 0.0
        if first is not None and second is not None:
            begin = second.centre - second.gaussian_fwhm
            delay = begin - first.centre - first.gaussian_fwhm
        elif second is not None:
            begin = second.centre - second.gaussian_fwhm
            state = Prepared((1.0, 1.0), state.motion, (0.0, 0.0))
        found = Readout(
            state, n_th, delay, areas.readout * areas.resonance, self.heating, blue, red
        )
        gate = 2 * second.gaussian_fwhm if second is not None else 1.0
        leaks = (
            v["blue_leak"] * areas.blue + v["red_leak"] * areas.red,
            v["readout_leak"] * areas.readout,
        )
        mu = np.array([v["collection"] / 2 * e for e in efficiencies * 2])
        background = mu * np.repeat(leaks, 2)
        law = np.empty(0)
        if second is not None:
            law = pair_law(second, found.excess(second.times - begin))
        return Chances(
            pattern_probabilities(found.covariance(gate), mu, background),
            first,
            second,
            law,
            v["latency"],
        )


class OptomechanicsWorld(World):
    """Everything between laser and time tagger, on one clock."""

    PARAMETERS = PARAMETERS

    def __init__(self, seed: int = 0, **values: Any) -> None:
        super().__init__(seed, **values)
        v = self.values
        self.crystal = Crystal(v)
        self.laser = CtlLaserModel(
            self.seed_of,
            "laser",
            wavelength_nm=1550.0,
            power_mw=v["laser_power"],
            drift_hz=v["laser_drift"],
            thermal_hz=v["laser_wander"],
            power_noise=v["laser_power_noise"],
            hop_rate=v["laser_hop_rate"],
        )
        self.attenuators = [AttenuatorModel(self.seed_of, f"voas.{n}") for n in (1, 2, 3, 4)]
        coldest = replace(STAGES[MIXING_CHAMBER], base_k=v["base_temperature"])
        self.cryostat = CryostatModel(
            self.seed_of, "thermometer", {**STAGES, MIXING_CHAMBER: coldest}
        )
        self.pulser = PulseStreamerModel()
        self.delays = DelayGeneratorModel()
        self.radio = MpdsModel()
        self.detectors = SnspdModel(
            self.seed_of, "detectors", 2, photon_rate=self.photon_rate,
            wire=Wire(stray_rate=v["stray_rate"]),
        )  # fmt: skip
        self.tagger = TaggerModel(
            self.seed_of, "tagger", clicks=self.clicks, reference=Triggers(self), zero_ps=None,
            max_rate=v["tagger_rate"], buffer=v["tagger_buffer"],
        )  # fmt: skip
        self.power = PowerMeterModel(self.seed_of, "power", self.tapped_w, v["wavelength"])
        self.parts.update(
            laser=self.laser, thermometer=self.cryostat, pulser=self.pulser, delays=self.delays,
            radio=self.radio, detectors=self.detectors, tagger=self.tagger, power=self.power,
        )  # fmt: skip
        self.parts |= {f"voas.{n}": model for n, model in enumerate(self.attenuators, 1)}
        self._history: list[tuple[float, Settings]] = [(0.0, self._settings())]
        self._dark = [RandomClicks(self.seed_of, f"dark.{n}") for n in (0, 1)]
        self._sources: dict[tuple[int, int], TrialSource] = {}
        self._waiting: list[Ints] = [*NOTHING]  # clicks that are later than what was asked for
        self._last = [-PS, -PS]
        self._rates: tuple[Any, list[float]] = (None, [])
        self._known: dict[tuple[float, ...], tuple[Any, Chances]] = {}
        self._envelopes: dict[Settings, tuple[Envelope | None, Envelope | None]] = {}

    def advance(self, now: float) -> None:
        self._note()  # what was told after the last call holds from then on
        fails = self.values["cooling_fails"]
        if 0.0 < fails <= now:
            self.cryostat.load(fails, MIXING_CHAMBER, WARMING_W)
        super().advance(now)

    # --- what the instruments were told ---------------------------------------------------------

    def _settings(self) -> Settings:
        pulser = self.pulser
        # A generator that repeats by itself, or only once, has no pulses at each trigger.
        plays = pulser.armed and not pulser.manual_rearm and pulser.pattern.runs == 1
        rest = pulser.constant
        return Settings(
            pattern=pulser.pattern if plays else None,
            resting=(abs(rest.a0) / FULL, abs(rest.a1) / FULL),
            radio=(self._radio(1), self._radio(2)),
            train=self._train(),
            open=tuple(voa.open for voa in self.attenuators),
            arrives=max(voa.moving_until for voa in self.attenuators),
        )

    def _radio(self, line: int) -> float:
        """Amplitude of the radio wave at full drive, 1 for full diffraction."""
        return 10 ** ((self.radio.dbm(line) - self.values["aom_saturation"]) / 20)

    def _train(self) -> tuple[int, int] | None:
        """First trigger and period (ps) of the delay generator, if it gives any."""
        first, period = self.delays.first, self.delays.period
        if first is None or period is None:
            return None
        return round(first * PS), round(period * PS)

    def _note(self) -> None:
        """Remember since when the instruments have their present settings."""
        found = self._settings()
        if found != self._history[-1][1]:
            if self._history[-1][0] == self.now:
                self._history.pop()
            self._history.append((self.now, found))

    def settings_at(self, t: float) -> Settings:
        """The settings at time `t` (s)."""
        return self._history[max(bisect.bisect(self._history, t, key=lambda h: h[0]) - 1, 0)][1]

    # --- light ----------------------------------------------------------------------------------

    def _pulses(self, settings: Settings) -> tuple[Envelope | None, Envelope | None]:
        """Transmission of both modulators after a trigger."""
        if settings not in self._envelopes:
            if len(self._envelopes) >= 64:
                self._envelopes.clear()
            rise = self.values["aom_rise"]
            first, second = (
                None
                if settings.pattern is None
                else modulated(
                    settings.pattern.steps["ns"],
                    np.abs(settings.pattern.volts(output)) * settings.radio[output],
                    rise,
                )
                for output in (0, 1)
            )
            self._envelopes[settings] = first, second
        return self._envelopes[settings]

    def _tones_w(self, t: float) -> tuple[float, float, float]:
        """Power (W) of the three tones at the crystal at time `t` (s), modulators fully open."""
        v = self.values
        laser = 1e-3 * float(self.laser.power_mw(t))
        blue, red, readout = (
            laser * 10 ** (-v[loss] / 10) * float(voa.transmission(t))
            for loss, voa in zip(
                ("blue_loss", "red_loss", "readout_loss"), self.attenuators, strict=False
            )
        )
        return blue, red, readout

    def tapped_w(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean power (W) on the meter in front of the cryostat at times (s)."""
        return np.array([self.values["tap"] * self._mean_w(float(t)) for t in times_s.ravel()])

    def _mean_w(self, t: float) -> float:
        settings = self.settings_at(t)
        open_part = []
        for pulse, steady in zip(self._pulses(settings), self._steady(settings), strict=True):
            pulsed = 0.0
            if pulse is not None and settings.train is not None:
                pulsed = 1e3 * pulse.area / settings.train[1]
            open_part.append(min(1.0, steady + pulsed))
        blue, red, readout = self._tones_w(t)
        return (blue + red) * open_part[0] + readout * open_part[1]

    def _steady(self, settings: Settings) -> list[float]:
        """Transmission of both modulators between patterns."""
        leak = 10 ** (-self.values["aom_extinction"] / 10)
        return [
            max(leak, math.sin(math.pi / 2 * min(rest * radio, 1.0)) ** 2)
            for rest, radio in zip(settings.resting, settings.radio, strict=True)
        ]

    def areas(self, t: float, settings: Settings) -> Areas:
        """Strength of the pulses at time `t` (s)."""
        cavity = self.crystal.cavity
        first, second = self._pulses(settings)
        spans = [0.0 if pulse is None else 1e-9 * pulse.area for pulse in (first, second)]
        tones = self._tones_w(t)
        per_joule = cavity.rate_per_photon() * cavity.photons_per_watt()
        blue, red, readout = (
            per_joule * tone * spans[n] for tone, n in zip(tones, (0, 0, 1), strict=True)
        )
        between = 0.0
        if spans[0] > 0 and settings.train is not None and tones[BLUE] + tones[RED] > 0:
            dark = self._steady(settings)
            cw = (tones[BLUE] + tones[RED]) * dark[0] + tones[READOUT] * dark[1]
            between = cw * settings.train[1] / PS / ((tones[BLUE] + tones[RED]) * spans[0])
        detuning = float(self.laser.frequency_hz(t)) - cavity.frequency_hz
        return Areas(blue, red, readout, between, 1 / cavity.lorentzian(detuning))

    # --- clicks ---------------------------------------------------------------------------------

    def clicks(self, t0: int, t1: int) -> list[Ints]:
        """Electrical pulses (ps) in [t0, t1) at the four inputs of the tagger."""
        self._note()
        found: list[list[Ints]] = [[waiting[waiting >= t0]] for waiting in self._waiting]
        for begin, end, when in self._spans(t0, t1):
            for n, clicks in enumerate(self._span(begin, end, when)):
                found[n].append(clicks)
        out = []
        for n in DETECTORS:
            times = np.sort(np.concatenate(found[n]))
            cut = int(np.searchsorted(times, t1))
            self._waiting[n] = times[cut:]
            live = alive(times[:cut], self.detectors.dead_time_ps, self._last[n])
            if live.size:
                self._last[n] = int(live[-1])
            out.append(live)
        return [*out, *NOTHING]

    def _spans(self, t0: int, t1: int) -> Iterator[tuple[int, int, float]]:
        """Cut [t0, t1) ps where anything may change; with each the time (s) that stands for it."""
        begin = t0
        while begin < t1:
            place = bisect.bisect(self._history, begin, key=_moment) - 1
            since = max(_moment(self._history[place]), 0)
            following = self._history[place + 1 :][:1]
            end = min(t1, _moment(following[0])) if following else t1
            arrives = round(self._history[place][1].arrives * PS)
            step = FINE if begin < max(since + FOLLOWING, arrives) else COARSE
            cell = begin // step * step
            end = min(end, cell + step)
            yield begin, end, max(cell, since) / PS
            begin = end

    def _span(self, begin: int, end: int, when: float) -> Iterator[Ints]:
        """Clicks of both detectors that belong to [begin, end) ps; some are a little later."""
        settings = self.settings_at(when)
        efficiencies = tuple(self.detectors.efficiency(n, when) for n in DETECTORS)
        trials: list[Ints] = [NOTHING[0]] * 2
        if settings.train is not None and settings.pattern is not None and max(efficiencies) > 0:
            trials = self._trials(begin, end, when, settings, efficiencies)
        for n in DETECTORS:
            dark = self._dark[n].between(begin, end, self.detectors.dark_rate(n, when))
            yield np.concatenate((trials[n], dark))

    def _trials(
        self, begin: int, end: int, when: float, settings: Settings, efficiencies: tuple[float, ...]
    ) -> list[Ints]:
        assert settings.train is not None
        first, period = settings.train
        low, high = (max(-((first - edge) // period), 0) for edge in (begin, end))
        source = self._sources.setdefault(
            settings.train, TrialSource(self.seed_of, f"trials.{first}.{period}")
        )
        chances = self.chances(when, settings, efficiencies)
        if chances.any <= 0.0 or high <= low:
            return [NOTHING[0]] * 2
        return [
            first + trial * period + np.rint(time).astype(np.int64)
            for trial, time in source.clicks(low, high, chances, self.detectors.jitter_ps)
        ]

    def chances(self, t: float, settings: Settings, efficiencies: tuple[float, ...]) -> Chances:
        """What a trial at time `t` (s) may give; remembered until settings or time change."""
        key = settings, t, efficiencies
        if efficiencies not in self._known or self._known[efficiencies][0] != key:
            first, second = self._pulses(settings)
            areas = self.areas(t, settings)
            kelvin = self.cryostat.temperature_k(t)
            found = self.crystal.chances(areas, first, second, kelvin, efficiencies)
            self._known[efficiencies] = key, found
        return self._known[efficiencies][1]

    def photon_rate(self, detector: int, t: float) -> float:
        """Photons per second at a detector: what its counter shows at efficiency 1, less darks."""
        settings = self.settings_at(t)
        if settings.train is None or settings.pattern is None:
            return 0.0
        _, _, when = next(self._spans(round(t * PS), round(t * PS) + 1))
        key = settings, when
        if self._rates[0] != key:
            found = self.chances(when, settings, (1.0, 1.0)).patterns
            clicked = (np.arange(16)[:, None] & np.array([1 | 4, 2 | 8])) > 0
            self._rates = key, (found @ clicked * PS / settings.train[1]).tolist()
        return float(self._rates[1][detector])


class Triggers:
    """The delay generator's T0 at the start input of the tagger."""

    def __init__(self, world: OptomechanicsWorld) -> None:
        self._world = world
        self._trains: dict[Any, MissedTriggers] = {}

    def missed(self, last: int) -> Ints:
        """Numbers of the triggers up to `last` that do not reach the tagger."""
        world, train = self._world, self._world.settings_at(self._world.now).train
        if train not in self._trains:
            self._trains[train] = MissedTriggers(
                world.seed_of, f"trials.{train}", world.values["trigger_loss"]
            )
        return self._trains[train].up_to(last)

    @property
    def first_ps(self) -> int | None:
        train = self._world.settings_at(self._world.now).train
        return None if train is None else train[0]

    @property
    def period_ps(self) -> float:
        train = self._world.settings_at(self._world.now).train
        return 1.0 if train is None else float(train[1])


def _moment(entry: tuple[float, Settings]) -> int:
    return round(entry[0] * PS)
