"""Frames of the OIF ITLA agreement: four bytes to a laser module, four bytes back.

    to the module   BIP4 (4 bits) | repeat last reply | 0 0 | write, register, data (2 bytes)
    from it         BIP4 (4 bits) | saw bad checksum | 1 | status (2 bits), register, data

BIP4 is the exclusive or of all nibbles but the first. There is no other framing: a byte that gets
lost shifts everything, until the host has filled up the frame with zeros.

Source: OIF-ITLA-MSA-01.2 as PurePhotonics and public drivers tell it. What the data of a reply to
a damaged frame are is not told; they are taken to be 0.
"""

from __future__ import annotations

from typing import Protocol

from simulated_instruments.protocol.framed import FrameBuffer
from simulated_instruments.world import World

OK, ERROR, AEA, PENDING = range(4)  # status of a reply
#: Errors that the NOP register tells: not implemented, not writable, value out of range, pending,
#: initialising, extended address, output on.
RNI, RNW, RVE, CIP, CII, ERE, CIE = 1, 2, 3, 4, 5, 6, 9

LATENCY = 0.01  # s from the end of a frame to the reply: four bytes at 9600 baud and some thought


class ItlaError(Exception):
    """What a register raises to answer with an execution error."""

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"execution error {code}")


class Registers(Protocol):
    """A module as seen through its registers; shared by all connections."""

    def execute(self, register: int, data: int, write: bool, now: float) -> tuple[int, int]:
        """Status and data of the reply."""

    def damaged(self) -> None:
        """Note that a frame had a bad checksum."""


def bip4(frame: bytes) -> int:
    """Checksum of a frame, whose first four bits do not count."""
    folded = (frame[0] & 0x0F) ^ frame[1] ^ frame[2] ^ frame[3]
    return (folded >> 4) ^ (folded & 0x0F)


def sealed(low: int, register: int, data: int) -> bytes:
    """A frame with its checksum; `low` are the lower four bits of its first byte."""
    frame = bytes([low, register]) + data.to_bytes(2, "big")
    return bytes([bip4(frame) << 4 | low]) + frame[1:]


class ItlaEndpoint:
    """The serial line of one module."""

    def __init__(self, world: World, registers: Registers) -> None:
        self._world = world
        self._registers = registers
        self._frames = FrameBuffer(4, _four)
        self._latest = sealed(4, 0, 0)

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        self._world.advance(now)
        return [(now + LATENCY, self._answer(frame, now)) for frame in self._frames.feed(data)]

    def _answer(self, frame: bytes, now: float) -> bytes:
        if frame[0] >> 4 != bip4(frame):
            self._registers.damaged()
            return sealed(0x0C, frame[1], 0)
        if frame[0] & 0x08 or frame[1] == 0x13:  # the LstRsp bit, or the LstResp register
            return self._latest
        write, value = bool(frame[0] & 1), int.from_bytes(frame[2:], "big")
        status, reply = self._registers.execute(frame[1], value, write, now)
        self._latest = sealed(4 | status, frame[1], reply & 0xFFFF)
        return self._latest


def _four(header: bytes) -> int:
    return 4
