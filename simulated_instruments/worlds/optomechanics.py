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
`physics.optomechanics`). What the instruments were told, the light, the crystal and the clicks each
have a module of their own; the world puts them together.

Source: Wang et al., "Nonclassical phonon pair" ("paper"); what is "inferred" was chosen so that
its count rates and correlations come out.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.aa_mpds import MpdsModel
from simulated_instruments.physics.attenuator import AttenuatorModel
from simulated_instruments.physics.cryostat import STAGES, CryostatModel
from simulated_instruments.physics.delay_generator import DelayGeneratorModel
from simulated_instruments.physics.laser import CtlLaserModel
from simulated_instruments.physics.power_meter import PowerMeterModel
from simulated_instruments.physics.pulse_streamer import PulseStreamerModel
from simulated_instruments.physics.snspd import SnspdModel, Wire
from simulated_instruments.physics.tagger import TaggerModel
from simulated_instruments.world import World, WorldParameter
from simulated_instruments.worlds.optomechanics_clicks import Clicks, Ints, Triggers
from simulated_instruments.worlds.optomechanics_crystal import Crystal
from simulated_instruments.worlds.optomechanics_light import TonesAndPulses
from simulated_instruments.worlds.optomechanics_settings import History, told

MIXING_CHAMBER, WARMING_W = 6, 0.04  # channel of the thermometer; power that takes it to 1 K

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
        self.history = History(
            lambda: told(
                self.pulser, self.delays, self.radio, self.attenuators, v["aom_saturation"]
            )
        )
        self.light = TonesAndPulses(v, self.laser, self.attenuators, self.crystal.cavity)
        self.detectors = SnspdModel(
            self.seed_of, "detectors", 2, wire=Wire(stray_rate=v["stray_rate"])
        )
        self.clicks = Clicks(
            self.seed_of, self.history, self.light, self.crystal, self.cryostat, self.detectors
        )
        self.detectors.photon_rate = self.clicks.photon_rate
        triggers = Triggers(
            self.seed_of, v["trigger_loss"], lambda: self.history.at(self.now).train
        )
        self.tagger = TaggerModel(
            self.seed_of, "tagger", clicks=self._tagged, reference=triggers, zero_ps=None,
            max_rate=v["tagger_rate"], buffer=v["tagger_buffer"],
        )  # fmt: skip
        self.power = PowerMeterModel(self.seed_of, "power", self.tapped_w, v["wavelength"])
        self.parts.update(
            laser=self.laser, thermometer=self.cryostat, pulser=self.pulser, delays=self.delays,
            radio=self.radio, detectors=self.detectors, tagger=self.tagger, power=self.power,
        )  # fmt: skip
        self.parts |= {f"voas.{n}": model for n, model in enumerate(self.attenuators, 1)}

    def advance(self, now: float) -> None:
        self.history.note(self.now)  # what was told after the last call holds from then on
        fails = self.values["cooling_fails"]
        if 0.0 < fails <= now:
            self.cryostat.load(fails, MIXING_CHAMBER, WARMING_W)
        super().advance(now)

    def _tagged(self, t0: int, t1: int) -> list[Ints]:
        """Electrical pulses (ps) in [t0, t1) at the four inputs of the tagger."""
        self.history.note(self.now)
        return self.clicks.between(t0, t1)

    def tapped_w(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Mean power (W) on the meter in front of the cryostat at times (s)."""
        tap, history = self.values["tap"], self.history
        return np.array(
            [tap * self.light.mean_w(t, history.at(t)) for t in times_s.ravel().tolist()]
        )
