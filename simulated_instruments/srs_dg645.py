"""Simulated delay generator Stanford Research Systems DG645, over its raw TCP port.

Commands as the maker's Python client sends them; error codes of LERR? are those of the shared
sheet, unverified there. Not simulated: bursts, prescalers, inhibit, display and network settings;
what is set of bursts is kept.
"""

from __future__ import annotations

from typing import Any, ClassVar

from simulated_instruments.instrument import Port
from simulated_instruments.physics.delay_generator import T0, T1, A, DelayGeneratorModel, H
from simulated_instruments.protocol import scpi_syntax as syntax
from simulated_instruments.protocol.scpi import ScpiError, ScpiInstrument, scpi
from simulated_instruments.protocol.scpi_table import Command
from simulated_instruments.world import World

__all__ = ["DelayGeneratorModel", "SimDg645"]

#: LERR? for what IEEE 488.2 calls otherwise.
LERR = {
    -222: 10, -224: 10, -113: 111, -102: 126, -101: 126, -108: 115, -109: 116,
    -104: 120, -131: 120, -121: 120,
}  # fmt: skip
ILLEGAL_MODE, ILLEGAL_DELAY, ILLEGAL_LINK, SYNTAX = 11, 12, 13, 126
RATES = (100e-6, 10e6)  # Hz
LONGEST = 2000.0  # s
RATE_BIT, TRIGGERED, DELAYS_OVER = 2, 1, 4  # of INSR


class SimDg645(ScpiInstrument):
    """Its short commands, in front of the model that the world may read."""

    PORTS: ClassVar[dict[str, Port]] = {"main": Port("scpi", default=5025)}
    identity = "Stanford Research Systems,DG645,s/n001234,ver1.10.113"
    CLIPS = False
    TERMINATOR = b"\r\n"

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: DelayGeneratorModel = world.part(name, DelayGeneratorModel)
        self.model.advance(world.now)
        self._bursts = {"BURC": 5.0, "BURP": 1e-4, "BURD": 0.0, "BURT": 0.0}
        self._holdoff = 0.0
        self._shots = 0

    def find(self, header: str) -> tuple[Command, tuple[str, ...]]:
        """The command of a header; there are no trees here."""
        if header.count(":") > 1:
            raise ScpiError(-113, header[1:41])
        return super().find(header)

    def reset(self) -> None:
        self.model.restore()

    def number_text(self, value: float) -> str:
        return f"{value:+.6f}"

    # ------------------------------------------------- trigger

    @scpi("TSRC")
    def _set_source(self, data: str) -> None:
        self.model.set_source(_index(data, 6))

    @scpi("TSRC?")
    def _source(self) -> int:
        return self.model.source

    @scpi("TRAT")
    def _set_rate(self, data: str) -> None:
        self.model.set_rate(self.number(data, *RATES))

    @scpi("TRAT?")
    def _rate(self) -> str:
        return f"{self.model.rate:+.6f}"

    @scpi("TLVL")
    def _set_level(self, data: str) -> None:
        self.model.level = self.number(data, -3.5, 3.5)

    @scpi("TLVL?")
    def _level(self) -> str:
        return f"{self.model.level:+.2f}"

    @scpi("HOLD")
    def _set_holdoff(self, data: str) -> None:
        self._holdoff = self.number(data, 0.0, 10.0)

    @scpi("HOLD?")
    def _get_holdoff(self) -> str:
        return f"{self._holdoff:+.12f}"

    @scpi("*TRG")
    def _trigger(self) -> None:
        if not self.model.shoot():
            raise ScpiError(ILLEGAL_MODE)
        self._shots += 1

    # ------------------------------------------------- delays and outputs

    @scpi("DLAY")
    def _set_delay(self, channel: str, reference: str, data: str) -> None:
        number, other = _index(channel, H), _index(reference, H)
        if number < A or other == T1:
            raise ScpiError(-222)
        before = self.model.delays[number]
        try:
            self.model.link(number, other, syntax.number(data))
        except ValueError:
            raise ScpiError(ILLEGAL_LINK) from None
        if not all(0.0 <= self.model.edge(each) <= LONGEST for each in self.model.delays):
            self.model.delays[number] = before
            raise ScpiError(ILLEGAL_DELAY)

    @scpi("DLAY?")
    def _delay(self, channel: str) -> str:
        reference, seconds = self.model.delays.get(_index(channel, H), (T0, 0.0))
        return f"{reference},{seconds:+.12f}"

    @scpi("LINK?")
    def _link(self, channel: str) -> int:
        return self.model.delays.get(_index(channel, H), (T0, 0.0))[0]

    @scpi("LAMP")
    def _set_amplitude(self, output: str, data: str) -> None:
        self.model.amplitudes[_index(output, 4)] = self.number(data, 0.5, 5.0)

    @scpi("LAMP?")
    def _amplitude(self, output: str) -> str:
        return f"{self.model.amplitudes[_index(output, 4)]:+.2f}"

    @scpi("LOFF")
    def _set_offset(self, output: str, data: str) -> None:
        self.model.offsets[_index(output, 4)] = self.number(data, -3.0, 3.0)

    @scpi("LOFF?")
    def _offset(self, output: str) -> str:
        return f"{self.model.offsets[_index(output, 4)]:+.2f}"

    @scpi("LPOL")
    def _set_polarity(self, output: str, data: str) -> None:
        self.model.positive[_index(output, 4)] = bool(_index(data, 1))

    @scpi("LPOL?")
    def _polarity(self, output: str) -> int:
        return int(self.model.positive[_index(output, 4)])

    # ------------------------------------------------- bursts

    @scpi("BURM")
    def _set_burst(self, data: str) -> None:
        self.model.burst = bool(_index(data, 1))

    @scpi("BURM?")
    def _burst(self) -> int:
        return int(self.model.burst)

    @scpi("BURC")
    def _set_count(self, data: str) -> None:
        self._bursts["BURC"] = float(_index(data, (1 << 32) - 1))

    @scpi("BURC?")
    def _count(self) -> int:
        return int(self._bursts["BURC"])

    @scpi("BURP")
    def _set_burst_period(self, data: str) -> None:
        self._bursts["BURP"] = self.number(data, 100e-9, 2000.0)

    @scpi("BURP?")
    def _burst_period(self) -> str:
        return f"{self._bursts['BURP']:+.12f}"

    # ------------------------------------------------- status

    @scpi("LERR?")
    def _last_error(self) -> int:
        code, _ = self.status.pop()
        return code if code >= 0 else LERR.get(code, SYNTAX)

    @scpi("INSR?")
    def _instrument_status(self) -> int:
        bits = RATE_BIT if self.model.overrun else 0
        regular = self.model.period is not None
        if regular or self._shots:
            bits |= TRIGGERED | DELAYS_OVER
        self._shots = 0
        return bits

    @scpi("INSE")
    def _set_instrument_enable(self, data: str) -> None:
        self.status.operation.enable = _index(data, 255)

    @scpi("INSE?")
    def _instrument_enable(self) -> int:
        return self.status.operation.enable


def _index(data: Any, most: int) -> int:
    value = syntax.number(data)
    if value != round(value) or not 0 <= value <= most:
        raise ScpiError(-222)
    return round(value)
