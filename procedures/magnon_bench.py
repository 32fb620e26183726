"""Control of the magnomechanics bench: parameters, temperatures, settings of a working point.

A procedure yields points of kind `coarse`, `cross`, `axes`, `pump` (sweeps that tune the bench up),
`loads` (records of both calibration loads), `check` (a sweep at a working point) and `state`
(records there with the pump switch open and closed).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.analysis.magnomechanics import Device
from labctl.parameters import number
from procedures.magnon_setup import (
    AXES,
    FIT_ERRORS,
    FITTED,
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
STAGE, LOAD, LOAD_HEATER = 6, 9, 1
PUMP_PIN = "DIO2_P"
SETTLE = 0.05  # s after a switch
LO_LEVEL = 10.0  # dBm of the sideband source
READINGS = 5  # of a thermometer

ROW_COLUMNS = [
    "index", "kind", "place", "step", *AXES, "field (T)", "drive (dBm)", *FITTED.values(),
    "misfit", "stage (mK)", "load (mK)", "records", "clipped", *FIT_ERRORS.values(),
]  # fmt: skip
#: Arrays of a row; those that a kind of row does not have are empty.
ROW_ARRAYS: dict[str, type] = {
    "probe (MHz)": float, "s": complex, "fit covariance": float, "moments": float,
}  # fmt: skip
ROW_TRACES = tuple(ROW_ARRAYS)


class MagnonBench:
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
    phonon: float = number(
        "Phonon", 10.0, unit="MHz", minimum=1, maximum=100,
        meaning="frequency of the sphere's vibration, from elsewhere",
    )  # fmt: skip
    phonon_damping: float = number(
        "Phonon damping", 1e-4, unit="MHz", minimum=1e-7, maximum=1,
        meaning="its damping rate, from elsewhere; trusted to 5 %",
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
            phonon=self.phonon,
            damping=self.phonon_damping,
            temperature=self.temperature,
            magnon=self.drive_frequency + self.magnon_detuning,
        ).with_(**changes)

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
        aim = self.setup.as_measured(device)
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
