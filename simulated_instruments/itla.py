"""Simulated tunable laser PurePhotonics PPCL550: registers of the OIF ITLA agreement, serial.

What is modelled: channel grid, fine tuning, power, warm-up, pending operations, dither and whisper
mode, status with its summary bits, strings by extended addressing. Alarm thresholds, firmware
download, clean sweep and clean jump do not exist here (error RNI); the configuration registers
IOCap and MCB keep what is written and change nothing. As on the hardware, a frequency outside the
range is not refused: the module goes to its limit and reports it in the status registers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import ClassVar

from labctl.transport import Endpoint
from simulated_instruments.instrument import Port, SimulatedInstrument
from simulated_instruments.physics.itla_laser import (
    FINE_RANGE_HZ,
    HIGHEST_DBM,
    HIGHEST_HZ,
    LOWEST_DBM,
    LOWEST_HZ,
    ItlaModel,
)
from simulated_instruments.protocol.itla import (
    AEA,
    CIE,
    CII,
    CIP,
    ERE,
    ERROR,
    OK,
    PENDING,
    RNI,
    RNW,
    RVE,
    ItlaEndpoint,
    ItlaError,
)
from simulated_instruments.world import World

__all__ = ["ItlaModel", "SimItla"]

NOP, GEN_CFG, AEA_DATA, IO_CAP, FATAL, WARNING = 0x00, 0x08, 0x0B, 0x0D, 0x20, 0x21
SRQ_TRIGGER, FATAL_TRIGGER, ALARM_TRIGGER = 0x28, 0x29, 0x2A
CHANNEL, POWER, ENABLE, BEHAVIOUR, GRID, FCF_THZ, FCF_GHZ = range(0x30, 0x37)
FINE, MODE = 0x62, 0x90
TEXTS, LISTS = range(0x01, 0x08), (0x57, 0x58)

MODULE_RESET, SOFT_RESET, SOFT_ENABLE = 1, 2, 8  # bits of ENABLE
READY = 0x10  # bit of NOP
SAVE = 0x8000  # bit of GEN_CFG
# Bits of FATAL and WARNING: latched frequency, resets, checksum, error; present frequency; sums.
FREQUENCY_LATCHED, COM_RESET, WAS_RESET, CHECKSUM, EXECUTION = 0x04, 0x10, 0x20, 0x40, 0x80
FREQUENCY, SUM_FATAL, SUM_ALARM, SUM_SRQ = 0x0400, 0x2000, 0x4000, 0x8000
START = 1.0  # s after a module reset
DARK_DBM = -60.0


class SimItla(SimulatedInstrument):
    """The register file, in front of the laser that it shares with the world."""

    PORTS: ClassVar[dict[str, Port]] = {"serial": Port("itla", transport="serial")}

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: ItlaModel = world.part(name, lambda: ItlaModel(world.seed_of, name))
        serial = f"CRTNB2H{world.seed_of(f'{name}.serial') % 1000:03d}"
        strings = ("CW ITLA", "Pure Photonics", "PPCL550", serial, "20-NOV-2019", "4.0.2", "4.0.0")
        self._strings = dict(zip(TEXTS, strings, strict=True))
        self._defaults = {
            IO_CAP: 0, BEHAVIOUR: 0, CHANNEL: 1, POWER: 1000, GRID: 500, FCF_THZ: 193,
            FCF_GHZ: 5000, FINE: 0, SRQ_TRIGGER: 0x1FBF, FATAL_TRIGGER: 0x000F,
            ALARM_TRIGGER: 0x0D0D,
        }  # fmt: skip
        self.values: dict[int, int] = {}
        self._latched: dict[int, int] = {}
        self._restart(0.0)
        self._readers: dict[int, Callable[[float], int]] = {
            NOP: self._nop,
            GEN_CFG: lambda t: 0,
            FATAL: lambda t: self._status(FATAL),
            WARNING: lambda t: self._status(WARNING),
            ENABLE: lambda t: SOFT_ENABLE if self.model.enabled else 0,
            MODE: lambda t: 2 if self.model.whisper else 0,
            0x40: lambda t: self._tenths() // 10_000,
            0x41: lambda t: self._tenths() % 10_000,
            0x42: lambda t: round(100 * (self._dbm(t))),
            0x43: lambda t: 2500,
            0x4F: lambda t: round(FINE_RANGE_HZ / 1e6),
            0x50: lambda t: round(100 * LOWEST_DBM),
            0x51: lambda t: round(100 * HIGHEST_DBM),
            0x52: lambda t: round(LOWEST_HZ / 1e8) // 10_000,
            0x53: lambda t: round(LOWEST_HZ / 1e8) % 10_000,
            0x54: lambda t: round(HIGHEST_HZ / 1e8) // 10_000,
            0x55: lambda t: round(HIGHEST_HZ / 1e8) % 10_000,
            0x56: lambda t: 1,
        }
        self._writers: dict[int, Callable[[int, float], bool]] = {
            GEN_CFG: self._save,
            FATAL: self._clear,
            WARNING: self._clear,
            CHANNEL: self._tune,
            POWER: self._set_power,
            ENABLE: self._enable,
            GRID: lambda data, t: self._set_grid(GRID, data, t),
            FCF_THZ: lambda data, t: self._set_grid(FCF_THZ, data, t),
            FCF_GHZ: lambda data, t: self._set_grid(FCF_GHZ, data, t),
            FINE: self._fine_tune,
            MODE: self._set_mode,
        }

    def connect(self, port: str = "") -> Endpoint:
        if port not in ("", *self.PORTS):
            raise ValueError(f"{self.name} has no port {port!r}, only {', '.join(self.PORTS)}")
        return ItlaEndpoint(self.world, self)

    # ---------------------------------------------------------------- frames

    def execute(self, register: int, data: int, write: bool, now: float) -> tuple[int, int]:
        """Status and data of the reply to a frame."""
        try:
            if write:
                return self._write(register, data, now)
            if register in TEXTS or register in LISTS:
                self._extended = self._long(register, now)
                return AEA, len(self._extended)
            return OK, self._read(register, now)
        except ItlaError as error:
            self._error = error.code
            self._latch(EXECUTION)
            return ERROR, 0

    def damaged(self) -> None:
        self._latch(CHECKSUM)

    def _read(self, register: int, t: float) -> int:
        if register == AEA_DATA:
            if not self._extended:
                raise ItlaError(ERE)
            word, self._extended = self._extended[:2], self._extended[2:]
            return int.from_bytes(word, "big")
        if register in self._readers:
            return self._readers[register](t)
        if register in self.values:
            return self.values[register]
        raise ItlaError(RNI)

    def _write(self, register: int, data: int, t: float) -> tuple[int, int]:
        if register == NOP:
            return OK, self._nop(t)
        if t < self._ready_from:
            raise ItlaError(CII)
        if register in self._writers:
            pending = self._writers[register](data, t)
        elif register in (IO_CAP, BEHAVIOUR, SRQ_TRIGGER, FATAL_TRIGGER, ALARM_TRIGGER):
            self.values[register] = data
            pending = False
        elif register in self._readers or register in TEXTS or register in LISTS:
            raise ItlaError(RNW)
        else:
            raise ItlaError(RNI)
        return (PENDING if pending else OK), data

    def _long(self, register: int, t: float) -> bytes:
        """What an extended read gives, an even number of bytes."""
        if register in self._strings:
            text = self._strings[register].encode() + b"\0"
            return text + b"\0" * (len(text) % 2)
        numbers = (2500, round(100 * self.model.case_celsius(t)))  # centi-degC: diode, case
        if register == LISTS[0]:
            numbers = (3200, 2800) if self.model.enabled else (0, 0)  # 0.1 mA: cooler, diode
        return b"".join(number.to_bytes(2, "big", signed=True) for number in numbers)

    # ---------------------------------------------------------------- operations and status

    def _nop(self, t: float) -> int:
        """Pending operations, readiness, and the error of the last command, which it forgets."""
        error, self._error = self._error, 0
        return self._pending(t) << 8 | (READY if t >= self._ready_from else 0) | error

    def _pending(self, t: float) -> int:
        return sum(1 << bit for bit, ends in self._operations.items() if ends > t)

    def _begin(self, ends: float, t: float) -> bool:
        """Note an operation that lasts until `ends` (s); whether it is pending at all."""
        if ends <= t:
            return False
        busy = self._pending(t)
        bit = next((bit for bit in range(8) if not busy >> bit & 1), 7)
        self._operations[bit] = ends
        return True

    def _idle(self, t: float) -> None:
        if self._pending(t):
            raise ItlaError(CIP)

    def _latch(self, bits: int) -> None:
        for register in (FATAL, WARNING):
            self._latched[register] |= bits

    def _clear(self, data: int, t: float) -> bool:
        for register in (FATAL, WARNING):
            self._latched[register] &= ~(data & 0xFF)
        return False

    def _status(self, register: int) -> int:
        """A status register: what is latched, what holds now, and the sums over both registers."""
        now = FREQUENCY if self.model.enabled and self.model.out_of_reach else 0
        latched = self._latched[FATAL]
        # triggers: latched fatal, resets and errors, latched warnings four bits higher
        causes = latched & 0xFF | (self._latched[WARNING] & 0x0F) << 8
        bits = self._latched[register] | now
        for trigger, total in (
            (SRQ_TRIGGER, SUM_SRQ),
            (FATAL_TRIGGER, SUM_FATAL),
            (ALARM_TRIGGER, SUM_ALARM),
        ):
            if causes & self.values[trigger]:
                bits |= total
        return bits

    # ---------------------------------------------------------------- settings

    def _restart(self, t: float) -> None:
        """Come up with the saved settings, dark."""
        self.values = dict(self._defaults)
        self._latched = {FATAL: COM_RESET | WAS_RESET, WARNING: COM_RESET | WAS_RESET}
        self._operations: dict[int, float] = {}
        self._error = 0
        self._extended = b""
        self._ready_from = t
        self.model.disable()
        self.model.set_whisper(False, t)
        self.model.tune(self._channel_hz(), t)
        self.model.fine_tune(_signed(self.values[FINE]) * 1e6, t)
        self.model.set_power(_signed(self.values[POWER]) / 100, t)

    def _save(self, data: int, t: float) -> bool:
        if data & SAVE:
            self._defaults = dict(self.values)
        return False

    def _enable(self, data: int, t: float) -> bool:
        if data & MODULE_RESET:
            self._restart(t)
            self._ready_from = t + START
            return False
        if data & SOFT_RESET:
            self._extended = b""
            self._latch(COM_RESET)
        if not data & SOFT_ENABLE:
            self.model.disable()
            self._operations.clear()
            return False
        if self.model.enabled:
            return bool(self._pending(t))
        self._idle(t)
        ends = self.model.enable(t)
        self._note_reach()
        return self._begin(ends, t)

    def _tune(self, data: int, t: float) -> bool:
        if data == 0:
            raise ItlaError(RVE)
        self._idle(t)
        self.values[CHANNEL] = data
        pending = self._begin(self.model.tune(self._channel_hz(), t), t)
        self._note_reach()
        return pending

    def _note_reach(self) -> None:
        """Latch that the channel cannot be reached."""
        if self.model.enabled and self.model.out_of_reach:
            self._latch(FREQUENCY_LATCHED)

    def _set_grid(self, register: int, data: int, t: float) -> bool:
        if self.model.enabled:
            raise ItlaError(CIE)
        self.values[register] = data
        self.model.tune(self._channel_hz(), t)
        return False

    def _set_power(self, data: int, t: float) -> bool:
        dbm = _signed(data) / 100
        if not LOWEST_DBM <= dbm <= HIGHEST_DBM:
            raise ItlaError(RVE)
        self._idle(t)
        self.values[POWER] = data
        ends = self.model.set_power(dbm, t)
        return self.model.enabled and self._begin(ends, t)

    def _fine_tune(self, data: int, t: float) -> bool:
        if abs(_signed(data)) * 1e6 > FINE_RANGE_HZ:
            raise ItlaError(RVE)
        self._idle(t)
        self.values[FINE] = data
        ends = self.model.fine_tune(_signed(data) * 1e6, t)
        return self.model.enabled and self._begin(ends, t)

    def _set_mode(self, data: int, t: float) -> bool:
        if data > 2:
            raise ItlaError(RVE)
        self.model.set_whisper(data > 0, t)
        return False

    # ---------------------------------------------------------------- readings

    def _channel_hz(self) -> float:
        values = self.values
        first = values[FCF_THZ] * 10_000 + values[FCF_GHZ]
        return (first + (values[CHANNEL] - 1) * _signed(values[GRID])) * 1e8

    def _tenths(self) -> int:
        """Frequency in 0.1 GHz."""
        return round(self.model.target_hz / 1e8)

    def _dbm(self, t: float) -> float:
        power = float(self.model.power_mw(t))
        return 10.0 * math.log10(power) if power > 0 else DARK_DBM


def _signed(word: int) -> int:
    return word - 0x10000 if word & 0x8000 else word
