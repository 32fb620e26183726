"""The entanglement-network bench: two pumps, a ring that makes pairs, a router, four users.

    laser 1 (C34) - VOA 1 -+- tap 10 % -> power meter
    laser 2 (C46) - VOA 2 -+- ring (TEC) - tap -> power meter behind the ring
                                |
                       programmable filter: ITU channels to users A, B, C, D (ports 1 to 4)
                                |
          each user: beam splitter - 2 unbalanced interferometers - 4 SNSPDs - time tagger

A wavemeter holds both lasers. In the publication the channels are wired with fixed filters; here
a programmable filter routes them, so that a run that measures many pairs needs no hand. Reference
light for the interferometers is taken from pump 1. The phase sum of a pair follows the sum of
its pump frequencies over the path difference, so pumps that drift apart spoil the fringes of pairs
that pump 2 takes part in, and the rates through the ring's resonances.

All detectors of a user see all its channels. Channel C54 has more fibre than the others, so that
the two links of C and D (C50-C30 and C54-C26) are told apart by their delays.

Source: Fan et al., Light: Science & Applications 14 (2025), doi 10.1038/s41377-025-01805-1
("paper"). It states count rates and key rates; "inferred" is what was chosen to reproduce them.
"""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.physics.attenuator import AttenuatorModel
from simulated_instruments.physics.franson import InterferometerModel
from simulated_instruments.physics.laser import CtlLaserModel
from simulated_instruments.physics.network_light import (
    BLOCK_PS,
    LightState,
    NetworkLight,
    Receivers,
)
from simulated_instruments.physics.pair_source import (
    PUMPS,
    STIMULATED,
    SUMS,
    PairSource,
    frequency_thz,
)
from simulated_instruments.physics.pair_tags import DETECTORS
from simulated_instruments.physics.phase_shifter import PhaseShifterModel, PhotodiodesModel
from simulated_instruments.physics.power_meter import PowerMeterModel
from simulated_instruments.physics.shaper import ShaperModel
from simulated_instruments.physics.snspd import SnspdModel
from simulated_instruments.physics.tagger import TaggerModel
from simulated_instruments.physics.thermal import TecModel
from simulated_instruments.physics.wavemeter import Light, WavemeterModel
from simulated_instruments.world import World, WorldParameter

Floats = NDArray[np.float64]

C = 299_792_458.0  # speed of light, m/s
USERS = ("a", "b", "c", "d")
#: Channels that the filter may send to a user: every second one, without those of the pumps and
#: of stimulated four-wave mixing.
CHANNELS = tuple(c for c in range(12, 61, 2) if c not in (*PUMPS, *STIMULATED))
SPLIT_CHANNEL = 54  # the one with more fibre
DETECTOR_EFFICIENCY = 0.883812  # at 16 uA, where the efficiencies below hold
REMEMBERED = 2  # blocks of clicks of a user: a tagger may ask for one in pieces
WAVEMETER_UW = 100.0  # that reach the wavemeter from a laser at nominal power
#: Range of the programmable filter (THz), model for C and L band: C12 is outside the C band.
ROUTER_RANGE = (187.275, 196.275)

P = WorldParameter


def _efficiency(channel: int, value: float) -> WorldParameter:
    return P(f"efficiency_c{channel}", value, "", f"from the ring to a click in C{channel}, "
             "detectors at 16 uA", "inferred from the paper's key rates", 0.0, 0.88)  # fmt: skip


