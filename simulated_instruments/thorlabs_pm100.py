"""Simulated power meter Thorlabs PM100D with an InGaAs photodiode head (800 to 1700 nm, +13 dBm).

The instrument has USB only; here its messages come over a raw stream. Commands are those of the
operation manual's SCPI chapter. Energy sensors, thermal sensors, beam densities and the relative
(delta) mode are not simulated. Where the manual is silent, the stricter behaviour is assumed: a
new unit takes effect with the next CONFigure or MEASure.
"""

from __future__ import annotations

import math
from typing import ClassVar

from simulated_instruments.instrument import Port
from simulated_instruments.physics.power_meter import (
    FULL_SCALES,
    WAVELENGTHS,
    PowerMeterModel,
    responsivity,
)
from simulated_instruments.protocol.scpi import (
    AfterPending,
    Number,
    ScpiError,
    ScpiInstrument,
    Switch,
    scpi,
)
from simulated_instruments.protocol.scpi_syntax import choice
from simulated_instruments.world import World

__all__ = ["PowerMeterModel", "SimThorlabsPm100"]

OVERFLOW, NOT_A_NUMBER = 9.9e37, 9.91e37  # as SCPI-99 writes infinity and no number
HEAD_CELSIUS = 25.0
POWER_QUESTIONABLE = 8  # bit of STATus:QUEStionable
MEASURING = 16  # bit of STATus:OPERation

_POWER = "[:SENSe]:POWer[:DC]"
_CORRECTION = "[:SENSe]:CORRection"
_ZERO = f"{_CORRECTION}:COLLect:ZERO"
_FILTER = ":INPut[:PDIode]:FILTer[:LPASs][:STATe]"


