"""Simulated tunable laser Santec TSL-570, SCPI over LAN, in front of an external-cavity laser.

Commands are those that pymeasure's class for it sends, and WAVelength:FINe, which the device has
besides. Legacy code 0 speaks nm and THz, code 1 m and Hz. Sweeps are continuous and one-way; step
sweeps, triggers and the logging of powers are not simulated. How replies are written, and that a
value out of range is refused with -222, are assumed.
"""

from __future__ import annotations

import math
from typing import ClassVar

from labctl.transport import Endpoint
from simulated_instruments.instrument import Port
from simulated_instruments.physics.laser import C, CtlLaserModel
from simulated_instruments.protocol.scpi import ScpiError, ScpiInstrument, scpi
from simulated_instruments.protocol.scpi_syntax import boolean
from simulated_instruments.world import World

__all__ = ["CtlLaserModel", "SimSantecTsl"]

RANGE_NM = (1480.0, 1640.0)
POWERS_DBM = (-15.0, 13.0)
FULL_MW = 10.0 ** (POWERS_DBM[1] / 10.0)
SPEEDS = (1, 2, 5, 10, 20, 50, 100, 200)  # nm/s
NM_THZ = C * 1e-3  # nm times THz
DARK_DBM = -60.0
STOPPED, RUNNING = 0, 1


