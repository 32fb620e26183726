"""Simulated two-port network analyser Keysight PNA N5221B (10 MHz to 13.5 GHz), one channel.

Linear sweeps, S parameters as complex data, point averaging of sweeps. No power, phase or segment
sweeps, no calibration by command (it is calibrated), no markers, limits or equations. Data are sent
in the format that FORMat and FORMat:BORDer say; ASCII is what a preset leaves.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from simulated_instruments.instrument import Port
from simulated_instruments.physics.network_analyser import MAXIMUM_HZ, MINIMUM_HZ, VnaModel
from simulated_instruments.protocol.scpi import (
    Choice,
    Number,
    ScpiError,
    ScpiInstrument,
    Switch,
    scpi,
)
from simulated_instruments.protocol.scpi_syntax import choice, number
from simulated_instruments.world import World

__all__ = ["SimKeysightPna", "VnaModel"]

PARAMETERS = ("S11", "S12", "S21", "S22")
SWEEPING = 1024  # bit of STATus:OPERation of a running measurement


def _bare(text: str) -> str:
    """A string parameter without its quotes."""
    return text.strip().strip("'\"")


class SimKeysightPna(ScpiInstrument):
    """The command set in front of a `VnaModel` that the world may have put there."""

    PORTS: ClassVar[dict[str, Port]] = {"main": Port("scpi", default=5025)}
    identity = "Keysight Technologies,N5221B,MY00000007,A.15.20.06"
    options = '"200,S93010B"'
    CLIPS: ClassVar[bool] = False
    SETTINGS = (
        Number("SENSe{1}:FREQuency:STARt", "start", MINIMUM_HZ, MAXIMUM_HZ, MINIMUM_HZ, "HZ"),
        Number("SENSe{1}:FREQuency:STOP", "stop", MINIMUM_HZ, MAXIMUM_HZ, MAXIMUM_HZ, "HZ"),
        Number("SENSe{1}:SWEep:POINts", "points", 1, 100_003, 201, integer=True),
        Number("SENSe{1}:BWIDth|BANDwidth[:RESolution]", "bandwidth", 1.0, 15e6, 1e3, "HZ"),
        Number("SOURce{1}:POWer{1}[:LEVel][:IMMediate][:AMPLitude]", "power", -90, 13, -10, "DBM"),
        Switch("SENSe{1}:AVERage[:STATe]", "averaging"),
        Number("SENSe{1}:AVERage:COUNt", "averages", 1, 65536, 1, integer=True),
        Choice("SENSe{1}:AVERage:MODE", "average_mode", ("POINt", "SWEep")),
        Number("SENSe{1}:SWEep:GROups:COUNt", "groups", 1, 2_000_000, 1, integer=True),
        Choice("SENSe{1}:SWEep:TYPE", "sweep_type", ("LINear",)),
        Choice("TRIGger[:SEQuence]:SOURce", "trigger", ("EXTernal", "IMMediate", "MANual")),
        Switch("OUTPut[:STATe]", "output"),
    )

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: VnaModel = world.part(name, lambda: VnaModel(world.seed_of, name))
        self.model.advance(world.now)
        self._format, self._order, self._snp = "ASC,0", "NORM", "MA"
        self._preset()

    def _preset(self) -> None:
        self._measurements: dict[str, tuple[int, str]] = {"CH1_S11_1": (1, "S11")}
        self._selected = ""

    def pending_until(self) -> float:
        return self.model.ready_at

    def operation_condition(self) -> int:
        return SWEEPING if self.model.ready_at > self.world.now else 0

    def reset(self) -> None:
        self.model.preset()
        self._format, self._order = "ASC,0", "NORM"
        self._preset()

    # ------------------------------------------------- sweep

    @scpi("SENSe{1}:FREQuency:CENTer")
    def _set_centre(self, data: str) -> None:
        half = (self.model.stop - self.model.start) / 2
        middle = self.number(data, MINIMUM_HZ, MAXIMUM_HZ, unit="HZ")
        half = min(half, middle - MINIMUM_HZ, MAXIMUM_HZ - middle)
        self.model.start, self.model.stop = middle - half, middle + half

    @scpi("SENSe{1}:FREQuency:CENTer?")
    def _centre(self) -> float:
        return (self.model.start + self.model.stop) / 2

    @scpi("SENSe{1}:FREQuency:SPAN")
    def _set_span(self, data: str) -> None:
        middle = (self.model.start + self.model.stop) / 2
        span = self.number(data, 0.0, MAXIMUM_HZ - MINIMUM_HZ, unit="HZ")
        self.model.start = max(MINIMUM_HZ, middle - span / 2)
        self.model.stop = min(MAXIMUM_HZ, middle + span / 2)

    @scpi("SENSe{1}:FREQuency:SPAN?")
    def _span(self) -> float:
        return self.model.stop - self.model.start

    @scpi("SENSe{1}:SWEep:TIME?")
    def _sweep_time(self) -> float:
        return self.model.sweep_time

    @scpi("SENSe{1}:SWEep:TIME")
    def _set_sweep_time(self, data: str) -> None:
        """A time longer than the least only waits; the least is what the bandwidth allows."""
        if number(data, "S") < 0:
            raise ScpiError(-222)

    @scpi("SENSe{1}:SWEep:MODE")
    def _set_mode(self, data: str) -> None:
        self.model.mode = choice(data, ("HOLD", "CONTinuous", "GROups", "SINGle"))
        if self.model.mode in ("SING", "GRO"):
            self.model.sweep(self.world.now)

    @scpi("SENSe{1}:SWEep:MODE?")
    def _mode(self) -> str:
        done = self.world.now >= self.model.ready_at
        return "HOLD" if done and self.model.mode in ("SING", "GRO") else self.model.mode

    @scpi("INITiate{1}[:IMMediate]")
    def _initiate(self) -> None:
        if self.model.trigger != "MAN":
            raise ScpiError(-213)
        self.model.sweep(self.world.now)

    @scpi("ABORt")
    def _abort(self) -> None:
        self.model.ready_at = min(self.model.ready_at, self.world.now)

    @scpi("SENSe{1}:AVERage:CLEar")
    def _clear_average(self) -> None:
        """Each trigger begins a new average."""

    # ------------------------------------------------- measurements

    @scpi("SYSTem:CHANnels:CATalog?")
    def _channels(self) -> str:
        return '"1"'

    @scpi("SYSTem:ACTive:CHANnel?")
    def _active_channel(self) -> int:
        return 1

    @scpi("SYSTem:ACTive:MEASurement?")
    def _active_measurement(self) -> str:
        return f'"{self._selected}"'

    @scpi("SYSTem:MEASure:CATalog?")
    def _numbers(self, channel: str = "1") -> str:
        if number(channel) != 1:
            raise ScpiError(-222)
        return '"' + ",".join(str(n) for n, _ in sorted(self._measurements.values())) + '"'

    @scpi("SYSTem:CAPability:HARDware:PORTs:COUNt?")
    def _ports(self) -> int:
        return 2

    @scpi("CALCulate{1}:PARameter:CATalog:EXTended?")
    def _catalogue(self) -> str:
        parts = [f"{name},{what}" for name, (_, what) in self._measurements.items()]
        return '"' + (",".join(parts) or "NO CATALOG") + '"'

    @scpi("CALCulate{1}:PARameter:EXTended", "CALCulate{1}:PARameter:DEFine:EXTended")
    def _define(self, name: str, parameter: str) -> None:
        what = _bare(parameter).upper()
        if what not in PARAMETERS:
            raise ScpiError(-224)
        used = {n for n, _ in self._measurements.values()}
        free = next(n for n in range(1, len(used) + 2) if n not in used)
        self._measurements[_bare(name)] = (free, what)

    @scpi("CALCulate{1}:PARameter:DELete[:NAME]")
    def _delete(self, name: str) -> None:
        if self._measurements.pop(_bare(name), None) is None:
            raise ScpiError(-224)

    @scpi("CALCulate{1}:PARameter:DELete:ALL")
    def _delete_all(self) -> None:
        self._measurements.clear()

    @scpi("CALCulate{1}:PARameter:SELect")
    def _select(self, name: str, speed: str = "") -> None:
        if _bare(name) not in self._measurements:
            raise ScpiError(-224)
        self._selected = _bare(name)

    @scpi("CALCulate{1}:PARameter:SELect?")
    def _selection(self) -> str:
        return f'"{self._selected}"'

    @scpi("CALCulate{1}:MEASure{n}:PARameter?")
    def _parameter(self, n: int) -> str:
        return f'"{self._numbered(n)}"'

    @scpi("DISPlay:WINDow{1}:CATalog?")
    def _windows(self) -> str:
        return '"1"' if self._measurements else '"EMPTY"'

    @scpi("DISPlay:WINDow{1}:TRACe{n}:FEED")
    def _feed_trace(self, n: int, name: str) -> None:
        if _bare(name) not in self._measurements:
            raise ScpiError(-224)

    def _numbered(self, n: int) -> str:
        for place, what in self._measurements.values():
            if place == n:
                return what
        raise ScpiError(-114)

    # ------------------------------------------------- data

    @scpi("FORMat[:DATA]")
    def _set_format(self, kind: str, digits: str = "0") -> None:
        word = choice(kind, ("ASCii", "REAL"))
        bits = int(number(digits))
        if word == "REAL" and bits not in (32, 64):
            raise ScpiError(-224)
        self._format = f"{word},{bits if word == 'REAL' else 0}"

    @scpi("FORMat[:DATA]?")
    def _format_text(self) -> str:
        return self._format

    @scpi("FORMat:BORDer")
    def _set_order(self, data: str) -> None:
        self._order = choice(data, ("NORMal", "SWAPped"))

    @scpi("FORMat:BORDer?")
    def _order_text(self) -> str:
        return self._order

    @scpi("MMEMory:STORe:TRACe:FORMat:SNP")
    def _set_snp(self, data: str) -> None:
        self._snp = choice(data, ("MA", "DB", "RI", "AUTO", "DISP"))

    @scpi("MMEMory:STORe:TRACe:FORMat:SNP?")
    def _snp_text(self) -> str:
        return self._snp

    def _send(self, values: Any) -> str | bytes:
        flat = np.asarray(values, dtype=float).ravel()
        if self._format.startswith("ASC"):
            return ",".join(f"{value:+.11E}" for value in flat)
        kind = ("<" if self._order == "SWAP" else ">") + f"f{int(self._format[5:]) // 8}"
        body = flat.astype(kind).tobytes()
        size = str(len(body))
        return f"#{len(size)}{size}".encode() + body

    def _complex(self, what: str) -> Any:
        data = self.model.data[:, int(what[1]) - 1, int(what[2]) - 1]
        return np.column_stack([data.real, data.imag])

    @scpi("CALCulate{1}:DATA?")
    def _selected_data(self, kind: str) -> str | bytes:
        if not self._selected or self._selected not in self._measurements:
            raise ScpiError(-221)
        what = self._measurements[self._selected][1]
        if choice(kind, ("SDATA", "FDATA")) == "SDATA":
            return self._send(self._complex(what))
        return self._formatted(what)

    @scpi("CALCulate{1}:MEASure{n}:DATA:SDATA?")
    def _numbered_data(self, n: int) -> str | bytes:
        return self._send(self._complex(self._numbered(n)))

    @scpi("CALCulate{1}:MEASure{n}:DATA:FDATA?")
    def _numbered_formatted(self, n: int) -> str | bytes:
        return self._formatted(self._numbered(n))

    def _formatted(self, what: str) -> str | bytes:
        real, imaginary = self._complex(what).T
        return self._send(20.0 * np.log10(np.maximum(np.hypot(real, imaginary), 1e-15)))

    @scpi("CALCulate{1}:MEASure{n}:X[:VALues]?", "CALCulate{1}:X[:VALues]?")
    def _x(self, n: int = 1) -> str | bytes:
        return self._send(self.model.frequencies)

    @scpi("CALCulate{1}:MEASure{n}:X:AXIS:UNIT?")
    def _x_unit(self, n: int) -> str:
        return "FREQ"

    @scpi("CALCulate{1}:MEASure{n}:Y:AXIS:UNIT?")
    def _y_unit(self, n: int) -> str:
        return "DB"

    @scpi("CALCulate{1}:DATA:SNP:PORTs?")
    def _snp_data(self, ports: str) -> str | bytes:
        """Frequencies, then a row of real and one of imaginary parts for each parameter."""
        wanted = [int(number(text)) for text in _bare(ports).split(",")]
        if any(port not in (1, 2) for port in wanted):
            raise ScpiError(-224)
        rows = [self.model.frequencies]
        for a in wanted:
            for b in wanted:
                rows += list(self._complex(f"S{a}{b}").T)
        return self._send(np.array(rows))

    def number_text(self, value: float) -> str:
        if value == math.floor(value) and abs(value) < 1e15:
            return f"{value:+.11E}"
        return super().number_text(value)
