"""What the squeezing measurements of the cluster-microcomb bench share: pumps, LO, noise powers.

The comb shaper sends pump lines to the ring through port 1 and local-oscillator lines to the
detector through port 2. A quadrature is selected by phase and weight of the LO lines: line k at
phase theta measures x_k cos(theta) + p_k sin(theta). Shot noise is measured with the pump lines
blocked and the same LO; the phase lock, which needs the pump light, is frozen meanwhile.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from labctl.errors import InstrumentError, RequestError
from labctl.parameters import choice, integer, number, text
from procedures.comb_light import LIGHT, CombLight
from procedures.graphs import CALIBRATED_OUTPUT, METER_ERROR, PUMPS, Graph, graph

if TYPE_CHECKING:
    from drivers.redpitaya_lock import RedPitayaLock
    from drivers.spectrum_analyser import SpectrumAnalyser
    from drivers.toptica_dlcpro import TopticaDlcPro
    from drivers.waveshaper import WaveShaper
    from labctl.procedure import RunData

PUMP_PORT, LO_PORT = 1, 2

#: Each quadrature of the pair k, -k: LO phases of lines k and -k relative to the squeezing angle.
QUADRATURES = {
    "x+x": (0.0, 0.0),
    "p-p": (math.pi / 2, -math.pi / 2),
    "x-x": (0.0, math.pi),
    "p+p": (math.pi / 2, math.pi / 2),
}
#: Which quadrature gives which result, and whether less noise counts positive.
PAIR_RESULTS = {
    "squeezing_x": ("x+x", -1.0),
    "squeezing_p": ("p-p", -1.0),
    "antisqueezing_x": ("x-x", 1.0),
    "antisqueezing_p": ("p+p", 1.0),
}

#: How often a setting is measured again because the phase lock failed meanwhile.
TRIES = 3


@dataclass(frozen=True)
class Power:
    """Noise power in mW with its standard error, and the last trace (dBm)."""

    value: float
    error: float
    trace: np.ndarray


@dataclass(frozen=True)
class Reading:
    """One quadrature: noise with and without light from the ring, identical settings."""

    signal: Power
    shot: Power
    lock_rms: float  # rad
    tries: int = 1  # traces that it took until the phase was locked all the time


class HomodyneMeasurement(CombLight):
    """Parameters and steps of a homodyne noise measurement; combine with `LabProcedure`."""

    dark: tuple[float, float] = (0.0, 0.0)  # mean dark power (mW) and its error, once it is known

    INSTRUMENTS: ClassVar[tuple[str, ...]] = (*LIGHT, "lock", "analyser")

    averages: int = integer(
        "Averages", 1, minimum=1, maximum=1000, meaning="traces averaged for each noise power"
    )
    sweep_time: float = number(
        "Sweep time", 4.0, unit="s", minimum=0.5, maximum=1000, meaning="length of one noise trace"
    )
    trace_points: int = integer(
        "Trace points", 401, minimum=51, maximum=20001, meaning="points of one noise trace"
    )
    analysis_frequency: float = number(
        "Analysis frequency", 0.5, unit="MHz", minimum=0.2, maximum=50,
        meaning="centre of the zero-span noise measurement",
    )  # fmt: skip
    resolution_bandwidth: float = number(
        "Resolution bandwidth", 100.0, unit="kHz", minimum=1, maximum=1000,
        meaning="of the analyser",
    )  # fmt: skip
    video_bandwidth: float = number(
        "Video bandwidth", 10.0, unit="Hz", minimum=1, maximum=1000, meaning="of the analyser"
    )
    pump_attenuation: float = number(
        "Pump attenuation", 3.0, unit="dB", minimum=0, maximum=40,
        meaning="shaper attenuation of the primary pump line; 3 dB pump the ring at 0.605 of "
        "threshold",
    )  # fmt: skip
    piezo_centre: float = number(
        "Piezo centre", 70.0, unit="V", minimum=5, maximum=135,
        meaning="piezo voltage at which the pumped mode is on resonance",
    )  # fmt: skip
    piezo_pull: float = number(
        "Piezo pull", 20.0, unit="MHz/V", minimum=0.1, maximum=1e4,
        meaning="by how much one volt changes the detuning of the thermally locked ring",
    )  # fmt: skip
    detuning_shift: float = number(
        "Detuning shift", 0.0, unit="MHz", minimum=-200, maximum=200,
        meaning="added to the operating detuning (mode minus drive) of the pump configuration: "
        "-0.619 single, -11.85 1d, -15.86 2d",
    )  # fmt: skip

    def check_pumps(self, graph: Graph) -> None:
        """Refuse pumps above threshold; nothing was switched on."""
        graph.check(self.pump_attenuation, graph.detuning + self.detuning_shift)

    def open_bench(self, graph: Graph) -> None:
        """Switch on, tune to the operating point, close the phase lock, set the analyser."""
        self.laser: TopticaDlcPro = self.bench["laser"]
        self.shaper: WaveShaper = self.bench["shaper"]
        self.lock: RedPitayaLock = self.bench["lock"]
        self.analyser: SpectrumAnalyser = self.bench["analyser"]
        self.pump_lines = graph.lines
        detuning = graph.detuning + self.detuning_shift
        # A higher voltage raises the laser frequency and so lowers mode minus drive.
        self.operating_piezo = self.piezo_centre - detuning / self.piezo_pull
        self.switch_on(self.operating_piezo)
        self._check_amplifier(graph)
        self.analyser.configure_zero_span(
            centre_hz=self.analysis_frequency * 1e6,
            rbw_hz=self.resolution_bandwidth * 1e3,
            vbw_hz=self.video_bandwidth,
            sweep_time_s=self.sweep_time,
            points=self.trace_points,
        )
        self.load({}, pumped=True)
        self.lock.acquire()
        self.lock.lock(0.0)

    def _check_amplifier(self, graph: Graph) -> None:
        """Refuse pumps above threshold because there is more light than at the calibration.

        The filter is still closed.
        """
        output = self.bench["amplifier"].output_power
        excess = 10.0 * math.log10(max(output, 1e-9) / CALIBRATED_OUTPUT)
        if excess > METER_ERROR:
            graph.check(
                self.pump_attenuation - excess, graph.detuning + self.detuning_shift,
                f" with {output:.1f} mW from the amplifier, {excess:.1f} dB more than calibrated",
            )  # fmt: skip

    def close_bench(self) -> None:
        """Leave light and feedback off."""
        self.switch_off()
        self.bench["lock"].unlock()

    def load(
        self,
        lo: Mapping[int, float],
        *,
        pumped: bool,
        weights: Mapping[int, float] | None = None,
    ) -> None:
        """Load pump lines (or none) and LO lines with their phases (rad) into the shaper.

        `weights` are relative amplitudes of LO lines, at most 1, which they are by default.
        """
        self.shaper.clear()
        if pumped:
            for line, share, phase in self.pump_lines:
                if line in lo:
                    raise RequestError(
                        f"shaper: line {line} is wanted as pump and as local oscillator; "
                        "the shaper gives each line to one port, so choose another mode"
                    )
                attenuation = self.pump_attenuation - 10.0 * math.log10(share)
                self.load_line(line, phase_rad=phase, port=PUMP_PORT, attenuation_db=attenuation)
        for line, phase in lo.items():
            weight = 1.0 if weights is None else weights[line]
            attenuation = -20.0 * math.log10(weight)
            self.load_line(line, phase_rad=phase, port=LO_PORT, attenuation_db=attenuation)
        self.shaper.load()

    def read_quadrature(
        self, lo: Mapping[int, float], weights: Mapping[int, float] | None = None
    ) -> Reading:
        """Measure signal and shot noise for LO lines with phases (rad) and relative amplitudes.

        Whether the phase is locked is asked when the trace is complete, so that a lock lost on
        the way is seen; the setting is then measured again.
        """
        for attempt in range(1, TRIES + 1):
            self.load(lo, pumped=True, weights=weights)
            self.lock.thaw()
            signal = self.read_power()
            state = self.lock.locked()
            if state.ok:
                break
            self.note(  # type: ignore[attr-defined]
                f"phase lock lost (mean {state.mean:.3f} rad, rms {state.rms:.3f} rad"
                f"{', saturated' if state.saturated else ''}) in try {attempt}: measuring again"
            )
            self.lock.relock()
        else:
            raise InstrumentError(
                f"lock: the phase was not locked after any of {TRIES} traces of "
                f"{self.sweep_time:g} s; check its bandwidth and the light on the detector"
            )
        self.lock.freeze()
        self.load(lo, pumped=False, weights=weights)
        return Reading(signal, self.read_power(), state.rms, attempt)

    def read_dark(self) -> tuple[Power, Power]:
        """Detector and analyser noise alone, twice; the lock is frozen, all light blocked."""
        self.lock.freeze()
        self.load({}, pumped=False)
        return self.read_power(), self.read_power()

    def read_power(self) -> Power:
        """Mean noise power of `averages` traces."""
        readings = [self.analyser.zero_span_power() for _ in range(self.averages)]
        values, errors, traces = zip(*readings, strict=True)
        error = math.sqrt(sum(e * e for e in errors)) / len(errors)
        return Power(float(np.mean(values)), error, np.asarray(traces[-1]))

    def dark_row(self) -> dict[str, Any]:
        """Measure dark noise: the columns that every row has."""
        row = power_columns(*self.read_dark())
        row |= {"variance": 0.0, "variance error": 0.0, "lock rms (rad)": 0.0}
        return row | {"time (s)": self.bench.clock.now()}

    def row(self, reading: Reading) -> dict[str, Any]:
        """The columns that every row has, of a quadrature."""
        signal, shot = reading.signal, reading.shot
        variance, error = noise_over_shot(
            signal.value, signal.error, shot.value, shot.error, *self.dark
        )
        return power_columns(signal, shot, reading.tries) | {
            "variance": variance,
            "variance error": float(error),
            "lock rms (rad)": float(reading.lock_rms),
            "time (s)": self.bench.clock.now(),
        }

    def remember_dark(self, row: Mapping[str, Any]) -> None:
        """Take the dark noise from a row of that kind."""
        powers = (row["signal (mW)"] + row["shot (mW)"]) / 2
        self.dark = powers, math.hypot(row["signal error (mW)"], row["shot error (mW)"]) / 2


class ClusterMeasurement(HomodyneMeasurement):
    """A homodyne measurement of the graph that several pump lines make."""

    topology: str = choice(
        "Topology", "1d", ["1d", "2d", "single"],
        meaning="pump lines: 0 and -1 (1d); -1, 0 and 1 (2d); 0 alone (single)",
    )  # fmt: skip
    pumps: str = text(
        "Pumps", "",
        meaning="own pump lines instead, as line:relative power@phase in rad, such as "
        f'"{PUMPS["1d"]}@0.5"; the strongest has the pump attenuation, the edges follow',
    )  # fmt: skip

    @property
    def graph(self) -> Graph:
        """The pump lines and the graph they make."""
        return graph(self.topology, self.pumps)

    def announce(self, settings: int) -> None:
        """Say in the run's notes what the user's own pumps make, before anything is measured."""
        if self.pumps and not self.rows:  # type: ignore[attr-defined]
            detuning = self.graph.detuning + self.detuning_shift
            self.note(  # type: ignore[attr-defined]
                self.graph.describe(self.pump_attenuation, detuning, settings)
            )


#: Columns that `HomodyneMeasurement.row` fills.
POWER_COLUMNS = [
    "variance",
    "variance error",
    "signal (mW)",
    "signal error (mW)",
    "shot (mW)",
    "shot error (mW)",
    "lock rms (rad)",
    "tries",
    "time (s)",
]
TRACE_COLUMNS = ("signal (dBm)", "shot (dBm)")


def repeated(data: RunData) -> int:
    """How many traces were measured again because the phase lock was lost."""
    tries = data.columns.get("tries")
    return 0 if tries is None else int(np.sum(tries) - len(tries))


def power_columns(signal: Power, shot: Power, tries: int = 1) -> dict[str, Any]:
    """Values, errors and traces of two noise powers."""
    return {
        "tries": tries,
        "signal (mW)": signal.value,
        "signal error (mW)": signal.error,
        "shot (mW)": shot.value,
        "shot error (mW)": shot.error,
        "signal (dBm)": signal.trace,
        "shot (dBm)": shot.trace,
    }


def dark_power(
    kinds: np.ndarray, powers: Sequence[np.ndarray], errors: Sequence[np.ndarray]
) -> tuple[float, float]:
    """Mean dark power (mW) and its error: in rows of kind "dark" both powers are dark."""
    rows = kinds == "dark"
    values = np.concatenate([power[rows] for power in powers])
    sigmas = np.concatenate([error[rows] for error in errors])
    return float(values.mean()), float(np.sqrt(np.sum(sigmas**2)) / len(sigmas))


def noise_over_shot(
    signal: Any, signal_error: Any, shot: Any, shot_error: Any, dark: float, dark_error: float
) -> tuple[Any, Any]:
    """Variance relative to shot noise, (signal - dark) / (shot - dark), and its error."""
    reference = shot - dark
    variance = (signal - dark) / reference
    error = np.sqrt(
        signal_error**2 + (variance * shot_error) ** 2 + ((1.0 - variance) * dark_error) ** 2
    )
    return variance, error / np.abs(reference)


def noise_relative_to_shot(data: RunData) -> tuple[np.ndarray, np.ndarray]:
    """Variance over shot noise and its error for each row of a run; NaN in dark rows."""
    kinds = np.asarray(data["kind"])
    if "dark" not in kinds:
        raise RequestError("this run lacks its dark noise; resume it first")
    signal, shot = data["signal (mW)"], data["shot (mW)"]
    errors = data["signal error (mW)"], data["shot error (mW)"]
    dark = dark_power(kinds, (signal, shot), errors)
    light = kinds != "dark"
    variance, error = np.full(len(kinds), np.nan), np.full(len(kinds), np.nan)
    variance[light], error[light] = noise_over_shot(
        signal[light], errors[0][light], shot[light], errors[1][light], *dark
    )
    return variance, error


def to_db(variance: Any) -> Any:
    """Decibel above shot noise; NaN where less than the dark noise was measured."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return 10.0 * np.log10(variance)


