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

from typing import Any

import numpy as np

from simulated_instruments.physics.analyser import AnalyserModel
from simulated_instruments.physics.edfa import EdfaModel
from simulated_instruments.physics.itla_laser import ItlaModel
from simulated_instruments.physics.laser import CtlLaserModel
from simulated_instruments.physics.phase_lock import PhaseLoop
from simulated_instruments.physics.power_meter import PowerMeterModel
from simulated_instruments.physics.rf_source import RfSourceModel
from simulated_instruments.physics.ring import Crossing, RingState
from simulated_instruments.physics.ring_table import RingTable
from simulated_instruments.physics.shaper import ShaperModel
from simulated_instruments.physics.thermal import Control, Plant, TecModel
from simulated_instruments.redpitaya_model import RedPitayaModel
from simulated_instruments.world import World, WorldParameter
from simulated_instruments.worlds.microcomb_detection import HomodyneNoise, LockSignal
from simulated_instruments.worlds.microcomb_filter import AT_REST, LASER_GRID, FilteredComb
from simulated_instruments.worlds.microcomb_slow import SlowLight
from simulated_instruments.worlds.microcomb_transmission import Transmission

C = 299_792_458.0  # speed of light, m/s

P = WorldParameter


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
        self.filtered = FilteredComb(v, self.rf_source, self.shaper, self.gamma_hz)
        self.lock_signal = LockSignal(self.filtered, self._slow)
        self.loop = PhaseLoop(
            lambda name: self.seed_of(f"lock.{name}"),
            drift=v["phase_drift"],
            fast_rms=v["fast_jitter"],
            error_amplitude=self.lock_signal.volts,
        )
        self.lock = RedPitayaModel(lambda name: self.seed_of(f"lock.{name}"), loop=self.loop)
        self.homodyne = HomodyneNoise(v, self.filtered, self._slow, self.ring, self.loop)
        self.analyser = AnalyserModel(self.seed_of, "analyser", self.homodyne)
        self.probe = ItlaModel(self.seed_of, "probe")
        self.behind_ring = Transmission(v, self.filtered, self._slow, self.probe)
        self.transmission = PowerMeterModel(self.seed_of, "transmission", self.behind_ring.watt)
        self.parts.update(  # in this order: what others look at comes first
            chip=self.chip, laser=self.laser, rf_source=self.rf_source, amplifier=self.amplifier,
            shaper=self.shaper, lock=self.lock, analyser=self.analyser,
            transmission=self.transmission, probe=self.probe,
        )  # fmt: skip

    # --- for looking into the world, as no instrument can ---------------------------------------

    def detuning(self, t: float) -> float:
        """Detuning (Gamma) of the pumped mode at time `t` (s): (mode - drive) / Gamma."""
        return float(self.homodyne.detuning(self._ring_hz(t)))

    def ring_state(self, t: float, frequency_hz: float = 0.5e6) -> RingState:
        """What leaves the ring at time `t` (s), and whether it oscillates."""
        shift, at = self._ring_hz(t), np.array([t])
        when = t if t < self.shaper.settle_until else AT_REST
        cell = float(np.rint(self._slow.exact_laser_hz(at)[0] / LASER_GRID))
        pumps = self.filtered.light_of(when, cell).pumps
        power = float(self._slow.exact_power(at)[0])
        if abs(shift) > self.values["capture_range"]:
            power = 0.0
        return self.ring.state(pumps, float(self.homodyne.detuning(shift)), power, frequency_hz)

    def _ring_hz(self, t: float) -> float:
        at = np.array([t])
        return float(self._slow.exact_laser_hz(at)[0] - self._slow.exact_chip_hz(at)[0])
