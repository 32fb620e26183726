"""The magnomechanics bench: a magnetised sphere between two cavities, driven, cooled, and read out.

    drive -> pump switch -> amplifier -> loop antenna at the sphere
          -> local oscillators at +-sideband (mixed with the sideband source)
    cavity 1, 2 -> switch (sample, cold load, hot load) -> amplifier -> IQ mixer -> low-pass -> I, Q

The digitiser's four inputs are I and Q of both outputs behind single-pole low-passes, so that a
sample is one temporal mode of each output field (gaussian_states, section 4). The board sets what
has no wire of its own: pins DIO0_P and DIO1_P are the input switch, DIO2_P closes the pump switch,
and slow output 0 tunes the low-passes, 10 kHz at 0 V and a decade for each 0.6 V.

The piezo controller moves the tuners of cavity 1 and 2 (axes 1 and 2), the antenna that couples
cavity 2 to its line (axis 3) and the sphere in the field of cavity 2 (axis 4). The magnet sets the
magnon's frequency, 28 GHz/T. All baths have the temperature of the mixing chamber.

Source: Yu, Shen, Li, Phys. Rev. Lett. 124, 213604 (2020) ("paper"), which proposes the experiment;
how it would be tuned and read out is assumed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulated_instruments.physics.cryostat import CryostatModel, Heater, Stage
from simulated_instruments.physics.digitiser import DigitiserModel
from simulated_instruments.physics.magnet import MagnetModel
from simulated_instruments.physics.magnomechanics import (
    Point,
    driven,
    load_outputs,
    outputs,
    quanta,
    reflection,
)
from simulated_instruments.physics.network_analyser import VnaModel
from simulated_instruments.physics.noise import LinearSystem, OrnsteinUhlenbeck
from simulated_instruments.physics.piezo import PiezoModel
from simulated_instruments.physics.record_chain import RecordChain
from simulated_instruments.physics.rf_source import RfSourceModel
from simulated_instruments.world import World, WorldParameter

GYROMAGNETIC = 28e9  # Hz/T
KILOGAUSS = 0.1  # T
MIXING_CHAMBER, LOAD = 6, 9  # channels of the thermometer bridge
MIDDLE_VOLTS = 60.0  # of axes 3 and 4, where antenna and sphere are as the parameters say
SLOWEST_FILTER, VOLTS_PER_DECADE = 0.01, 0.6  # MHz, V
SAMPLE, COLD_LOAD, HOT_LOAD = 0, 1, 2  # positions of the input switch
CONVERTER_NOISE = 1e-4  # V rms at the digitiser's inputs without any signal
REMEMBERED = 16  # record chains

P = WorldParameter


class MagnomechanicsWorld(World):
    """Everything between the drive and the digitiser, on one clock."""

    PARAMETERS = (
        P("phonon", 10.0, "MHz", "frequency of the sphere's vibration", "paper", 1.0, 100.0),
        P("phonon_damping", 1e-4, "MHz", "its damping rate", "paper: 100 Hz", 1e-7, 1.0),
        P("single_magnon_coupling", 0.3, "Hz", "strain coupling of one magnon",
          "paper: 0.3 Hz with 6.3 mW, 1 Hz with 0.57 mW", 0.0, 1e3),
        P("radius", 125e-6, "m", "of the sphere", "paper: 250 um diameter", 1e-6, 1e-2),
        P("kappa_1", 1.0, "MHz", "amplitude decay rate of cavity 1", "paper", 1e-3, 100.0),
        P("kappa_2", 1.0, "MHz", "the same of cavity 2, antenna in the middle", "paper",
          1e-3, 100.0),
        P("kappa_m", 1.0, "MHz", "the same of the magnon", "paper", 1e-3, 100.0),
        P("g_1", 3.8, "MHz", "coupling of cavity 1 and magnon", "paper", 0.0, 100.0),
        P("g_2", 3.8, "MHz", "the same of cavity 2, sphere in the middle", "paper", 0.0, 100.0),
        P("cavity_1", 9960.7, "MHz", "cavity 1 without voltage at its tuner", "assumed",
          1000.0, 13000.0),
        P("cavity_2", 9961.4, "MHz", "the same of cavity 2", "assumed", 1000.0, 13000.0),
        P("tuning_1", 0.52, "MHz/V", "of cavity 1 by its piezo", "assumed", 0.0, 10.0),
        P("tuning_2", 0.48, "MHz/V", "the same of cavity 2", "assumed", 0.0, 10.0),
        P("tuning_bend", 5e-4, "MHz/V^2", "curvature of both tuners", "assumed", -0.01, 0.01),
        P("remanence", 2.1e-4, "T", "field at the sphere without current", "assumed", -0.1, 0.1),
        P("field_noise", 3e-7, "", "relative rms of the magnet's current (100 s)", "assumed",
          0.0, 1.0),
        P("quench_current", 60.0, "A", "that the magnet carries; 10 GHz need 36 A", "assumed",
          0.0, 1000.0),
        P("base_temperature", 10.0, "mK", "of the mixing chamber without heating", "assumed",
          1.0, 10_000.0),
        P("drive_gain", 13.0, "dB", "from the source to the sphere, with amplifier", "assumed",
          -60.0, 60.0),
        P("added_noise_1", 5.0, "quanta", "of amplifier chain 1, referred to its input",
          "assumed: a good transistor amplifier", 0.5, 1000.0),
        P("added_noise_2", 5.0, "quanta", "of amplifier chain 2", "assumed", 0.5, 1000.0),
        P("chain_gain", 1e-3, "V^2", "variance at the digitiser for one quantum", "assumed",
          1e-9, 1e3),
        P("gain_drift", 5e-4, "", "relative rms of the chains' gain (1 h)", "assumed", 0.0, 1.0),
        P("iq_imbalance", 0.01, "", "relative difference of I and Q gains", "assumed", -0.5, 0.5),
        P("iq_skew", 1.0, "deg", "by which I and Q are not at right angles", "assumed",
          -30.0, 30.0),
        P("lo_phase_1", 0.0, "deg", "of local oscillator 1 against the drive", "assumed",
          -180.0, 180.0),
        P("lo_phase_2", 0.0, "deg", "of local oscillator 2 against the drive", "assumed",
          -180.0, 180.0),
        P("load_error", 0.003, "", "relative rms error of the load's thermometer, fixed",
          "assumed", 0.0, 0.5),
    )  # fmt: skip

    def __init__(self, seed: int = 0, **values: Any) -> None:
        super().__init__(seed, **values)
        v = self.values
        self.drive = RfSourceModel(self.seed_of, "drive")
        self.sideband = RfSourceModel(self.seed_of, "sideband", frequency_hz=1e9, power_dbm=-30.0)
        self.magnet = MagnetModel(
            self.seed_of,
            "magnet",
            quench_current=v["quench_current"],
            noise=v["field_noise"],
        )
        base = 1e-3 * v["base_temperature"]
        self.cryostat = CryostatModel(
            self.seed_of,
            "thermometer",
            stages={
                1: Stage("50 K plate", 38.0),
                2: Stage("4 K plate", 3.6),
                5: Stage("still", 0.85),
                MIXING_CHAMBER: Stage("mixing chamber", base, watts_per_k2=0.04),
                LOAD: Stage("calibration load", base, 2e-4, 4.0, 6.0, v["load_error"]),
            },
            heaters={0: Heater(MIXING_CHAMBER, 0.01), 1: Heater(LOAD, 0.02)},
        )
        self.piezos = PiezoModel()
        self.vna = VnaModel(self.seed_of, "vna", self.s_parameters)
        self.digitiser = DigitiserModel(self.seed_of, "digitiser", self.records)
        self._gain = [
            OrnsteinUhlenbeck(self.seed_of(f"gain.{n}"), v["gain_drift"], 3600.0) for n in (1, 2)
        ]
        self._offset = [
            OrnsteinUhlenbeck(self.seed_of(f"offset.{n}"), 50e-6, 600.0) for n in range(4)
        ]
        self._chains: dict[Any, RecordChain] = {}
        self.parts.update(
            drive=self.drive, sideband=self.sideband, magnet=self.magnet, piezos=self.piezos,
            thermometer=self.cryostat, vna=self.vna, digitiser=self.digitiser,
        )  # fmt: skip

    # --- the device -----------------------------------------------------------------------------

    def cavity_mhz(self, number: int, t: float) -> float:
        """Frequency of cavity 1 or 2 at time `t` (s)."""
        volts = self.piezos.at(number - 1, t)
        v = self.values
        return float(
            v[f"cavity_{number}"] + v[f"tuning_{number}"] * volts + v["tuning_bend"] * volts**2
        )

    def magnon_mhz(self, t: float) -> float:
        """Frequency of the magnon, without drive."""
        tesla = KILOGAUSS * self.magnet.field(t) + self.values["remanence"]
        return GYROMAGNETIC * abs(tesla) * 1e-6

    def drive_mw(self, t: float) -> float:
        """Power at the sphere."""
        closed = self.digitiser.pins.get("DIO2_P", False)
        if not (self.drive.output and closed):
            return 0.0
        return float(10 ** ((self.drive.power_dbm(t) + self.values["drive_gain"]) / 10))

    def point(self, t: float) -> Point:
        """The working point at time `t` (s), with what the drive makes of it."""
        v = self.values
        drive_hz = float(self.drive.frequency_hz(t))
        antenna = 10 ** ((self.piezos.at(2, t) - MIDDLE_VOLTS) / MIDDLE_VOLTS)
        sphere = self.piezos.at(3, t) / MIDDLE_VOLTS
        still = Point(
            detuning_1=self.cavity_mhz(1, t) - 1e-6 * drive_hz,
            detuning_2=self.cavity_mhz(2, t) - 1e-6 * drive_hz,
            detuning_m=self.magnon_mhz(t) - 1e-6 * drive_hz,
            kappa_1=v["kappa_1"],
            kappa_2=v["kappa_2"] * antenna,
            kappa_m=v["kappa_m"],
            g_1=v["g_1"],
            g_2=v["g_2"] * sphere,
            phonon=v["phonon"],
            damping=v["phonon_damping"],
            kelvin=self.cryostat.temperature_k(t, MIXING_CHAMBER),
            drive_hz=drive_hz,
        )
        return driven(still, self.drive_mw(t), v["single_magnon_coupling"], v["radius"])

    # --- what the instruments see ---------------------------------------------------------------

    def s_parameters(self, frequencies: NDArray[np.float64], t: float) -> NDArray[np.complex128]:
        """S parameters of the cavities' ports at frequencies (Hz)."""
        here = self.point(t)
        return reflection(here, 1e-6 * (frequencies - here.drive_hz))

    @property
    def bandwidth_mhz(self) -> float:
        """Amplitude decay rate of the low-passes over 2 pi."""
        return SLOWEST_FILTER * 10 ** (self.digitiser.outputs[0] / VOLTS_PER_DECADE)

    @property
    def position(self) -> int:
        """Of the input switch."""
        pins = self.digitiser.pins
        return int(pins.get("DIO0_P", False)) + 2 * int(pins.get("DIO1_P", False))

    def records(
        self, start: float, spacing: float, count: int, rng: np.random.Generator
    ) -> NDArray[np.float32]:
        """Volts (count, 4) at the digitiser's inputs at equally spaced times (s)."""
        offset = np.array([noise.at(start) for noise in self._offset], dtype=np.float32)
        if not (self.drive.output and self.sideband.output):  # mixers without local oscillators
            noise = rng.standard_normal((count, 4), dtype=np.float32)
            return np.asarray(np.float32(CONVERTER_NOISE) * noise + offset)
        quadratures = self._chain(start, spacing).draw(count, rng)
        return np.asarray(quadratures @ self._mixers(start) + offset)

    def _chain(self, start: float, spacing: float) -> RecordChain:
        v = self.values
        added = (v["added_noise_1"], v["added_noise_2"])
        bandwidth = self.bandwidth_mhz
        if self.position in (COLD_LOAD, HOT_LOAD):
            stage = MIXING_CHAMBER if self.position == COLD_LOAD else LOAD
            kelvin = self.cryostat.temperature_k(start, stage)
            noise = quanta(float(self.drive.frequency_hz(start)), kelvin) + 0.5
            key: Any = (noise, bandwidth, spacing)
            seen = load_outputs(bandwidth, (noise, noise), added)
        else:
            here, sideband = self.point(start), 1e-6 * float(self.sideband.frequency_hz(start))
            key = (here, bandwidth, sideband, spacing)
            seen = outputs(here, bandwidth, sideband, added)
        if key not in self._chains:
            if len(self._chains) >= REMEMBERED:
                self._chains.clear()
            system = LinearSystem(seen.drift, seen.diffusion)
            self._chains[key] = RecordChain(system, 1e6 * spacing, 4)
        return self._chains[key]

    def _mixers(self, t: float) -> NDArray[np.float32]:
        """From quadratures (a row) to volts: phase, gain, imbalance and skew of both mixers."""
        v = self.values
        matrix = np.zeros((4, 4))
        skew = math.radians(v["iq_skew"])
        for n in range(2):
            gain = math.sqrt(v["chain_gain"] * (1.0 + float(self._gain[n].at(t))))
            phase = math.radians(v[f"lo_phase_{n + 1}"])
            turned = np.array(
                [[math.cos(phase), math.sin(phase)], [-math.sin(phase), math.cos(phase)]]
            )
            uneven = np.array(
                [
                    [1.0 + v["iq_imbalance"] / 2, 0.0],
                    [math.sin(skew), math.cos(skew) * (1.0 - v["iq_imbalance"] / 2)],
                ]
            )
            matrix[2 * n : 2 * n + 2, 2 * n : 2 * n + 2] = gain * uneven @ turned
        return matrix.T.astype(np.float32)
