"""Variable optical attenuators Agilent / HP 8156A and Keysight N7764A (four channels), over SCPI.

Address of an 8156A (GPIB): `visa://GPIB0::28::INSTR`; of an N7764A: `tcp://HOST:5025`.
Attenuations are in dB as the instrument shows them, which is the filter's plus the offset.
"""

from __future__ import annotations

from typing import Any

from pymeasure.instruments import Instrument

from drivers._properties import within
from labctl.clock import Clock
from labctl.instrument import LabChannel, LabInstrument

SPEED = 40.0  # dB/s of the filter
SETTLING = 0.1  # s after a move
PATIENCE = 10.0  # s that the instrument may take to say that it has arrived


class _Attenuator:
    """What both have; `_n` is the number behind INPut and OUTPut."""

    _n = ""
    clock: Clock

    @property
    def attenuation(self: Any) -> float:
        """Control the attenuation in dB (float); returns when the filter has arrived."""
        return float(self.values(f":INP{self._n}:ATT?")[0])

    @attenuation.setter
    def attenuation(self: Any, decibel: float) -> None:
        limits = self.attenuation_range
        wanted = within(decibel, limits, f"attenuation in dB of {self.name}")
        way = abs(wanted - self.attenuation)
        self.write(f":INP{self._n}:ATT {wanted:.4f}")
        self.check_set_errors()
        if way > 0.0:
            self.clock.sleep(way / SPEED + SETTLING)
            self.ask("*OPC?", timeout=PATIENCE)

    @property
    def attenuation_range(self: Any) -> tuple[float, float]:
        """Get the lowest and the highest attenuation in dB at this offset (float, float)."""
        low, high = (self.values(f":INP{self._n}:ATT? {end}")[0] for end in ("MIN", "MAX"))
        return float(low), float(high)

    @property
    def offset(self: Any) -> float:
        """Control what is added to the filter's attenuation in dB, which does not move (float)."""
        return float(self.values(f":INP{self._n}:OFFS?")[0])

    @offset.setter
    def offset(self: Any, decibel: float) -> None:
        wanted = within(decibel, (-99.999, 99.999), f"offset in dB of {self.name}")
        self.write(f":INP{self._n}:OFFS {wanted:.4f}")
        self.check_set_errors()

    @property
    def wavelength(self: Any) -> float:
        """Control the wavelength in nm at which the attenuation is right (float)."""
        return float(self.values(f":INP{self._n}:WAV?")[0]) * 1e9

    @wavelength.setter
    def wavelength(self: Any, nanometre: float) -> None:
        ends = (self.values(f":INP{self._n}:WAV? {end}")[0] * 1e9 for end in ("MIN", "MAX"))
        low, high = (round(float(end), 6) for end in ends)
        wanted = within(nanometre, (low, high), f"wavelength in nm of {self.name}")
        self.write(f":INP{self._n}:WAV {wanted:.6f}NM")
        self.check_set_errors()

    @property
    def output(self: Any) -> bool:
        """Control whether the shutter lets light pass (bool)."""
        return bool(self.values(f":OUTP{self._n}:STAT?", cast=_flag)[0])

    @output.setter
    def output(self: Any, is_open: bool) -> None:
        if not isinstance(is_open, bool):
            raise ValueError("it must be True or False")
        self.write(f":OUTP{self._n}:STAT {'ON' if is_open else 'OFF'}")
        self.check_set_errors()

    def make_safe(self) -> None:
        """Close the shutter."""
        self.output = False


def _flag(text: str) -> bool:
    return bool(("0", "1").index(text.strip().lstrip("+")))


class Agilent8156A(_Attenuator, LabInstrument):
    """One attenuator, 0 to 60 dB, 1200 to 1650 nm."""

    IDENTITY = r"(?i)(hewlett-packard|agilent|keysight).*8156"
    SETTINGS = ("attenuation", "offset", "wavelength", "output")


class AttenuatorChannel(_Attenuator, LabChannel):
    """One of several attenuators in a box."""

    _n = "{ch}"

    @property
    def name(self) -> str:
        return f"{self.parent.name} channel {self.id}"

    @property
    def clock(self) -> Clock:  # type: ignore[override]
        found: Clock = self.parent.clock
        return found


class KeysightN7764A(LabInstrument):
    """Four attenuators, `ch_1` to `ch_4`."""

    IDENTITY = r"(?i)(agilent|keysight).*N776[24]A"

    ch_1 = Instrument.ChannelCreator(AttenuatorChannel, 1)
    ch_2 = Instrument.ChannelCreator(AttenuatorChannel, 2)
    ch_3 = Instrument.ChannelCreator(AttenuatorChannel, 3)
    ch_4 = Instrument.ChannelCreator(AttenuatorChannel, 4)

    def snapshot(self) -> dict[str, Any]:
        """Settings of all channels."""
        return {
            f"{name}.{setting}": getattr(getattr(self, name), setting)
            for name in ("ch_1", "ch_2", "ch_3", "ch_4")
            for setting in Agilent8156A.SETTINGS
        }

    def make_safe(self) -> None:
        """Close all shutters."""
        for channel in (self.ch_1, self.ch_2, self.ch_3, self.ch_4):
            channel.make_safe()