class SimSantecTsl(ScpiInstrument):
    """The command set in front of a laser that the world may have put there."""

    PORTS: ClassVar[dict[str, Port]] = {"main": Port("scpi", default=5000)}
    identity = "SANTEC,TSL-570,21020001,0001.000.0001"
    ERROR_FORMAT = '{code:+d},"{text}"'
    CLIPS = False
    TERMINATOR = b"\r"

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: CtlLaserModel = world.part(
            name, lambda: CtlLaserModel(world.seed_of, name, range_nm=RANGE_NM, power_mw=FULL_MW)
        )
        self.model.advance(world.now)
        self._scpi_units = False
        self._milliwatt = False
        self._dbm = 10.0
        self._fine = 0.0
        self._sweep_nm = [RANGE_NM[0], RANGE_NM[1]]
        self._speed = 10
        self._mode = 1
        self._cycles = 1
        self._apply_power()

    def connect(self, port: str = "") -> Endpoint:
        return _CarriageReturns(super().connect(port))

    def pending_until(self) -> float:
        return self.model.arrives()

    def number_text(self, value: float) -> str:
        return f"{value:+.10E}"

    def reset(self) -> None:
        self._set_emission("0")
        self._fine, self._scpi_units, self._milliwatt = 0.0, False, False

    @property
    def _sweeping(self) -> bool:
        sweep = self.model.wide_scan
        return sweep is not None and self.world.now < sweep.ends

    # ------------------------------------------------- power

    @scpi("POWer:STATe")
    def _set_emission(self, data: str) -> None:
        self.model.current_enabled = boolean(data)

    @scpi("POWer:STATe?")
    def _emission(self) -> int:
        return int(self.model.current_enabled)

    @scpi("POWer:SHUTter")
    def _set_shutter(self, data: str) -> None:
        self.model.button_enabled = not boolean(data)  # 1 closes it

    @scpi("POWer:SHUTter?")
    def _shutter(self) -> int:
        return int(not self.model.button_enabled)

    @scpi("POWer:UNIT")
    def _set_unit(self, data: str) -> None:
        self._milliwatt = round(self.number(data, 0, 1)) == 1

    @scpi("POWer:UNIT?")
    def _unit(self) -> int:
        return int(self._milliwatt)

    @scpi("POWer")
    def _set_power(self, data: str) -> None:
        value = self.number(data, -100.0, 100.0)
        if self._milliwatt:
            if not value > 0.0:
                raise ScpiError(-222)
            value = 10.0 * math.log10(value)
        if not POWERS_DBM[0] <= value <= POWERS_DBM[1]:
            raise ScpiError(-222)
        self._dbm = value
        self._apply_power()

    def _apply_power(self) -> None:
        model = self.model
        part = 10.0 ** (self._dbm / 10.0) / FULL_MW
        model.current_ma = model.threshold_ma + part * (model.nominal_ma - model.threshold_ma)

    @scpi("POWer?")
    def _power(self) -> float:
        return 10.0 ** (self._dbm / 10.0) if self._milliwatt else self._dbm

    @scpi("POWer:ACTual?")
    def _actual(self) -> float:
        milliwatt = float(self.model.power_mw(self.world.now))
        if self._milliwatt:
            return milliwatt
        return 10.0 * math.log10(milliwatt) if milliwatt > 0.0 else DARK_DBM

    # ------------------------------------------------- wavelength and frequency

    def _nm(self, data: str) -> float:
        """A wavelength in nm, from the unit that is chosen."""
        scale = 1e9 if self._scpi_units else 1.0
        value = self.number(data, 0.0, 1e9) * scale
        if not RANGE_NM[0] <= value <= RANGE_NM[1]:
            raise ScpiError(-222)
        return value

    def _told_nm(self, nm: float) -> float:
        return nm * 1e-9 if self._scpi_units else nm

    def _told_thz(self, nm: float) -> float:
        thz = NM_THZ / nm
        return thz * 1e12 if self._scpi_units else thz

    def _tune(self, nm: float) -> None:
        self._fine = 0.0
        self.model.set_piezo(70.0, self.world.now)
        self.model.tune(nm, self.world.now)

    @scpi("WAVelength")
    def _set_wavelength(self, data: str) -> None:
        self._tune(self._nm(data))

    @scpi("WAVelength?")
    def _wavelength(self) -> float:
        return self._told_nm(self._here_nm)

    @property
    def _here_nm(self) -> float:
        """The set point; after a sweep has begun, where it is (nm)."""
        model = self.model
        here = model.target_nm if model.wide_scan is None else model.coarse_nm(self.world.now)
        return float(here)

    @scpi("FREQuency")
    def _set_frequency(self, data: str) -> None:
        thz = self.number(data, 0.0, 1e16) * (1e-12 if self._scpi_units else 1.0)
        if not RANGE_NM[0] <= (NM_THZ / thz if thz else math.inf) <= RANGE_NM[1]:
            raise ScpiError(-222)
        self._tune(NM_THZ / thz)

    @scpi("FREQuency?")
    def _frequency(self) -> float:
        return self._told_thz(self._here_nm)

    @scpi("WAVelength:FINe")
    def _set_fine(self, data: str) -> None:
        """A hundred is one volt at the piezo (assumed)."""
        self._fine = self.number(data, -100.0, 100.0)
        self.model.set_piezo(70.0 + self._fine / 100.0, self.world.now)

    @scpi("WAVelength:FINe?")
    def _get_fine(self) -> float:
        return self._fine

    @scpi("SYSTem:COMMunicate:CODe")
    def _set_code(self, data: str) -> None:
        self._scpi_units = round(self.number(data, 0, 1)) == 1

    @scpi("SYSTem:COMMunicate:CODe?")
    def _code(self) -> int:
        return int(self._scpi_units)

    # ------------------------------------------------- sweeps

    @scpi("WAVelength:SWEep:STARt")
    def _set_start(self, data: str) -> None:
        self._sweep_nm[0] = self._nm(data)

    @scpi("WAVelength:SWEep:STARt?")
    def _start(self) -> float:
        return self._told_nm(self._sweep_nm[0])

    @scpi("WAVelength:SWEep:STOP")
    def _set_stop(self, data: str) -> None:
        self._sweep_nm[1] = self._nm(data)

    @scpi("WAVelength:SWEep:STOP?")
    def _stop(self) -> float:
        return self._told_nm(self._sweep_nm[1])

    @scpi("WAVelength:SWEep:SPEed")
    def _set_speed(self, data: str) -> None:
        speed = self.number(data, SPEEDS[0], SPEEDS[-1])
        if speed not in SPEEDS:
            raise ScpiError(-222)
        self._speed = round(speed)

    @scpi("WAVelength:SWEep:SPEed?")
    def _get_speed(self) -> int:
        return self._speed

    @scpi("WAVelength:SWEep:MODe")
    def _set_mode(self, data: str) -> None:
        self._mode = round(self.number(data, 0, 3))

    @scpi("WAVelength:SWEep:MODe?")
    def _get_mode(self) -> int:
        return self._mode

    @scpi("WAVelength:SWEep:CYCLes")
    def _set_cycles(self, data: str) -> None:
        self._cycles = round(self.number(data, 0, 999))

    @scpi("WAVelength:SWEep:CYCLes?")
    def _get_cycles(self) -> int:
        return self._cycles

    @scpi("WAVelength:SWEep[:STATe]")
    def _sweep(self, data: str) -> None:
        now = self.world.now
        if not boolean(data):
            self.model.halt(now)
            return
        first, last = self._sweep_nm
        if not first < last or self._mode != 1:
            raise ScpiError(-221)
        self.model.sweep((0.0, (last - first) / self._speed), (first, last), False, now)

    @scpi("WAVelength:SWEep[:STATe]?")
    def _sweep_state(self) -> int:
        return RUNNING if self._sweeping else STOPPED

    @scpi("WAVelength:SWEep:RANGe:MINimum?")
    def _lowest(self) -> float:
        return self._told_nm(RANGE_NM[0])

    @scpi("WAVelength:SWEep:RANGe:MAXimum?")
    def _highest(self) -> float:
        return self._told_nm(RANGE_NM[1])


class _CarriageReturns:
    """On LAN a message ends with a carriage return."""

    def __init__(self, inside: Endpoint) -> None:
        self._inside = inside

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        return self._inside.feed(data.replace(b"\r", b"\n"), now)
