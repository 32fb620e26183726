"""Access to the registers of a Red Pitaya that runs PyRPL's register server (TCP port 2222)."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from labctl.adapter import ByteAdapter
from labctl.errors import ConnectionLost, InstrumentError, RequestError, TransportTimeout

#: Addresses of housekeeping, oscilloscope, generator and signal processing modules.
HK, SCOPE, ASG, DSP = 0x40000000, 0x40100000, 0x40200000, 0x40300000
#: Numbers of input 1 and output 1 among the signals.
IN1, OUT1 = 10, 12
#: Signals have 14 bits for -1 V to 1 V.
PER_VOLT = 8192

_TRIES = 3  # reading and writing registers may be repeated
_PAUSE = 0.05  # seconds until stray bytes have come in


class Registers:
    """Reads and writes 32-bit words; every reply must repeat the header of its request.

    Args:
        adapter: connection to the register server.
        name: the instrument's name, which starts every message.
    """

    def __init__(self, adapter: ByteAdapter, name: str) -> None:
        self._adapter = adapter
        self.name = name

    def read(self, address: int, count: int = 1) -> NDArray[np.uint32]:
        """Read `count` words from `address` on."""
        return np.frombuffer(self._exchange(b"r", address, count, b""), "<u4", offset=8)

    def read_signed(self, address: int, bits: int = 14) -> int:
        """Read one word as a two's complement number of `bits`."""
        word = int.from_bytes(self._exchange(b"r", address, 1, b"")[8:], "little")
        word &= (1 << bits) - 1
        return word - (1 << bits) if word >> (bits - 1) else word

    def write(self, address: int, *words: int) -> None:
        """Write words from `address` on; returns when they are written."""
        self._exchange(b"w", address, len(words), struct.pack(f"<{len(words)}I", *words))

    def write_signed(self, address: int, value: float, scale: float, bits: int, what: str) -> None:
        """Write `value` x `scale` as a two's complement number of `bits`.

        Raises:
            RequestError: it does not fit; the message calls the value `what`.
        """
        top = 1 << (bits - 1)
        scaled = value * scale
        if not -top - 0.5 <= scaled <= top:
            raise RequestError(
                f"{self.name}: {what} must be from {-top / scale:g} to {(top - 1) / scale:g}, "
                f"got {value!r}"
            )
        number = min(max(round(scaled), -top), top - 1)  # the upper limit is a step out of reach
        if number == 0 and value != 0:
            number = 1 if value > 0 else -1  # a small gain must not become none
        self.write(address, number & (2 * top - 1))

    def _exchange(self, operation: bytes, address: int, count: int, payload: bytes) -> bytes:
        header = struct.pack("<cBHI", operation, 0, count, address)
        size = 8 if payload else 8 + 4 * count
        adapter = self._adapter
        reply = b""
        with adapter.transaction():
            for _ in range(_TRIES):
                try:
                    adapter.write_bytes(header + payload)
                    reply = bytes(adapter.read_bytes(size))
                except ConnectionLost as error:
                    raise ConnectionLost(
                        f"{self.name}: {_named(operation, address, count)} was not answered: "
                        f"{str(error).removeprefix(f'{self.name}: ')}"
                    ) from error
                except TransportTimeout as error:
                    raise TransportTimeout(
                        f"{self.name}: {_named(operation, address, count)} was not answered in "
                        "time; check that the register server runs on the board"
                    ) from error
                if reply.startswith(header):
                    return reply
                adapter.clock.wait(_PAUSE)
                adapter.flush_read_buffer()
        raise InstrumentError(
            f"{self.name}: {_named(operation, address, count)} was answered with header "
            f"{reply[:8].hex(' ')} instead of {header.hex(' ')}; restart the register server"
        )


def _named(operation: bytes, address: int, count: int) -> str:
    verb = "read" if operation == b"r" else "write"
    return f"{verb} of {count} word{'s' if count > 1 else ''} at {address:#x}"
