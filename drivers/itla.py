"""Tunable laser modules after the OIF ITLA agreement, such as PurePhotonics PPCL550: serial.

Address: "serial:///dev/ttyUSB0?baudrate=9600". Each exchange is four bytes with a checksum there
and four back. A damaged or lost reply is asked for once more; a lost byte, which would shift all
that follow, is filled up with zeros, as the maker recommends. The port is not opened again while
the bench is open: on some systems that lets the laser flash.

Frequencies are in THz, fine tuning in MHz, powers in dBm.
"""

from __future__ import annotations

from typing import Any

from labctl.adapter import Framing
from labctl.errors import InstrumentError, RequestError, TransportTimeout
from labctl.instrument import LabInstrument

NOP, AEA_DATA, FATAL, WARNING = 0x00, 0x0B, 0x20, 0x21
CHANNEL, POWER, ENABLE, _, GRID, FCF_THZ, FCF_GHZ = range(0x30, 0x37)
FINE, MODE = 0x62, 0x90
OK, ERROR, EXTENDED, PENDING = range(4)  # status of a reply
SOFT_ENABLE = 8
LATCHED_FATAL = 0x0F
ERRORS = {
    1: "this module has no such register",
    2: "the register can only be read",
    3: "the value is out of range",
    4: "another operation is pending; wait until it is over",
    5: "the module is still starting; ask again",
    6: "there is no more to read at the extended address",
    7: "the extended address can only be read",
    8: "it failed inside the module",
    9: "the output is on; switch it off first",
    10: "the configuration is not valid",
    15: "the module gives a reason of its own; see its manual",
}
MODES = {"dither": 0, "whisper": 2}
POLL = 0.25  # s between two looks at a pending operation
WAITING = 180.0  # s that warming up or tuning may take
DARK = -20.0  # dBm, below which nobody calls it light


def _bip4(frame: bytes) -> int:
    folded = (frame[0] & 0x0F) ^ frame[1] ^ frame[2] ^ frame[3]
    return (folded >> 4) ^ (folded & 0x0F)


def _signed(word: int) -> int:
    return word - 0x10000 if word & 0x8000 else word


def _shown(register: int, per_unit: float, doc: str, *, signed: bool = True) -> Any:
    """A property that is one register, in `per_unit` steps per unit."""

    def get(self: Itla) -> float:
        word = self.read_register(register)
        return (_signed(word) if signed else word) / per_unit

    return property(get, doc=doc)