class EntanglementNetworkWorld(World):
    """Everything between the lasers and the time taggers, on one clock."""

    PARAMETERS = (
        P("pair_rate", 0.867e6, "1/s", "pairs with both pumps into a pair of channels at the "
          "reference power", "inferred from the paper's key rates", 0.0, 1e9),
        P("degenerate_ratio", 0.2945, "", "rate with one pump over that with both",
          "inferred; 1/4 is ideal", 0.0, 10.0),
        P("linear_noise", 0.10, "", "photons in proportion to the pump over those of all pairs, at "
          "the reference power", "inferred from the paper's count rates", 0.0, 100.0),
        P("reference_power", 0.4, "mW", "pump power, both together, at which these hold", "paper",
          1e-3, 100.0),
        P("ring_linewidth", 200e6, "Hz", "full width of the ring's resonances", "paper", 1e6, 1e10),
        P("franson_visibility", 0.99, "", "of a fringe without accidental coincidences",
          "inferred", 0.0, 1.0),
        _efficiency(38, 0.0918), _efficiency(42, 0.0918), _efficiency(54, 0.04364),
        _efficiency(30, 0.07023), _efficiency(50, 0.04529), _efficiency(26, 0.04426),
        P("efficiency_other", 0.06, "", "from the ring to a click in all other channels", "assumed",
          0.0, 0.88),
        P("excess_c", 1.0, "", "photons in C50 and C54 over what the ring makes",
          "1.35 fits the paper's visibilities of users C better", 1.0, 100.0),
        P("excess_d", 1.0, "", "photons in C26 and C30 over what the ring makes",
          "1.21 fits the paper's visibilities of user D better", 1.0, 100.0),
        P("path_delay", 10.0, "ns", "path difference of all interferometers", "inferred", 1.0,
          1000.0),
        P("fibre_c54", 50.0, "ns", "delay of C54 against the other channels",
          "assumed: tells both links of users C and D apart", -1000.0, 1000.0),
        P("phase_drift", 0.05, "rad/sqrt(s)", "random walk of an interferometer's phase",
          "assumed, insulated box", 0.0, 10.0),
        P("phase_acoustic", 0.01, "rad", "rms of its fast noise (5 ms)", "assumed", 0.0, 1.0),
        P("phase_kicks", 1e-5, "1/s", "rate at which a phase jumps, for each interferometer",
          "assumed", 0.0, 10.0),
        P("laser_power", 20.0, "mW", "nominal power of each laser", "assumed", 0.1, 1000.0),
        P("laser_drift", 1e6, "Hz/sqrt(s)", "random walk of a free laser's frequency",
          "assumed, typical of external-cavity lasers", 0.0, 1e9),
        P("laser_wander", 20e6, "Hz", "rms of a free laser's thermal wander (600 s)", "assumed",
          0.0, 1e9),
        P("laser_power_noise", 2e-3, "", "rms relative power noise (300 s)", "assumed", 0.0, 0.1),
        P("laser_hop_rate", 1e-6, "1/s", "rate of random mode hops of 5 GHz", "assumed", 0.0, 1.0),
        P("piezo_gain", 0.5e9, "Hz/V", "answer of a laser to the wavemeter's regulation output",
          "assumed", -1e11, 1e11),
        P("tuning", -2.5e9, "Hz/K", "shift of the resonances with temperature",
          "silicon nitride", -1e11, 1e11),
        P("ring_temperature", 30.0, "degC", "where the resonances are on the ITU grid", "assumed",
          10.0, 60.0),
        P("readout_rate", 8.5e6, "1/s", "tags that a tagger can send to a computer", "assumed",
          1.0, 1e12),
        P("readout_buffer", 1.6e7, "", "tags that wait in a tagger for that", "assumed", 1.0, 1e12),
        P("tap", 0.1, "", "part of the pump light that goes to the power meter", "paper", 0.0, 0.9),
    )  # fmt: skip

    def __init__(self, seed: int = 0, **values: Any) -> None:
        super().__init__(seed, **values)
        v = self.values
        self.source = PairSource(
            v["pair_rate"],
            v["degenerate_ratio"],
            v["linear_noise"],
            v["reference_power"],
            v["ring_linewidth"],
        )
        self.lasers = [self._laser(n) for n in (0, 1)]
        self.wavemeter = WavemeterModel(
            self.seed_of,
            "wavemeter",
            {
                number + 1: Light(
                    laser.frequency_hz,
                    partial(_wavemeter_uw, laser, v["laser_power"]),
                    v["piezo_gain"],
                )
                for number, laser in enumerate(self.lasers)
            },
        )
        self.attenuators = [AttenuatorModel(self.seed_of, f"voa_{n}") for n in (1, 2)]
        self.tec = TecModel(self.seed_of, "tec", tuning=v["tuning"])
        self.router = ShaperModel(*ROUTER_RANGE)
        count = 2 * len(USERS)
        self.heaters = PhaseShifterModel(self.seed_of, "phases", count, crosstalk=0.0)
        self.diodes = PhotodiodesModel(self.seed_of, "diodes", 2 * count, self.diode_ma)
        self.interferometers = [
            InterferometerModel(
                self.seed_of,
                f"interferometer.{number}",
                partial(self.heaters.phase, number),
                drift=v["phase_drift"],
                acoustic=v["phase_acoustic"],
                kicks=v["phase_kicks"],
            )
            for number in range(count)
        ]
        self.light = NetworkLight(self.look, self._receivers(), self.seed_of, self.watched)
        self.monitor = PowerMeterModel(self.seed_of, "monitor", self.tapped_w)
        self.behind = PowerMeterModel(self.seed_of, "behind", self.passed_w)
        self.detectors = [
            SnspdModel(
                self.seed_of,
                f"snspd_{user}",
                DETECTORS,
                photon_rate=partial(self.photon_rate, number),
                bias_ua=0.0,
            )
            for number, user in enumerate(USERS)
        ]
        self.taggers = [
            TaggerModel(
                self.seed_of,
                f"tagger_{user}",
                clicks=partial(self.clicks, number),
                max_rate=v["readout_rate"],
                buffer=v["readout_buffer"],
            )
            for number, user in enumerate(USERS)
        ]
        self._latest: list[dict[int, list[NDArray[np.int64]]]] = [{} for _ in USERS]
        self.parts.update(
            light=self.light, wavemeter=self.wavemeter,
            laser_1=self.lasers[0], laser_2=self.lasers[1],
            voa_1=self.attenuators[0], voa_2=self.attenuators[1], tec=self.tec, router=self.router,
            monitor=self.monitor, behind=self.behind, phases=self.heaters, diodes=self.diodes,
            **{f"snspd_{user}": one for user, one in zip(USERS, self.detectors, strict=True)},
            **{f"tagger_{user}": tagger for user, tagger in zip(USERS, self.taggers, strict=True)},
        )  # fmt: skip

    def _laser(self, number: int) -> CtlLaserModel:
        v = self.values
        return CtlLaserModel(
            self.seed_of,
            f"laser_{number + 1}",
            wavelength_nm=C / frequency_thz(PUMPS[number]) * 1e-3,
            power_mw=v["laser_power"],
            drift_hz=v["laser_drift"],
            thermal_hz=v["laser_wander"],
            power_noise=v["laser_power_noise"],
            hop_rate=v["laser_hop_rate"],
        )

    def _receivers(self) -> Receivers:
        v = self.values
        excess = {50: v["excess_c"], 54: v["excess_c"], 26: v["excess_d"], 30: v["excess_d"]}
        return Receivers(
            CHANNELS,
            len(USERS),
            tuple(excess.get(channel, 1.0) for channel in CHANNELS),
            tuple(round(1e3 * v["fibre_c54"]) * (c == SPLIT_CHANNEL) for c in CHANNELS),
            round(1e3 * v["path_delay"]),
            v["franson_visibility"],
            v["ring_linewidth"],
        )

    # --- the pumps ------------------------------------------------------------------------------

    def pump_mw(self, number: int, times: Any) -> Any:
        """Power (mW) of a pump in front of the ring; 0 is the first."""
        power = self.lasers[number].power_mw(times) * self.attenuators[number].transmission(times)
        return power * (1.0 - self.values["tap"])

    def pump_shift_hz(self, number: int, times: Any) -> Any:
        """Frequency (Hz) of a pump above the middle of its channel."""
        held = self.wavemeter.frequency_hz(number + 1, times)
        return held - 1e12 * frequency_thz(PUMPS[number])

    def detuning_hz(self, number: int, times: Any) -> Any:
        """Frequency (Hz) of a pump above the resonance that it is to meet."""
        warm = self.tec.temperature(times) - self.values["ring_temperature"]
        return self.pump_shift_hz(number, times) - self.values["tuning"] * warm

    def tapped_w(self, times: Floats) -> Any:
        """Power (W) at the meter in front of the ring."""
        tap = self.values["tap"]
        return sum(self.pump_mw(n, times) for n in (0, 1)) * 1e-3 * tap / (1.0 - tap)

    def passed_w(self, times: Floats) -> Any:
        """Power (W) of both pumps behind the ring."""
        return 1e-3 * sum(
            self.pump_mw(n, times) * self.source.transmission(self.detuning_hz(n, times))
            for n in (0, 1)
        )

    def diode_ma(self, number: int, t: float) -> float:
        """Photocurrent (mA) of a photodiode: two behind each interferometer."""
        light = self.lasers[0].power_mw(t) / self.values["laser_power"]
        return self.interferometers[number // 2].diode_ma(number % 2, t, light)

    # --- the photons ----------------------------------------------------------------------------

    def look(self, times: Floats) -> LightState:
        """The light at times (s)."""
        powers = [np.asarray(self.pump_mw(n, times)) for n in (0, 1)]
        emission = self.source.emission(*powers, *(self.detuning_hz(n, times) for n in (0, 1)))
        phases = np.stack([one.phase(times) for one in self.interferometers], axis=-1)
        apart = self.pump_shift_hz(1, times) - self.pump_shift_hz(0, times)
        turn = 2.0 * math.pi * 1e-9 * self.values["path_delay"] * apart
        second = np.array([(total - 2 * PUMPS[0]) // (PUMPS[1] - PUMPS[0]) for total in SUMS])
        return LightState(
            np.stack(emission.pairs, axis=-1),
            emission.linear,
            phases.reshape(-1, len(USERS), 2),
            turn[:, None] * second,  # pump 2 takes part once, never, or twice
            self._arriving(times),
        )

    def _arriving(self, times: Floats) -> Floats:
        """Probability that a photon of a channel arrives at a user: (times, channels, users)."""
        v = self.values
        reach = (
            np.array([v.get(f"efficiency_c{c}", v["efficiency_other"]) for c in CHANNELS])
            / DETECTOR_EFFICIENCY
        )
        lines = np.array([frequency_thz(c) for c in CHANNELS])
        turning = times < self.router.settle_until
        result = np.empty((len(times), len(CHANNELS), len(USERS)))
        for user in range(len(USERS)):
            rest = np.abs(self.router.transfer(user + 1, lines, self.router.settle_until)) ** 2
            result[:, :, user] = rest
            for row in np.flatnonzero(turning):
                passing = self.router.transfer(user + 1, lines, float(times[row]))
                result[row, :, user] = np.abs(passing) ** 2
        return result * reach[:, None]

    def watched(self) -> bool:
        """Whether anybody counts photons."""
        return any(tagger.wanted() for tagger in self.taggers)

    def clicks(self, user: int, start: int, end: int) -> list[NDArray[np.int64]]:
        """Pulses at the tagger of a user in [start, end) ps, by detector."""
        blocks = range(start // BLOCK_PS, -(-end // BLOCK_PS))
        parts = [self._detected(user, block) for block in blocks]
        found = []
        for detector in range(DETECTORS):
            times = np.concatenate([part[detector] for part in parts])
            found.append(times[slice(*np.searchsorted(times, (start, end)))])
        return found

    def _detected(self, user: int, block: int) -> list[NDArray[np.int64]]:
        """Clicks of the detectors of a user in one block."""
        known = self._latest[user]
        if block not in known:
            begin = block * BLOCK_PS
            arrivals = self.light.arrivals(block)[DETECTORS * user : DETECTORS * (user + 1)]
            if len(known) >= REMEMBERED:
                known.pop(next(iter(known)))
            known[block] = [
                self.detectors[user].detect(
                    n, times, begin, begin + BLOCK_PS, self.rng(f"clicks.{user}.{n}.{block}")
                )
                for n, times in enumerate(arrivals)
            ]
        return known[block]

    def photon_rate(self, user: int, detector: int, t: float) -> float:
        """Photons per s at a detector of a user at a time (s), on average."""
        if not any(attenuator.open for attenuator in self.attenuators):
            return 0.0
        return self.light.rate(user, t) / DETECTORS


def _wavemeter_uw(laser: CtlLaserModel, nominal_mw: float, times: Any) -> Any:
    """Light (uW) that a laser sends to the wavemeter."""
    return WAVEMETER_UW * laser.power_mw(times) / nominal_mw
