"""Control of the magnomechanics bench: tune up, set a point, take records.

A procedure yields points of kind `coarse`, `cross`, `axes`, `pump` (sweeps that tune the bench up),
`loads` (records of both calibration loads), `check` (a sweep at a working point) and `state`
(records there with the pump switch open and closed).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.analysis.heterodyne import load_variance, records_needed
from labctl.analysis.magnomechanics import (
    Device,
    negativity_gradient,
    output_covariance,
    signed_negativity,
)
from labctl.analysis.mode_fit import (
    CAVITIES,
    MODES,
    ModeFit,
    best_start,
    fit_modes,
    resonance_guess,
)
from labctl.errors import InstrumentError, RequestError
from labctl.parameters import number
from procedures.magnon_setup import (
    AXES,
    AXES_STEPS,
    CAUTION,
    COARSE,
    CROSSINGS,
    FITTED,
    MIDDLE,
    Setup,
    expected_strength,
    require_stable,
)

if TYPE_CHECKING:
    from drivers.agilent_8257d import Agilent8257D
    from drivers.ami430 import Ami430
    from drivers.attocube_anc300 import Anc300
    from drivers.keysight_pna import KeysightPna
    from drivers.lakeshore_372 import LakeShore372
    from drivers.redpitaya_scpi import RedPitayaDigitiser
    from drivers.rohde_schwarz_smb import RohdeSchwarzGenerator
    from labctl.bench import Bench

INSTRUMENTS = ("thermometer", "magnet", "piezos", "vna", "sideband", "digitiser", "drive")
BUFFER = 16384  # records of one acquisition
BUFFERS_PER_ROW = 16
STAGE, LOAD, LOAD_HEATER = 6, 9, 1
SWITCH_PINS = ("DIO0_P", "DIO1_P")
PUMP_PIN = "DIO2_P"
SAMPLE, COLD, HOT = 0, 1, 2  # positions of the input switch
FILTER_OUTPUT, SLOWEST_FILTER, VOLTS_PER_DECADE = 0, 0.01, 0.6  # MHz, V
SETTLE = 0.05  # s after a switch
#: Records are at least this far apart (us, and in filter time constants), so that they are new.
APART, APART_TIMES = 5.0, 8.0
#: Part of the samples that may stand at the converter's ends by chance.
CLIPPED = 1e-5
LO_LEVEL = 10.0  # dBm of the sideband source
VNA_BANDWIDTH, VNA_POWER = 10e3, -10.0  # Hz, dBm
READINGS = 5  # of a thermometer
DRIVEN_STEP = 0.2  # MHz, of sweeps with the pump on

ROW_COLUMNS = [
    "index", "kind", "place", "step", *AXES, "field (T)", "drive (dBm)", *FITTED.values(),
    "misfit", "stage (mK)", "load (mK)", "records", "clipped",
]  # fmt: skip
#: Arrays of a row; those that a kind of row does not have are empty.
ROW_ARRAYS: dict[str, type] = {
    "probe (MHz)": float, "s": complex, "fit covariance": float, "moments": float,
}  # fmt: skip
ROW_TRACES = tuple(ROW_ARRAYS)


class MagnonMeasurement:
    """Parameters and control of the bench; a mixin of `LabProcedure`s."""

    temperature: float = number(
        "Temperature", 20.0, unit="mK", minimum=5, maximum=400, meaning="of the mixing chamber"
    )
    coupling: float = number(
        "Coupling", 4.5, unit="MHz", minimum=0.1, maximum=50,
        meaning="G, drive-enhanced magnon-phonon coupling",
    )  # fmt: skip
    magnon_detuning: float = number(
        "Magnon detuning", 9.0, unit="MHz", minimum=-30, maximum=30,
        meaning="from the drive, with the shift by the mean strain",
    )  # fmt: skip
    bandwidth: float = number(
        "Bandwidth", 0.5, unit="MHz", minimum=0.01, maximum=100,
        meaning="amplitude decay rate of the output filters over 2 pi",
    )  # fmt: skip
    sideband: float = number(
        "Sideband", 10.0, unit="MHz", minimum=1, maximum=50,
        meaning="centres of the output filters: this far above and below the drive",
    )  # fmt: skip
    load_temperature: float = number(
        "Load temperature", 4000.0, unit="mK", minimum=5, maximum=8000,
        meaning="of the hot calibration load; the cold one is at the mixing chamber",
    )  # fmt: skip
    load_accuracy: float = number(
        "Load accuracy", 0.3, unit="%", minimum=0, maximum=50,
        meaning="standard error of the hot load's thermometer",
    )  # fmt: skip
    stage_accuracy: float = number(
        "Stage accuracy", 0.5, unit="%", minimum=0, maximum=50,
        meaning="standard error of the mixing chamber's thermometer",
    )  # fmt: skip
    added_noise: float = number(
        "Added noise", 5.0, unit="quanta", minimum=0.5, maximum=1000,
        meaning="of the amplifiers, to foretell errors; it is measured",
    )  # fmt: skip
    drive_frequency: float = number(
        "Drive frequency", 9991.0, unit="MHz", minimum=5000, maximum=12000, meaning="of the drive"
    )
    drive_gain: float = number(
        "Drive gain", 13.0, unit="dB", minimum=-60, maximum=60,
        meaning="from the source to the sphere",
    )  # fmt: skip
    single_coupling: float = number(
        "Single-magnon coupling", 0.3, unit="Hz", minimum=1e-3, maximum=1e3,
        meaning="expected; the first sweep with drive is 14 dB weaker and finds out",
    )  # fmt: skip
    ramp_rate: float = number(
        "Ramp rate", 0.01, unit="T/s", minimum=1e-6, maximum=10, meaning="of the magnet"
    )

    bench: Bench
    rows: Any
    show: Any

    # ------------------------------------------------- what is wanted

    def wanted(self, detuning_1: float, detuning_2: float, **changes: float) -> Device:
        """The device at a working point as the parameters describe it."""
        return Device(
            detuning_1=detuning_1,
            detuning_2=detuning_2,
            detuning_m=self.magnon_detuning,
            coupling=self.coupling,
            temperature=self.temperature,
            magnon=self.drive_frequency + self.magnon_detuning,
        ).with_(**changes)

    def check_records(self, device: Device, records: int, error: float, name: str) -> None:
        """Refuse what cannot be measured, before anything is switched on.

        Raises:
            RequestError: an unstable point, a filter as wide as the modes are apart, loads that
                are too much alike, or too few records for the error that is asked for.
        """
        require_stable(device, name)
        spacing = 2.0 * self.sideband
        if 2.0 * self.bandwidth > spacing:
            raise RequestError(
                f"{name}: filters of {self.bandwidth:g} MHz are {2 * self.bandwidth:g} MHz wide, "
                f"wider than the modes are apart ({spacing:g} MHz), and mix them; ask for at most "
                f"{spacing / 2:g} MHz"
            )
        hot = load_variance(self.drive_frequency, self.load_temperature)
        cold = load_variance(self.drive_frequency, float(device.temperature))
        if hot - cold < 0.1:
            raise RequestError(
                f"{name}: loads at {self.load_temperature:g} mK and {float(device.temperature):g} "
                f"mK differ by {hot - cold:.2g} quanta, which does not tell the gain from the "
                "added noise; ask for a load_temperature of 1000 mK or more"
            )
        if error > 0:
            needed = records_needed(self.spread(device), error)
            if needed > records:
                raise RequestError(
                    f"{name}: {records} records give E_N with a standard error of about "
                    f"{error * math.sqrt(needed / records):.2g}; an error of {error:g} takes "
                    f"{needed} records"
                )

    def spread(self, device: Device) -> float:
        """sqrt(N) times the expected standard error of the output E_N, pump-off records included.

        E_N also depends on the gain, which as many records of each load give.
        """
        v = output_covariance(device, self.bandwidth, self.sideband)
        slope = negativity_gradient(v)
        noise = self.added_noise * np.eye(4)
        stage = load_variance(self.drive_frequency, float(device.temperature))
        on, off = slope @ (v + noise), slope @ (stage * np.eye(4) + noise)
        hot = load_variance(self.drive_frequency, self.load_temperature)
        excess = v - stage * np.eye(4)
        gains = ((hot + self.added_noise) ** 2 + (stage + self.added_noise) ** 2) * 2.0
        by_gain = [float(slope[n] @ excess[n]) ** 2 for n in range(4)]
        gain_part = sum(by_gain) * gains / (hot - stage) ** 2
        return math.sqrt(2.0 * float(np.trace(on @ on) + np.trace(off @ off)) + gain_part)

    def expected_negativity(self, device: Device) -> float:
        """Signed E_N of the output modes in theory."""
        return float(signed_negativity(output_covariance(device, self.bandwidth, self.sideband)))

    # ------------------------------------------------- points

    def tune_up_points(self, device: Device) -> Iterator[dict[str, Any]]:
        """Sweeps that find out how to set the bench to anything."""
        for step in range(len(COARSE)):
            yield {"kind": "coarse", "place": -1, "step": step}
        for step in range(len(self.crossings())):
            yield {"kind": "cross", "place": -1, "step": step}
        for step in range(len(AXES_STEPS)):
            yield {"kind": "axes", "place": -1, "step": step}
        for step in range(2):
            yield {"kind": "pump", "place": -1, "step": step}

    @staticmethod
    def row_count(records: int) -> int:
        """Rows that hold so many records."""
        return -(-records // (BUFFER * BUFFERS_PER_ROW))

    @staticmethod
    def buffers(records: int, step: int) -> int:
        """Acquisitions of row `step` of so many records."""
        total = -(-records // BUFFER)
        return min(BUFFERS_PER_ROW, total - step * BUFFERS_PER_ROW)

    # ------------------------------------------------- bench

    def open_bench(self, reference: Device) -> None:
        """Bring everything to rest, cool or heat the stage, and only then switch on."""
        self.thermometer: LakeShore372 = self.bench["thermometer"]
        self.magnet: Ami430 = self.bench["magnet"]
        self.piezos: Anc300 = self.bench["piezos"]
        self.vna: KeysightPna = self.bench["vna"]
        self.generator: RohdeSchwarzGenerator = self.bench["sideband"]
        self.digitiser: RedPitayaDigitiser = self.bench["digitiser"]
        self.drive: Agilent8257D = self.bench["drive"]
        self.reference = reference
        strength = expected_strength(
            reference, self.single_coupling, self.drive_gain, radius=125e-6
        )
        self.setup = Setup(self.drive_frequency, reference, strength)
        for row in self.rows:
            self.setup.add(row)
        self.magnet.require_rate(self.ramp_rate)
        self.magnet.require_no_quench()
        self._stage = self._load = math.nan
        self._set: dict[str, float] = {}
        self._volts = [math.nan] * 4
        self.pump(False)
        self.hold_stage(float(reference.temperature))
        self.magnet.rate_t_per_s = self.ramp_rate
        self.drive.frequency = 1e6 * self.drive_frequency
        self.generator.frequency = 1e6 * self.sideband
        self.generator.power = LO_LEVEL

    def close_bench(self) -> None:
        """Leave pump, oscillators and heaters off."""
        self.bench["drive"].output = False
        self.bench["sideband"].output = False
        self.bench["digitiser"].set_pin(PUMP_PIN, False)
        self.bench["thermometer"].make_safe()

    def hold_stage(self, millikelvin: float) -> None:
        """Bring the mixing chamber to a temperature and wait.

        Raises:
            InstrumentError: it does not get there, for example because it is warm.
        """
        if millikelvin == self._stage:
            return
        self.thermometer.look_at(STAGE)
        self.thermometer.hold(1e-3 * millikelvin)
        self.thermometer.settle(1e-3 * millikelvin, tolerance=0.01)
        self._stage = millikelvin

    def hold_load(self) -> None:
        """Heat the hot load."""
        if self._load == self.load_temperature:
            return
        self.thermometer.look_at(LOAD)
        kelvin = 1e-3 * self.load_temperature
        self.thermometer.hold(kelvin, channel=LOAD, output=LOAD_HEATER)
        self.thermometer.settle(kelvin, channel=LOAD, tolerance=0.01)
        self._load = self.load_temperature

    def read_temperature(self, channel: int) -> float:
        """Mean of a few readings in mK."""
        self.thermometer.look_at(channel)
        total = 0.0
        for _ in range(READINGS):
            self.bench.clock.sleep(0.1)
            total += self.thermometer.temperature(channel)
        return 1e3 * total / READINGS

    def pump(self, on: bool) -> None:
        """Close or open the pump switch."""
        self.digitiser.set_pin(PUMP_PIN, on)

    def set_axes(self, volts: list[float]) -> None:
        """Hold the voltages of all four axes."""
        for place, value in enumerate(volts):
            if value != self._volts[place]:
                self.piezos.hold(place + 1, value)
                self._volts[place] = value

    def set_field(self, tesla: float) -> None:
        if tesla != self._set.get("field"):
            self.magnet.go_to(tesla)
            self._set["field"] = tesla

    def set_level(self, dbm: float) -> None:
        """Set the source's level, once it is on."""
        if dbm != self._set.get("level"):
            self.drive.power = round(dbm, 3)
            self._set["level"] = dbm
        if not self._set.get("on"):
            self.drive.output = True
            self.generator.output = True
            self._set["on"] = 1.0

    def go_to(self, device: Device) -> dict[str, float]:
        """Set cavities, magnon, antenna, sphere and level for a working point; pump stays open.

        Raises:
            RequestError: out of reach, or unstable as it was measured.
        """
        known = self.setup.device()
        aim = device.with_(kappa_1=known.kappa_1, kappa_m=known.kappa_m, g_1=known.g_1)
        require_stable(aim, "measured device")
        volts = [
            self.setup.tuner_volts(1, float(aim.detuning_1)),
            self.setup.tuner_volts(2, float(aim.detuning_2)),
            self.setup.antenna_volts(float(aim.kappa_2)),
            self.setup.sphere_volts(float(aim.g_2)),
        ]
        level = self.setup.level(aim)
        self.set_axes(volts)
        self.set_field(self.setup.field(self.setup.bare_detuning(aim)))
        self.set_level(level)
        return self.settings()

    def settings(self) -> dict[str, float]:
        """What is set now, as columns of a row."""
        return {
            **dict(zip(AXES, self._volts, strict=True)),
            "field (T)": self._set.get("field", math.nan),
            "drive (dBm)": self._set.get("level", math.nan),
        }

    @staticmethod
    def complete(row: Mapping[str, Any]) -> dict[str, Any]:
        """A row with all of its arrays."""
        return {name: np.empty(0, kind) for name, kind in ROW_ARRAYS.items()} | dict(row)

    # ------------------------------------------------- sweeps

    def measure_sweep(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """A point of the tune-up, or a check of a working point."""
        row = getattr(self, f"_{point['kind']}")(point)
        self.setup.add({**point, **row})
        return self.complete(row)

    def _sweep(self, low: float, high: float, step: float) -> tuple[np.ndarray, np.ndarray]:
        """Detunings (MHz) and S parameters."""
        points = round((high - low) / step) + 1
        drive = self.drive_frequency
        frequencies, s = self.vna.sweep(
            1e6 * (drive + low), 1e6 * (drive + high), points, VNA_BANDWIDTH, VNA_POWER
        )
        return 1e-6 * frequencies - drive, s

    def _fitted(self, probe: np.ndarray, s: np.ndarray, fit: ModeFit) -> dict[str, Any]:
        found = {column: float(getattr(fit.device, name)) for name, column in FITTED.items()}
        full = np.full((len(FITTED), len(FITTED)), 0.0)
        places = [list(FITTED).index(name) for name in fit.names]
        full[np.ix_(places, places)] = fit.covariance
        return {
            **self.settings(), **found, "misfit": fit.misfit, "stage (mK)": self._stage,
            "probe (MHz)": probe, "s": s, "fit covariance": full,
        }  # fmt: skip

    def _coarse(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """Both cavities, with the magnon far away."""
        volts = COARSE[point["step"]]
        self.set_axes([volts, volts, MIDDLE, MIDDLE])
        away = -500.0
        self.set_field(self.setup.field(away))
        probe, s = self._sweep(-42.0, 48.0, 0.1)
        start = self.reference.with_(
            coupling=0.0,
            detuning_1=resonance_guess(probe, s[:, 0, 0]),
            detuning_2=resonance_guess(probe, s[:, 1, 1]),
            detuning_m=away, kappa_2=self.reference.kappa_1, g_2=self.reference.g_1,
        )  # fmt: skip
        return self._fitted(probe, s, fit_modes(probe, s, start, CAVITIES))

    def _near(self, detuning_m: float, volts: tuple[float, float]) -> tuple[Any, Any, Device]:
        """Sweep all three modes, with the cavities at +-10 MHz and the magnon nearby."""
        self.set_axes([self.setup.tuner_volts(1, 10.0), self.setup.tuner_volts(2, -10.0), *volts])
        self.set_field(self.setup.field(detuning_m))
        probe, s = self._sweep(-32.0, 32.0, 0.1)
        start = self.reference.with_(
            coupling=0.0, detuning_1=10.0, detuning_2=-10.0, detuning_m=detuning_m
        )
        return probe, s, start

    def crossings(self) -> tuple[float, ...]:
        """Magnon detunings (MHz) at which sweeps look for it."""
        return CROSSINGS

    def _cross(self, point: Mapping[str, Any]) -> dict[str, Any]:
        aim = self.crossings()[point["step"]]
        probe, s, start = self._near(aim, (MIDDLE, MIDDLE))
        start = start.with_(kappa_2=start.kappa_1, g_2=start.g_1)
        start = best_start(probe, s, start, {"detuning_m": np.arange(aim - 20, aim + 20.1, 1.0)})
        return self._fitted(probe, s, fit_modes(probe, s, start, MODES))

    def _axes(self, point: Mapping[str, Any]) -> dict[str, Any]:
        probe, s, start = self._near(0.0, AXES_STEPS[point["step"]])
        scale = np.array([0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0])
        trials = {
            "kappa_2": float(start.kappa_1) * scale,
            "g_2": float(start.g_1) * np.arange(0.3, 1.9, 0.2),
        }
        return self._fitted(probe, s, fit_modes(probe, s, best_start(probe, s, start, trials)))

    def _pump(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """First with caution, then as wanted; the coupling is fitted both times."""
        aim = self.reference
        if point["step"] == 0:
            aim = aim.with_(coupling=float(aim.coupling) * 10 ** (-CAUTION / 20))
        self.go_to(aim)
        known = self.setup.device()
        start = aim.with_(kappa_1=known.kappa_1, kappa_m=known.kappa_m, g_1=known.g_1)
        row, _ = self.fit_driven(start, wide=point["step"] == 0)
        return row

    def _check(self, point: Mapping[str, Any]) -> dict[str, Any]:
        """The working point as it is with the pump on."""
        aim = self.device_of(point)
        self.go_to(aim)
        known = self.setup.device()
        row, fit = self.fit_driven(
            aim.with_(kappa_1=known.kappa_1, kappa_m=known.kappa_m, g_1=known.g_1)
        )
        self.show("G", float(fit.device.coupling), "MHz")
        return row

    def device_of(self, point: Mapping[str, Any]) -> Device:
        """The working point that a point of kind `check` or `state` belongs to."""
        raise NotImplementedError

    def fit_driven(self, start: Device, wide: bool = False) -> tuple[dict[str, Any], ModeFit]:
        """Sweep with the pump on and fit everything; the pump is open again afterwards."""
        self.pump(True)
        self.bench.clock.sleep(SETTLE)
        probe, s = self._sweep(-32.0, 32.0, DRIVEN_STEP)
        self.pump(False)
        if wide:
            start = best_start(
                probe, s, start,
                {"coupling": float(start.coupling) * np.geomspace(0.2, 6.0, 18),
                 "detuning_m": float(start.detuning_m) + np.arange(-4.0, 4.1, 0.5)},
            )  # fmt: skip
        free = (*MODES, "coupling")
        fit = fit_modes(probe, s, start, free)
        return self._fitted(probe, s, fit), fit

    # ------------------------------------------------- records

    def prepare_records(self) -> None:
        """Filters and digitiser."""
        if self._set.get("bandwidth") == self.bandwidth:
            return
        volts = VOLTS_PER_DECADE * math.log10(self.bandwidth / SLOWEST_FILTER)
        self.digitiser.set_output(FILTER_OUTPUT, volts)
        spacing = max(APART, APART_TIMES / (2.0 * math.pi * self.bandwidth))
        self.digitiser.configure(self.digitiser.decimation_for(1e-6 * spacing))
        self._set["bandwidth"] = self.bandwidth

    def switch(self, position: int) -> None:
        """Connect the amplifiers to the sample or to one of the loads."""
        for bit, pin in enumerate(SWITCH_PINS):
            self.digitiser.set_pin(pin, bool(position >> bit & 1))

    def take(self, buffers: int) -> tuple[np.ndarray, int]:
        """Sums, products and products with the next record of so many buffers, shape (9, 4).

        Raises:
            InstrumentError: the records reach the ends of the converter.
        """
        total, clipped = np.zeros((9, 4)), np.zeros(4, dtype=int)
        for _ in range(buffers):
            codes = self.digitiser.acquire()
            clipped += ((codes >= 8191) | (codes <= -8192)).sum(axis=0)
            x = codes.astype(np.float64)
            total[0] += x.sum(axis=0)
            total[1:5] += x.T @ x
            total[5:9] += x[:-1].T @ x[1:]
        worst = int(np.argmax(clipped))
        if clipped[worst] > CLIPPED * buffers * BUFFER:
            raise InstrumentError(
                f"digitiser: {clipped[worst]} of {buffers * BUFFER} records of IN{worst + 1} stand "
                "at the end of the converter, so their variance is cut; weaken the signal before "
                "the digitiser"
            )
        return total, int(clipped.max())

    def measure_loads(self, buffers: int) -> dict[str, Any]:
        """Records of the cold and of the hot load."""
        self.hold_load()
        self.prepare_records()
        self.set_level(self._set.get("level", -10.0))
        sums, clipped = [], 0
        for position in (COLD, HOT):
            self.switch(position)
            self.bench.clock.sleep(SETTLE)
            moments, cut = self.take(buffers)
            sums.append(moments)
            clipped += cut
        self.switch(SAMPLE)
        return self.complete({
            **self.settings(),
            "load (mK)": self.read_temperature(LOAD),
            "stage (mK)": self.read_temperature(STAGE),
            "records": buffers * BUFFER, "clipped": clipped, "moments": np.stack(sums),
        })  # fmt: skip

    def measure_state(self, buffers: int) -> dict[str, Any]:
        """Records at the present working point with the pump switch open and closed."""
        self.prepare_records()
        sums, clipped = [], 0
        for on in (False, True):
            self.pump(on)
            self.bench.clock.sleep(SETTLE)
            moments, cut = self.take(buffers)
            sums.append(moments)
            clipped += cut
        self.pump(False)
        return self.complete({
            **self.settings(), "stage (mK)": self.read_temperature(STAGE),
            "records": buffers * BUFFER, "clipped": clipped, "moments": np.stack(sums),
        })  # fmt: skip
