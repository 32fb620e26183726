"""MeCom, the line protocol of Meerstetter Engineering: frames in hexadecimal text with a CRC.

    request  # AA SSSS payload CCCC <CR>        AA address, SSSS sequence number
    reply    ! AA SSSS payload CCCC <CR>        CCCC CRC-16 of everything before it
    accepted ! AA SSSS CCCC <CR>                CCCC is the CRC of the request

Source: MeCom Protocol Specification 5117C and TEC communication protocol 5136AL. What the device
does with a damaged frame is not written there; it is taken to say nothing.
"""

from __future__ import annotations

import math
import re
import struct
from binascii import crc_hqx
from collections.abc import Callable
from dataclasses import dataclass

from simulated_instruments.world import World

COMMAND, FORMAT, PARAMETER, READ_ONLY, RANGE, INSTANCE = 1, 4, 5, 6, 7, 8  # error codes

BROADCAST, UNANSWERED = 0, 255  # addresses that every device obeys
LONGEST = 300  # characters of a frame that are kept
LATENCY = 2e-3  # s from the end of a request to the reply

_REQUEST = re.compile(rb"#([0-9A-F]{2})([0-9A-F]{4})(.*)([0-9A-F]{4})", re.DOTALL)
_TARGET = re.compile(rb"([0-9A-F]{4})([0-9A-F]{2})(.*)", re.DOTALL)


class MeComError(Exception):
    """What a handler raises to answer with an error code."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"+{code:02X}")


@dataclass(frozen=True)
class Parameter:
    """One entry of the parameter system; without `write` it is read only."""

    kind: type  # float or int
    read: Callable[[float], float]  # value at a time (s)
    write: Callable[[float, float], None] | None = None  # value, time (s)
    low: float = -math.inf
    high: float = math.inf


def crc16(data: bytes) -> int:
    """CRC-16 CCITT: polynomial 0x1021, start 0, no reflection."""
    return crc_hqx(data, 0)


def frame(control: bytes, address: int, sequence: int, payload: bytes) -> bytes:
    """A complete frame with its CRC and end."""
    body = b"%b%02X%04X%b" % (control, address, sequence, payload)
    return b"%b%04X\r" % (body, crc16(body))


def encoded(kind: type, value: float) -> bytes:
    """A value as 8 hexadecimal digits."""
    if kind is float:
        return struct.pack(">f", value).hex().upper().encode()
    return b"%08X" % (int(value) & 0xFFFFFFFF)


def decoded(kind: type, digits: bytes) -> float:
    """The value of 8 hexadecimal digits; raises MeComError for anything else."""
    if not re.fullmatch(rb"[0-9A-F]{8}", digits):
        raise MeComError(FORMAT)
    raw = bytes.fromhex(digits.decode("ascii"))
    number: float = struct.unpack(">f" if kind is float else ">i", raw)[0]
    return number


class MeComEndpoint:
    """One connection to a device with a table of parameters.

    Args:
        world: whose time it is.
        parameters: by id; all of them have instance 1 only.
        commands: further payloads: the reply, or b"" to accept.
        address: the device's own at this moment.
        busy_until: until when the device says nothing at all (s), after a reset.
    """

    def __init__(
        self,
        world: World,
        parameters: dict[int, Parameter],
        commands: dict[bytes, Callable[[float], bytes]],
        address: Callable[[], int],
        busy_until: Callable[[], float],
    ) -> None:
        self._world = world
        self._parameters = parameters
        self._commands = commands
        self._address = address
        self._busy_until = busy_until
        self._buffer = b""

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        self._world.advance(now)
        *frames, self._buffer = (self._buffer + data).split(b"\r")
        self._buffer = self._buffer[-LONGEST:]
        replies: list[tuple[float, bytes]] = []
        for text in frames:
            start = text.rfind(b"#")  # the device synchronises to it
            if start >= 0 and now >= self._busy_until():
                replies += [(now + LATENCY, reply) for reply in self._answer(text[start:], now)]
        return replies

    def _answer(self, text: bytes, now: float) -> list[bytes]:
        """No reply or one, to a frame without its end."""
        match = _REQUEST.fullmatch(text)
        if match is None or int(match[4], 16) != crc16(text[:-4]):
            return []
        address, sequence = int(match[1], 16), int(match[2], 16)
        if address not in (BROADCAST, UNANSWERED, self._address()):
            return []
        try:
            value = self._execute(match[3], now)
        except MeComError as error:
            value = str(error).encode()
        if address == UNANSWERED:
            return []
        if value:
            return [frame(b"!", address, sequence, value)]
        return [b"!%02X%04X%b\r" % (address, sequence, match[4])]

    def _execute(self, payload: bytes, now: float) -> bytes:
        """The payload of the reply; b"" to accept."""
        if payload in self._commands:
            return self._commands[payload](now)
        for mnemonic, handler in {
            b"?VR": self._read,
            b"?VL": self._limits,
            b"?VM": self._meta,
            b"VS": self._write,
        }.items():
            if payload.startswith(mnemonic):
                target = _TARGET.fullmatch(payload, len(mnemonic))
                if target is None:
                    raise MeComError(FORMAT)
                return handler(self._find(int(target[1], 16), int(target[2], 16)), target[3], now)
        raise MeComError(COMMAND)

    def _find(self, number: int, instance: int) -> Parameter:
        if number not in self._parameters:
            raise MeComError(PARAMETER)
        if instance != 1:
            raise MeComError(INSTANCE)
        return self._parameters[number]

    def _read(self, parameter: Parameter, rest: bytes, now: float) -> bytes:
        if rest:
            raise MeComError(FORMAT)
        return encoded(parameter.kind, parameter.read(now))

    def _limits(self, parameter: Parameter, rest: bytes, now: float) -> bytes:
        if rest:
            raise MeComError(FORMAT)
        low, high = parameter.low, parameter.high
        if parameter.kind is int:
            low, high = max(low, -(2**31)), min(high, 2**31 - 1)
        kind = b"00" if parameter.kind is float else b"01"
        return kind + encoded(parameter.kind, low) + encoded(parameter.kind, high)

    def _meta(self, parameter: Parameter, rest: bytes, now: float) -> bytes:
        limits, value = self._limits(parameter, rest, now), self._read(parameter, rest, now)
        flags = b"03" if parameter.write else b"01"
        return limits[:2] + flags + b"01" + b"00000001" + limits[2:] + value

    def _write(self, parameter: Parameter, rest: bytes, now: float) -> bytes:
        value = decoded(parameter.kind, rest)
        if parameter.write is None:
            raise MeComError(READ_ONLY)
        low, high = (
            decoded(parameter.kind, self._limits(parameter, b"", now)[i : i + 8]) for i in (2, 10)
        )  # as the device rounds them
        if not low <= value <= high:  # not-a-number is nowhere
            raise MeComError(RANGE)
        parameter.write(value, now)
        return b""
