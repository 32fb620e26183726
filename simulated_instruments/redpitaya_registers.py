"""Register map of the simulated Red Pitaya gateware: addresses, number formats, reset values."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

#: Clock of gateware, converters and counters in Hz.
CLOCK = 125e6
#: Points of a scope curve and of a generator table.
POINTS = 16384

# Numbers of the DSP signals.
PIDS = (0, 1, 2)
IQS = (5, 6, 7)
ASGS = (8, 9)
IN1, IN2, OUT1, OUT2, OFF = 10, 11, 12, 13, 15

HK, SCOPE, ASG, DSP = 0x40000000, 0x40100000, 0x40200000, 0x40300000
#: Integrator register units per Hz of unity-gain frequency.
PER_HZ = 2.0**32 * 2 * math.pi * 8e-9
#: What a board of the first release answers at HK + 0x0.
DEVICE_ID = 1

Floats = NDArray[np.float64]
Words = NDArray[np.uint32]


def base(number: int) -> int:
    """Address of a DSP module."""
    return DSP + number * 0x10000


def signed(word: int, bits: int) -> int:
    """The two's complement number in the low `bits` of a word."""
    word &= (1 << bits) - 1
    return word - (1 << bits) if word >> (bits - 1) else word


def code(volts: float, bits: int = 14) -> int:
    """A voltage as the converters and registers hold it: 2^13 per V, two's complement."""
    top = 1 << (bits - 1)
    return min(max(round(volts * 8192), -top), top - 1) & (2 * top - 1)


def codes(volts: Floats) -> NDArray[np.uint32]:
    """Voltages as 14-bit words."""
    numbers = np.clip(np.rint(volts * 8192), -8192, 8191).astype(np.int64)
    return (numbers & 0x3FFF).astype(np.uint32)


def plain_registers() -> tuple[dict[int, int], dict[int, int]]:
    """Masks and reset values of all registers that hold what was written to them."""
    masks: dict[int, int] = {}
    values: dict[int, int] = {}

    def register(address: int, bits: int, reset: int = 0) -> None:
        masks[address] = (1 << bits) - 1
        values[address] = reset

    def constant(address: int, value: int) -> None:
        masks[address] = 0
        values[address] = value

    constant(HK, DEVICE_ID)
    constant(HK + 0x4, 0x0D5A51)  # serial number of the chip, low and high word
    constant(HK + 0x8, 0x1)
    for offset, bits in {0xC: 1, 0x10: 8, 0x14: 8, 0x18: 8, 0x1C: 8, 0x30: 8}.items():
        register(HK + offset, bits)
    for offset in (0x20, 0x24, 0x28, 0x2C):
        register(0x40400000 + offset, 24)
    register(SCOPE + 0x8, 14)
    register(SCOPE + 0x10, 32)
    register(SCOPE + 0x14, 17, reset=1)
    register(SCOPE + 0x20, 14)
    register(SCOPE + 0x28, 1)
    register(SCOPE + 0x90, 20)
    register(ASG, 32)
    for channel in (0, 0x20):
        register(ASG + channel + 0x4, 30)
        register(ASG + channel + 0x8, 32, reset=0x3FFFFFFF)
        for offset in (0xC, 0x10):
            register(ASG + channel + offset, 30)
        for offset in (0x18, 0x1C, 0x20):
            register(ASG + channel + offset, 32)
    for number in range(16):
        reset = {8: IN1, 9: IN2}.get(number, OFF)
        register(base(number), 4, reset=reset)
        register(base(number) + 0x4, 2)
    for pid in PIDS:
        at = base(pid)
        for offset, bits in {0x104: 14, 0x108: 24, 0x10C: 24, 0x110: 24, 0x120: 32}.items():
            register(at + offset, bits)
        register(at + 0x124, 14, reset=0x2000)
        register(at + 0x128, 14, reset=0x1FFF)
        register(at + 0x12C, 4)
        for offset, value in {0x220: 4, 0x224: 5, 0x228: 10}.items():
            constant(at + offset, value)
    for iq in IQS:
        at = base(iq)
        for offset in (0x100, 0x104, 0x108, 0x120, 0x124, 0x130, 0x134):
            register(at + offset, 32)
        register(at + 0x10C, 4)
        for offset in (0x110, 0x114, 0x118, 0x11C):
            register(at + offset, 18)
        for offset in (0x140, 0x144, 0x148, 0x14C, 0x150):
            constant(at + offset, 0)
        for first in (0x220, 0x230):
            for offset, value in {0: 2, 4: 5, 8: 10}.items():
                constant(at + first + offset, value)
    for offset, value in {0x200: 32, 0x204: 29, 0x208: 14, 0x220: 1, 0x224: 5, 0x228: 10}.items():
        constant(base(4) + offset, value)
    return masks, values
