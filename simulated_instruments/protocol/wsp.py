"""WSP profile text of programmable filters: strict and fast reading, writing.

One line per grid point: frequency (THz), attenuation (dB), phase (rad), port; tab separated.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import numpy as np

INVALID_PORT = -29
INVALID_FREQUENCY = -30
INVALID_ATTENUATION = -31
INVALID_PROFILE = -32
INVALID_SPACING = -33
NARROW_BANDWIDTH = -34

STEP = 0.001  # THz
LOOSE = 2e-5  # THz, what a frequency may be off its grid point (four decimals are sent)
MOST = 60.0  # dB
NARROWEST = 10  # grid points in a row to one port

Array = np.ndarray[Any, Any]

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_ALLOWED = np.zeros(256, dtype=bool)
_ALLOWED[list(b"0123456789.+-eE\t\n")] = True
_PLAIN = np.zeros(256, dtype=bool)
_PLAIN[list(b"0123456789.-\t\n")] = True


class ProfileError(Exception):
    """A profile that the filter refuses, with its result code."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


class Profile(NamedTuple):
    """The columns of a profile without the frequencies, and the text in standard form."""

    attenuation_db: Array
    phase_rad: Array
    port: Array
    text: str


def read_profile(text: str, start_thz: float, size: int, ports: int) -> Profile:
    """Read a profile for the grid of `size` points from `start_thz` on.

    Raises:
        ProfileError: with the result code of the first thing that is wrong.
    """
    text = text.replace("\r\n", "\n") if "\r" in text else text
    table, standard = _table(text)
    frequency, attenuation, phase, port = table.T
    stop_thz = start_thz + STEP * (size - 1)
    outside = (frequency < start_thz - LOOSE) | (frequency > stop_thz + LOOSE)
    _refuse(outside, INVALID_FREQUENCY, "the frequency is out of range")
    if len(frequency) != size:
        raise ProfileError(INVALID_SPACING, f"{size} lines are needed, got {len(frequency)}")
    grid = start_thz + STEP * np.arange(size)
    _refuse(np.abs(frequency - grid) > LOOSE, INVALID_SPACING, "the spacing is not 0.001 THz")
    _refuse((attenuation < 0.0) | (attenuation > MOST), INVALID_ATTENUATION, "invalid attenuation")
    _refuse((port < 0) | (port > ports) | (port != np.rint(port)), INVALID_PORT, "invalid port")
    numbers = port.astype(np.int64)
    check_bandwidth(numbers)
    if not standard:
        text = write_profile(frequency, attenuation, phase, numbers)
    return Profile(attenuation.copy(), phase.copy(), numbers, text)


def check_bandwidth(port: Array) -> None:
    """Refuse runs of less than 10 GHz to one port; 0 means blocked and may be narrow."""
    edges = np.flatnonzero(np.diff(port)) + 1
    begins = np.concatenate(([0], edges))
    lengths = np.diff(np.concatenate((begins, [len(port)])))
    narrow = (lengths < NARROWEST) & (port[begins] > 0)
    if narrow.any():
        line = int(begins[narrow][0]) + 1
        raise ProfileError(NARROW_BANDWIDTH, f"line {line}: bandwidth to one port below 10 GHz")


def write_profile(frequency: Array, attenuation: Array, phase: Array, port: Array) -> str:
    """Standard form: four decimals, integer port, tabs, line feeds."""
    columns = zip(
        frequency.tolist(), attenuation.tolist(), phase.tolist(), port.tolist(), strict=True
    )
    return "".join([f"{f:.4f}\t{a:.4f}\t{p:.4f}\t{n:d}\n" for f, a, p, n in columns])


def _table(text: str) -> tuple[Array, bool]:
    """Numbers as (lines, 4), and whether the text is already in standard form.

    The structure is checked on the bytes, all at once; only a text that fails is looked at line
    by line, to say where.
    """
    if not text.endswith("\n"):
        text += "\n"
    try:
        data = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    except UnicodeEncodeError:
        raise _first_bad_line(text) from None
    ends = np.flatnonzero(data < 33)
    shape = np.frombuffer(b"\t\t\t\n", dtype=np.uint8)
    well_formed = (
        len(ends) % 4 == 0
        and bool((data[ends].reshape(-1, 4) == shape).all())
        and bool((np.diff(ends, prepend=-1) > 1).all())  # no empty field
        and bool(_ALLOWED[data].all())
    )
    if not well_formed:
        raise _first_bad_line(text)
    try:
        table = np.array(text.split(), dtype=float).reshape(-1, 4)
    except ValueError:
        raise _first_bad_line(text) from None
    if not np.isfinite(table).all():
        raise _first_bad_line(text)
    dots = np.flatnonzero(data == ord("."))
    standard = (
        len(dots) == 3 * len(table)
        and bool((ends.reshape(-1, 4)[:, :3] - dots.reshape(-1, 3) == 5).all())
        and bool(_PLAIN[data].all())
    )
    return table, standard


def _first_bad_line(text: str) -> ProfileError:
    for number, line in enumerate(text.split("\n"), 1):
        fields = line.split("\t")
        if len(fields) == 4 and all(_is_number(field) for field in fields):
            continue
        return ProfileError(INVALID_PROFILE, f"line {number}: four numbers and tabs are needed")
    return ProfileError(INVALID_PROFILE, "the profile cannot be read")


def _is_number(field: str) -> bool:
    return bool(_NUMBER.fullmatch(field)) and abs(float(field)) < float("inf")


def _refuse(wrong: Array, code: int, why: str) -> None:
    if wrong.any():
        raise ProfileError(code, f"line {int(np.argmax(wrong)) + 1}: {why}")
