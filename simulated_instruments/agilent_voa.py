"""Simulated optical attenuators Agilent 8156A (one) and Keysight N7764A (four channels), SCPI.

Commands are those of the 8156A manual's remote chapter and of the INPut and OUTPut chapters of the
mainframe programming guide, which say that an attenuation is that of the filter plus the offset.
Through powers (OUTPut:POWer, OUTPut:APMode), wavelength-dependent offsets, the display and the
power control of the N7764A are not simulated. Where the manuals are silent, *RST closes the
shutter, and a move of the filter is an operation that *OPC? waits for. The range of the N7764A
(45 dB) is that of its data sheet.
"""

from __future__ import annotations

from typing import ClassVar

from simulated_instruments.instrument import Port
from simulated_instruments.physics.attenuator import AttenuatorModel
from simulated_instruments.protocol.scpi import ScpiError, ScpiInstrument, scpi
from simulated_instruments.protocol.scpi_status import Status
from simulated_instruments.protocol.scpi_syntax import boolean, choice
from simulated_instruments.world import World

__all__ = ["AttenuatorModel", "SimAgilent8156A", "SimKeysightN7764A"]

SETTLING = 2  # bit of STATus:OPERation
QUEUE = 29  # errors
OFFSETS = (-99.999, 99.999)  # dB
WAVELENGTHS = (1200.0, 1650.0)  # nm
DEFAULT_NM = 1310.0


class _Attenuators(ScpiInstrument):
    """Some attenuators behind one command set; the number is the suffix of INPut and OUTPut."""

    CLIPS = False
    channels: ClassVar[int] = 1
    range_db: ClassVar[float] = 60.0

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.status = Status(depth=QUEUE)
        self.models: list[AttenuatorModel] = [
            self._part(world, part) for part in self.parts_of(name)
        ]

    @classmethod
    def parts_of(cls, name: str) -> list[str]:
        """Names of the attenuators as parts of the world."""
        return [name] if cls.channels == 1 else [f"{name}.{n + 1}" for n in range(cls.channels)]

    def _part(self, world: World, part: str) -> AttenuatorModel:
        model = world.part(part, lambda: AttenuatorModel(world.seed_of, part, self.range_db))
        model.advance(world.now)
        return model

    def _channel(self, number: int) -> AttenuatorModel:
        if not 1 <= number <= self.channels:
            raise ScpiError(-114)
        return self.models[number - 1]

    def pending_until(self) -> float:
        return max(model.moving_until for model in self.models)

    def operation_condition(self) -> int:
        return SETTLING if self.pending_until() > self.world.now else 0

    def reset(self) -> None:
        for model in self.models:
            model.restore()

    def number_text(self, value: float) -> str:
        """The exponent has three digits."""
        mantissa, _, exponent = f"{value:+.8E}".partition("E")
        return f"{mantissa}E{int(exponent):+04d}"

    # ------------------------------------------------- INPut

    @scpi(":INPut{n}[:CHANnel]:ATTenuation")
    def _set_attenuation(self, channel: int, data: str) -> None:
        model = self._channel(channel)
        low, high = model.offset_db, model.offset_db + model.range_db
        model.attenuation_db = self.number(data, low, high, low, unit="DB")

    @scpi(":INPut{n}[:CHANnel]:ATTenuation?")
    def _attenuation(self, channel: int, which: str = "") -> float:
        model = self._channel(channel)
        low, high = model.offset_db, model.offset_db + model.range_db
        return _limit(which, low, high, low) if which else model.attenuation_db

    @scpi(":INPut{n}[:CHANnel]:OFFSet")
    def _set_offset(self, channel: int, data: str) -> None:
        self._channel(channel).offset_db = self.number(data, *OFFSETS, 0.0, unit="DB")

    @scpi(":INPut{n}[:CHANnel]:OFFSet?")
    def _offset(self, channel: int, which: str = "") -> float:
        offset = self._channel(channel).offset_db
        return _limit(which, *OFFSETS, 0.0) if which else offset

    @scpi(":INPut{n}[:CHANnel]:WAVelength")
    def _set_wavelength(self, channel: int, data: str) -> None:
        metres = self.number(data, *(nm * 1e-9 for nm in (*WAVELENGTHS, DEFAULT_NM)), unit="M")
        self._channel(channel).wavelength_nm = metres * 1e9

    @scpi(":INPut{n}[:CHANnel]:WAVelength?")
    def _wavelength(self, channel: int, which: str = "") -> float:
        model = self._channel(channel)
        nm = _limit(which, *WAVELENGTHS, DEFAULT_NM) if which else model.wavelength_nm
        return nm * 1e-9

    # ------------------------------------------------- OUTPut

    @scpi(":OUTPut{n}[:CHANnel][:STATe]")
    def _set_output(self, channel: int, data: str) -> None:
        self._channel(channel).open = _word(data, "OFF", "ON")

    @scpi(":OUTPut{n}[:CHANnel][:STATe]?")
    def _output(self, channel: int) -> int:
        return int(self._channel(channel).open)


def _word(data: str, false: str, true: str) -> bool:
    """A switch that takes two words, 0 and 1, and no other number."""
    if data.upper() not in (false, true, "0", "1"):
        raise ScpiError(-224, data[:20])
    return data.upper() in (true, "1")


def _limit(which: str, low: float, high: float, default: float) -> float:
    """What a query asks for with MIN, MAX or DEF."""
    word = choice(which, ("MINimum", "MAXimum", "DEFault"))
    return {"MIN": low, "MAX": high, "DEF": default}[word]


class SimAgilent8156A(_Attenuators):
    """One attenuator of 60 dB; the world knows it by the instrument's name."""

    PORTS: ClassVar[dict[str, Port]] = {"main": Port("scpi")}
    identity = "HEWLETT-PACKARD,HP8156A,3328G00219,1.02"

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.low_polarisation_dependence = False
        self.opens_again = False  # the shutter, when power comes back

    @scpi(":INPut:LCMode")
    def _set_lcm(self, data: str) -> None:
        self.low_polarisation_dependence = boolean(data)

    @scpi(":INPut:LCMode?")
    def _lcm(self) -> int:
        return int(self.low_polarisation_dependence)

    @scpi(":OUTPut[:STATe]:APOWeron")
    def _set_power_on(self, data: str) -> None:
        self.opens_again = _word(data, "DIS", "LAST")

    @scpi(":OUTPut[:STATe]:APOWeron?")
    def _power_on(self) -> int:
        return int(self.opens_again)


class SimKeysightN7764A(_Attenuators):
    """Four attenuators of 45 dB; the world knows them as NAME.1 to NAME.4."""

    PORTS: ClassVar[dict[str, Port]] = {"main": Port("scpi", default=5025)}
    identity = "Keysight Technologies,N7764A,MY00000001,1.16"
    channels = 4
    range_db = 45.0
