"""Agilent / Keysight E8257D microwave source that drives an electro-optic comb, over SCPI.

pymeasure's class underneath, with what a comb needs corrected:

- frequencies went out with `%e`, in steps of 10 kHz at 25 GHz; here with 1 mHz, the instrument's
  own resolution;
- the error queue was never read, so that an out-of-range value, which the instrument clips,
  passed silently; here it is checked before it is sent and the queue is read afterwards (of sweeps
  and modulation, which stay as pymeasure has them, afterwards only);
- `shutdown` switched the modulation off before the output and addressed a low-frequency output
  that sources without that option do not have; here it switches the output off;
- `enable` did not wait for the source to settle and could not notice that it is unleveled.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

from pymeasure.instruments import Instrument
from pymeasure.instruments.agilent import Agilent8257D as PymeasureAgilent8257D

from drivers._properties import AsksAfterSetting
from labctl.errors import InstrumentError, RequestError
from labctl.instrument import LabInstrument

UNLEVELED = 2  # bit of STATus:QUEStionable:POWer:CONDition


def _hertz(node: str, doc: str) -> Any:
    return Instrument.control(
        f":SOUR:FREQ:{node}?", f":SOUR:FREQ:{node} %.3f Hz", doc, check_set_errors=True
    )


class Agilent8257D(AsksAfterSetting, LabInstrument, PymeasureAgilent8257D):  # type: ignore[misc]
    """Agilent E8257D microwave source. Frequencies are in Hz, powers in dBm.

    Args:
        adapter: the connection.
        name: the name in the bench file.
        minimum_frequency: lowest frequency (Hz) that the modulator behind it is for.
        maximum_frequency: highest frequency (Hz).
        minimum_power: lowest power (dBm) at which the output may be switched on.
        maximum_power: highest power (dBm) that the modulator or its amplifier stands.
    """

    IDENTITY = r"(Agilent|Keysight) Technologies, ?E8257D"
    SETTINGS = ("frequency", "power", "output", "has_modulation", "reference", "reference_auto")

    INHERITED = frozenset(
        {"start_power", "stop_power", "dwell_time", "step_points", "amplitude_depth"}
        | {"amplitude_source", "pulse_source", "pulse_input", "pulse_frequency"}
        | {"low_freq_out_amplitude", "low_freq_out_source", "internal_frequency", "internal_shape"}
    )

    start_frequency = _hertz("STAR", "Control the first frequency of a sweep in Hz (float).")
    center_frequency = _hertz("CENT", "Control the middle frequency of a sweep in Hz (float).")
    stop_frequency = _hertz("STOP", "Control the last frequency of a sweep in Hz (float).")
    reference = Instrument.measurement(
        ":ROSC:SOUR?",
        """Get which 10 MHz reference is used: "internal" or "external".""",
        values={"internal": "INT", "external": "EXT"},
        map_values=True,
    )
    reference_auto = Instrument.control(
        ":ROSC:SOUR:AUTO?",
        ":ROSC:SOUR:AUTO %d",
        """Control whether an external reference is used as soon as there is one (bool).""",
        values={True: 1, False: 0},
        map_values=True,
        check_set_errors=True,
    )
    _frequency = Instrument.control(
        ":FREQ?", ":FREQ %.3f Hz", "Control the frequency in Hz.", check_set_errors=True
    )
    _lowest_frequency = Instrument.measurement(":FREQ? MIN", "Get the lowest frequency in Hz.")
    _highest_frequency = Instrument.measurement(":FREQ? MAX", "Get the highest frequency in Hz.")
    _power = Instrument.control(
        ":POW?", ":POW %.3f dBm", "Control the power in dBm.", check_set_errors=True
    )
    _lowest_power = Instrument.measurement(":POW? MIN", "Get the lowest power in dBm.")
    _highest_power = Instrument.measurement(":POW? MAX", "Get the highest power in dBm.")
    _output = Instrument.control(
        ":OUTP?",
        ":OUTP %d",
        "Control the output.",
        values={True: 1, False: 0},
        map_values=True,
        check_set_errors=True,
    )
    _power_condition = Instrument.measurement(
        ":STAT:QUES:POW:COND?", "Get what is wrong with the power.", cast=int
    )

    def __init__(
        self,
        adapter: Any,
        name: str = "rf",
        minimum_frequency: float = 0.0,
        maximum_frequency: float = math.inf,
        minimum_power: float = -math.inf,
        maximum_power: float = math.inf,
        **kwargs: Any,
    ) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # whether it knows SCPI: it does
            super().__init__(adapter, name, **kwargs)
        self._modulator = {
            "frequency": (minimum_frequency, maximum_frequency),
            "power": (minimum_power, maximum_power),
        }
        for what, (low, high) in self._modulator.items():
            if not low < high:
                raise RequestError(
                    f"{name}: minimum_{what} {low!r} must be below maximum_{what} {high!r}"
                )
        self._own: dict[str, tuple[float, float]] = {}

    def _require(self, what: str, value: float, unit: str) -> None:
        """Refuse what the modulator does not stand, or what the source would clip."""
        for whose, (low, high) in (
            ("the modulator's range", self._modulator[what]),
            ("the source's range", self._range(what)),
        ):
            if not isinstance(value, int | float) or not low <= value <= high:
                raise RequestError(
                    f"{self.name}: {what} {value!r} {unit} is outside {whose}, "
                    f"{low:.12g} to {high:.12g} {unit}"
                )

    def _range(self, what: str) -> tuple[float, float]:
        """What the source itself can do, asked once."""
        if what not in self._own:
            self._own[what] = (
                getattr(self, f"_lowest_{what}"),
                getattr(self, f"_highest_{what}"),
            )
        return self._own[what]

    @property
    def frequency(self) -> float:
        """Control the frequency in Hz (float), to 1 mHz; returns when the source has settled."""
        return float(self._frequency)

    @frequency.setter
    def frequency(self, hertz: float) -> None:
        self._require("frequency", hertz, "Hz")
        self._frequency = hertz
        self._settle()

    @property
    def power(self) -> float:
        """Control the power in dBm (float); refused if the source cannot deliver it."""
        return float(self._power)

    @power.setter
    def power(self, dbm: float) -> None:
        self._require("power", dbm, "dBm")
        self._power = dbm
        self._require_leveled()

    @property
    def output(self) -> bool:
        """Control whether power leaves the source (bool)."""
        return bool(self._output)

    @output.setter
    def output(self, on: bool) -> None:
        if on:  # somebody may have turned the knob since
            self._require("frequency", self.frequency, "Hz")
            self._require("power", self.power, "dBm")
        self._output = bool(on)
        if on:
            self._settle()
            self._require_leveled()

    def _settle(self) -> None:
        self.ask("*OPC?")

    def _require_leveled(self) -> None:
        """Switch an output off that does not deliver what is set, and say so."""
        if int(self._power_condition) & UNLEVELED:
            wanted = self.power
            self._output = False
            raise InstrumentError(
                f"{self.name}: unleveled, the source cannot deliver {wanted:g} dBm at "
                f"{self.frequency:.12g} Hz; output switched off, ask for less power"
            )

    def enable(self) -> None:
        """Switch the output on."""
        self.output = True

    def disable(self) -> None:
        """Switch the output off."""
        self.output = False

    def make_safe(self) -> None:
        """Switch the output off."""
        self.output = False

    def shutdown(self) -> None:
        """What pymeasure calls at the end of a `with` block: make safe."""
        self.make_safe()
        Instrument.shutdown(self)