def db_error(variance: Any, error: Any) -> Any:
    """Standard error in dB of a variance."""
    return 10.0 / math.log(10.0) * error / np.asarray(variance)


def squeezing_angle(scan: Mapping[float, float]) -> tuple[float, float]:
    """Phase (rad) of the least noise, and its standard error, from variances by LO phase (rad)."""
    (_, b, c), spread = fit_scan(np.array(list(scan)), np.array(list(scan.values())))
    slope = np.array([0.0, -c, b]) / (2.0 * (b * b + c * c))
    return 0.5 * math.atan2(-c, -b), float(np.sqrt(slope @ spread @ slope))


def fit_scan(theta: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least squares of a + b cos 2 theta + c sin 2 theta: coefficients and their covariance.

    Noise powers have equal relative errors, so a point counts with the inverse square of its
    value; how large they are is taken from the scatter around the fit.
    """
    design = scan_design(theta) / values[:, None]
    coefficients, *_ = np.linalg.lstsq(design, np.ones_like(values), rcond=None)
    scatter = np.sum((design @ coefficients - 1.0) ** 2) / (len(values) - 3)
    return coefficients, np.linalg.inv(design.T @ design) * scatter


def scan_design(theta: np.ndarray) -> np.ndarray:
    """Columns 1, cos 2 theta, sin 2 theta."""
    return np.stack([np.ones_like(theta), np.cos(2 * theta), np.sin(2 * theta)], axis=1)