class Itla(LabInstrument):
    """Tunable laser module. Frequencies are in THz, powers in dBm.

    Args:
        adapter: the connection.
        name: the name in the bench file.
    """

    FRAMING = Framing(write=b"", read=b"", timeout=0.5, encoding="latin-1", reconnect=0)
    IDENTITY = r"ITLA"
    SETTINGS = ("frequency", "fine_tuning", "power", "emission", "mode")

    actual_power = _shown(0x42, 100.0, "Get the power that leaves the module in dBm (float).")
    temperature = _shown(0x43, 100.0, "Get the temperature of the laser in degC (float).")
    fine_tuning_range = _shown(
        0x4F, 1.0, "Get how far fine tuning goes in MHz (float).", signed=False
    )

    def __init__(self, adapter: Any, name: str = "itla", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)
        self._limits: dict[str, tuple[float, float]] = {}

    # ---------------------------------------------------------------- exchanges

    def read_register(self, register: int) -> int:
        """The 16 bits of a register."""
        status, data = self._exchange(register, 0, write=False)
        if status == EXTENDED:
            raise InstrumentError(
                f"{self.name}: register 0x{register:02X} holds {data} bytes; use read_bytes_of"
            )
        return data

    def write_register(self, register: int, value: int) -> bool:
        """Write a register (a negative value as two's complement); whether it is pending now."""
        return self._exchange(register, value & 0xFFFF, write=True)[0] == PENDING

    def read_bytes_of(self, register: int) -> bytes:
        """What a register holds that is longer than 16 bits."""
        with self.transaction():
            for _ in (1, 2):  # each word can be read once only: a lost one means to begin again
                status, count = self._exchange(register, 0, write=False)
                if status != EXTENDED:
                    return count.to_bytes(2, "big")
                data = b""
                while len(data) < count:
                    word = self._once(AEA_DATA, 0, False)
                    if isinstance(word, str) or word[0] != OK:
                        break
                    data += word[1].to_bytes(2, "big")
                else:
                    return data[:count]
        raise InstrumentError(
            f"{self.name}: the {count} bytes of register 0x{register:02X} did not come, twice; "
            "check cable and baud rate"
        )

    def _exchange(self, register: int, data: int, *, write: bool) -> tuple[int, int]:
        """Status and data of the reply; raises InstrumentError if the module refuses."""
        action = f"register 0x{register:02X}" + (f" = {_signed(data)}" if write else "")
        with self.transaction():
            reply = self._once(register, data, write)
            if isinstance(reply, str):
                trouble = reply
                held = self._once(register, 0, False) if write else ""
                if isinstance(held, tuple) and held[0] == OK and held[1] == data:
                    return (PENDING if self.pending else OK), data  # it was done all the same
                reply = self._once(register, data, write)
                if isinstance(reply, str):
                    raise InstrumentError(
                        f"{self.name}: {action}: {trouble}, then {reply}; "
                        "check cable, baud rate and power of the module"
                    )
            if reply[0] == ERROR:
                code = self._exchange(NOP, 0, write=False)[1] & 0x0F
                reason = ERRORS.get(code, "no reason is given")
                raise InstrumentError(f"{self.name}: {action} was refused: {reason}")
            return reply

    def _once(self, register: int, data: int, write: bool) -> tuple[int, int] | str:
        """One exchange: status and data, or what is wrong with the reply."""
        head = bytes([int(write), register]) + data.to_bytes(2, "big")
        self.write_bytes(bytes([_bip4(head) << 4 | head[0]]) + head[1:])
        try:
            reply = bytes(self.read_bytes(4))
        except TransportTimeout:
            trouble = "no answer"
        else:
            trouble = self._trouble(reply, register)
            if not trouble:
                return reply[0] & 3, int.from_bytes(reply[2:], "big")
        self._synchronise()  # a byte may have been lost
        return trouble

    @staticmethod
    def _trouble(reply: bytes, register: int) -> str:
        """What is wrong with a reply to a question about `register`; "" if nothing is."""
        if reply[0] >> 4 != _bip4(reply):
            return f"the answer {reply.hex(' ')} has a wrong checksum"
        if reply[0] & 0x08:
            return "the module saw a wrong checksum"
        if reply[1] != register:
            return f"the answer {reply.hex(' ')} belongs to another register"
        return ""

    def _synchronise(self) -> None:
        """Fill up what the module takes for an incomplete frame, until it answers."""
        for _ in range(4):
            self.write_bytes(b"\0")
            try:
                self.read_bytes(4, timeout=0.1)
                return
            except TransportTimeout:
                continue

    def _text(self, register: int) -> str:
        return self.read_bytes_of(register).split(b"\0")[0].decode("latin-1").strip()

    def identify(self) -> str:
        """Type of device, maker, model, serial number and firmware."""
        return ", ".join(self._text(register) for register in (1, 2, 3, 4, 6))

    # ---------------------------------------------------------------- state

    @property
    def pending(self) -> bool:
        """Get whether an operation, such as tuning, is under way (bool)."""
        return bool(self._exchange(NOP, 0, write=False)[1] >> 8)

    def wait_ready(self, timeout: float = WAITING) -> None:
        """Return when no operation is pending any more.

        Raises:
            TransportTimeout: there still is one after `timeout` s.
        """
        deadline = self.clock.now() + timeout
        while self.pending:
            if self.clock.now() >= deadline:
                raise TransportTimeout(
                    f"{self.name}: still busy after {timeout:g} s; allow more time from cold, "
                    "or reset the module"
                )
            self.clock.sleep(POLL)

    @property
    def temperatures(self) -> list[float]:
        """Get the temperatures of laser and case in degC (list of float)."""
        return [word / 100.0 for word in self._words(0x58)]

    @property
    def currents(self) -> list[float]:
        """Get the currents of cooler and laser diode in mA (list of float)."""
        return [word / 10.0 for word in self._words(0x57)]

    def _words(self, register: int) -> list[int]:
        data = self.read_bytes_of(register)
        return [_signed(int.from_bytes(data[i : i + 2], "big")) for i in range(0, len(data), 2)]

    # ---------------------------------------------------------------- frequency

    def _range(self, what: str, low: int, high: int) -> tuple[float, float]:
        """Two limits that never change, asked once."""
        if what not in self._limits:
            if what == "power":
                ends = [_signed(self.read_register(r)) / 100.0 for r in (low, high)]
            else:
                ends = [self._thz(register) for register in (low, high)]
            self._limits[what] = ends[0], ends[1]
        return self._limits[what]

    def _thz(self, register: int) -> float:
        """A frequency (THz) that two registers hold, THz and 0.1 GHz."""
        return (self.read_register(register) * 10_000 + self.read_register(register + 1)) / 10_000.0

    @property
    def frequency_range(self) -> tuple[float, float]:
        """Get the lowest and highest frequency in THz, asked once."""
        return self._range("frequency", 0x52, 0x54)

    @property
    def power_range(self) -> tuple[float, float]:
        """Get the lowest and highest power in dBm, asked once."""
        return self._range("power", 0x50, 0x51)

    @property
    def actual_frequency(self) -> float:
        """Get where the module says it is, in THz to 0.1 GHz (float)."""
        return self._thz(0x40)

    def _channel_mhz(self) -> int:
        """Frequency of the channel without fine tuning (MHz)."""
        first = self.read_register(FCF_THZ) * 10_000 + self.read_register(FCF_GHZ)
        steps = self.read_register(CHANNEL) - 1
        return 100 * (first + steps * _signed(self.read_register(GRID)))

    @property
    def frequency(self) -> float:
        """Control the frequency in THz (float), to 1 MHz; setting it is `tune`."""
        return (self._channel_mhz() + round(self.fine_tuning)) / 1e6

    @frequency.setter
    def frequency(self, thz: float) -> None:
        self.tune(thz)

    def tune(self, thz: float, timeout: float = WAITING) -> None:
        """Go to a frequency (THz) and return when the module is there.

        Within the fine-tuning range of the present channel the light stays on; otherwise it is
        switched off meanwhile, because the module demands it.

        Raises:
            RequestError: the frequency is out of range; the module itself would not complain.
        """
        low, high = self.frequency_range
        self._require("frequency", thz, low, high, "THz")
        wanted = round(thz * 1e6)
        with self.transaction():
            shift = wanted - self._channel_mhz()
            lit = self.emission
            if lit and abs(shift) <= self.fine_tuning_range:
                self.write_register(FINE, shift)
                self.wait_ready(timeout)
                return
            if lit:
                self.emission = False
            self.wait_ready(timeout)
            coarse, rest = divmod(wanted, 100)
            for register, value in (
                (FCF_THZ, coarse // 10_000),
                (FCF_GHZ, coarse % 10_000),
                (CHANNEL, 1),
                (FINE, rest),
            ):
                self.write_register(register, value)
                self.wait_ready(timeout)
            if lit:
                self.emission = True

    @property
    def fine_tuning(self) -> float:
        """Control the shift from the channel in MHz (float), with light; returns when there."""
        return float(_signed(self.read_register(FINE)))

    @fine_tuning.setter
    def fine_tuning(self, mhz: float) -> None:
        most = self.fine_tuning_range
        self._require("fine tuning", mhz, -most, most, "MHz")
        self.write_register(FINE, round(mhz))
        self.wait_ready()

    def _require(self, what: str, value: float, low: float, high: float, unit: str) -> None:
        if not isinstance(value, int | float) or not low <= value <= high:
            raise RequestError(
                f"{self.name}: {what} {value!r} {unit} is outside {low:.10g} to {high:.10g} {unit}"
            )

    # ---------------------------------------------------------------- light

    @property
    def power(self) -> float:
        """Control the power in dBm (float); setting it returns when it is there."""
        return _signed(self.read_register(POWER)) / 100.0

    @power.setter
    def power(self, dbm: float) -> None:
        self._require("power", dbm, *self.power_range, "dBm")
        self.write_register(POWER, round(100.0 * dbm))
        self.wait_ready()

    @property
    def mode(self) -> str:
        """Control what holds the frequency: "dither", or nothing and no tone: "whisper" (str).

        In whisper mode the frequency walks away; go back to dither for a while to get it back.
        """
        word = self.read_register(MODE)
        for name, value in MODES.items():
            if value == word:
                return name
        raise InstrumentError(f"{self.name}: is in the unknown mode {word}; check the model")

    @mode.setter
    def mode(self, name: str) -> None:
        if name not in MODES:
            raise RequestError(f"{self.name}: mode must be dither or whisper, got {name!r}")
        self.write_register(MODE, MODES[name])

    @property
    def emission(self) -> bool:
        """Control whether the output is on (bool); switching on waits for the light.

        Raises:
            InstrumentError: there is no light, or it does not go away.
        """
        return bool(self.read_register(ENABLE) & SOFT_ENABLE)

    @emission.setter
    def emission(self, on: bool) -> None:
        if not on:
            self.write_register(ENABLE, 0)
            if self.emission:
                raise InstrumentError(
                    f"{self.name}: the output cannot be switched off; take away the supply"
                )
            return
        self.clear_status()  # what happened before does not count
        self.write_register(ENABLE, SOFT_ENABLE)
        self.wait_ready()
        fatal = self.read_register(FATAL)
        power = self.actual_power
        if not power > DARK or fatal & LATCHED_FATAL:
            self.write_register(ENABLE, 0)
            raise InstrumentError(
                f"{self.name}: no proper light ({power:g} dBm, status 0x{fatal:04X}), "
                "output switched off; check frequency and temperature of the module"
            )

    def clear_status(self) -> None:
        """Forget latched faults and warnings."""
        for register in (FATAL, WARNING):
            self.write_register(register, 0xFF)

    def make_safe(self) -> None:
        """Switch the output off and verify that it is."""
        self.emission = False