class SimThorlabsPm100(ScpiInstrument):
    """The command set in front of a `PowerMeterModel` that the world may have put there."""

    PORTS: ClassVar[dict[str, Port]] = {"main": Port("scpi")}
    identity = "Thorlabs,PM100D,P0032734,2.6.0"
    #: Name, serial number, calibration; type, subtype and flags: power sensor whose wavelength can
    #: be set, with thermometer.
    sensor: ClassVar[str] = "S155C,15060412,12-Jun-2015,1,18,289"
    CLIPS = False
    SETTINGS = (
        Number(
            f"{_CORRECTION}:WAVelength", "wavelength_nm", WAVELENGTHS[0], WAVELENGTHS[-1], 1550.0,
            "NM",
        ),
        Number("[:SENSe]:AVERage:COUNt", "count", 1, 10000, 1, integer=True),
        Switch(f"{_POWER}:RANGe:AUTO", "auto_range"),
        Number(f"{_CORRECTION}:LOSS[:INPut][:MAGNitude]", "attenuation_db", -60.0, 60.0, 0.0, "DB"),
        Number(_CORRECTION, "attenuation_db", -60.0, 60.0, 0.0, "DB"),
        Switch(_FILTER, "low_pass"),
    )  # fmt: skip

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: PowerMeterModel = world.part(name, lambda: PowerMeterModel(world.seed_of, name))
        self.model.advance(world.now)
        self._reconfigure()

    def _reconfigure(self) -> None:
        self._unit = "W"
        self._quantity, self._shown_unit = "POW", "W"

    # ------------------------------------------------- state

    def pending_until(self) -> float:
        return self.model.busy_until

    def operation_condition(self) -> int:
        return MEASURING if self.model.busy_until else 0

    def questionable_condition(self) -> int:
        return POWER_QUESTIONABLE if self.model.over_range else 0

    def reset(self) -> None:
        self.model.restore()
        self._reconfigure()

    def number_text(self, value: float) -> str:
        return f"{value:.8E}"

    @scpi("SYSTem:SENSor:IDN?")
    def _sensor(self) -> str:
        return self.sensor

    @scpi("CALibration:STRing?")
    def _calibration(self) -> str:
        return f'"{self.sensor.split(",")[2]}"'

    @scpi("SYSTem:BEEPer[:IMMediate]")
    def _beep(self) -> None:
        """Nobody hears it."""

    # ------------------------------------------------- readings

    @scpi("CONFigure[:SCALar]:POWer")
    def _configure_power(self) -> None:
        self._quantity, self._shown_unit = "POW", self._unit

    @scpi("CONFigure[:SCALar]:CURRent[:DC]")
    def _configure_current(self) -> None:
        self._quantity = "CURR"

    @scpi("CONFigure[:SCALar]:TEMPerature")
    def _configure_temperature(self) -> None:
        self._quantity = "TEMP"

    @scpi("CONFigure?")
    def _configuration(self) -> str:
        return self._quantity

    @scpi("INITiate[:IMMediate]")
    def _initiate(self) -> None:
        if self.model.busy_until:
            raise ScpiError(-213)
        self.model.initiate()

    @scpi("ABORt")
    def _abort(self) -> None:
        if not self.model.zeroing:
            self.model.abort()

    @scpi("READ?")
    def _read(self) -> AfterPending:
        """A new reading; one that is under way is not used."""
        return AfterPending(self._read_now) if self.model.zeroing else self._read_now()

    def _read_now(self) -> AfterPending:
        self.model.abort()
        self.model.initiate()
        return AfterPending(self._value)

    @scpi("FETCh?")
    def _fetch(self) -> AfterPending:
        return AfterPending(self._value)

    @scpi("MEASure[:SCALar]:POWer?")
    def _measure_power(self) -> AfterPending:
        self._configure_power()
        return self._read()

    @scpi("MEASure[:SCALar]:CURRent[:DC]?")
    def _measure_current(self) -> AfterPending:
        self._configure_current()
        return self._read()

    @scpi("MEASure[:SCALar]:TEMPerature?")
    def _measure_temperature(self) -> AfterPending:
        self._configure_temperature()
        return self._read()

    def _value(self) -> float:
        current = self.model.current_a
        if current is None:
            raise ScpiError(-230)
        if self._quantity == "TEMP":
            return HEAD_CELSIUS
        if math.isinf(current):
            return OVERFLOW
        if self._quantity == "CURR":
            return current
        power = current * self.model.watt_per_ampere
        if self._shown_unit == "W":
            return power
        return 10 * math.log10(power / 1e-3) if power > 0 else NOT_A_NUMBER

    # ------------------------------------------------- settings that depend on others

    @scpi(f"{_POWER}:UNIT")
    def _set_unit(self, data: str) -> None:
        self._unit = choice(data, ("W", "DBM"))

    @scpi(f"{_POWER}:UNIT?")
    def _get_unit(self) -> str:
        return self._unit

    @scpi(f"{_POWER}:RANGe[:UPPer]")
    def _set_range(self, data: str) -> None:
        most = FULL_SCALES[0] * self.model.watt_per_ampere
        self.model.range_w = self.number(data, 0.0, most, most, "W")

    @scpi(f"{_POWER}:RANGe[:UPPer]?")
    def _range(self, which: str = "") -> float:
        if not which:
            return self.model.range_w
        smallest = choice(which, ("MAXimum", "MINimum")) == "MIN"
        return FULL_SCALES[-1 if smallest else 0] * self.model.watt_per_ampere

    @scpi(f"{_CORRECTION}:POWer[:PDIode]:RESPonse?")
    def _responsivity(self) -> float:
        return responsivity(self.model.wavelength_nm)

    # ------------------------------------------------- zero

    @scpi(f"{_ZERO}[:INITiate]")
    def _zero(self) -> None:
        if self.model.busy_until:
            raise ScpiError(-213)
        self.model.zero()

    @scpi(f"{_ZERO}:ABORt")
    def _abort_zero(self) -> None:
        if self.model.zeroing:
            self.model.abort()

    @scpi(f"{_ZERO}:STATe?")
    def _zero_state(self) -> bool:
        return self.model.zeroing

    @scpi(f"{_ZERO}:MAGNitude?")
    def _zero_magnitude(self) -> float:
        return self.model.zero_a
