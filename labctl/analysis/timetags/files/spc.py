"""Reading Becker & Hickl FIFO files (SPC) and the setup file (.set) beside them.

Layouts: "The bh TCSPC Handbook", FIFO files. Two are known: 4 bytes a record (SPC-130, 140, 150,
160, 180, 830) and 6 bytes (SPC-600 and 630 with 4096 channels). The macro time counts clock periods
and overflows after 12 or 24 bits; the ADC value runs backwards, so that 4095 minus it is the time
since the last pulse of the laser.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.analysis.timetags.files.model import MARKER, About, Piece, TagFileError
from labctl.analysis.timetags.files.records import read_records

_PER_PIECE = 1 << 18  # records
_LATEST = (1 << 63) - (1 << 60)  #: ps, 93 days
_SETUP_BYTES = 1 << 22  #: of a setup file; the text stands at its beginning
_CLOCKS = range(1, 1_000_000)  #: 0.1 ns to 100 us, in units of 0.1 ns
_WIDE_MODULES = ("SPC-600", "SPC-630")
_RECORD_6 = np.dtype([("low", "<u2"), ("high", "u1"), ("route", "u1"), ("macro", "<u2")])


class SpcSource:
    """An SPC file; its macro time is the time of a tag, and dtimes count TAC channels.

    Raises:
        TagFileError: this is no such file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warnings: list[str] = []
        self.tally: dict[str, int] = {}
        setup = read_setup(path.with_suffix(".set"))
        size = path.stat().st_size
        with path.open("rb") as file:
            head = np.frombuffer(file.read(6).ljust(6, b"\0"), "<u2")
        if size < 8:
            raise TagFileError(f"{path}: {size} bytes are too few for a Becker & Hickl SPC file")
        # Bit 31 of the first record says that the data are valid; 6-byte files begin otherwise.
        valid = bool(head[1] >> 15)
        wide_clock, clock = int(head[1]), int(head[0]) | (int(head[1]) & 0xFF) << 16
        module = str(setup.get("module") or "")
        self._wide = module in _WIDE_MODULES or (not module and not valid and size % 6 == 0)
        clock = wide_clock if self._wide else clock
        if clock not in _CLOCKS or not (valid or module or self._wide):
            raise TagFileError(
                f"{path}: the first record (0x{int(head[0]) | int(head[1]) << 16:08x}) gives no "
                "valid macro time clock, so this is no Becker & Hickl SPC file"
            )
        self._clock = clock * 100  # ps, from units of 0.1 ns
        self._bytes = 6 if self._wide else 4
        self.most, rest = divmod(size - self._bytes, self._bytes)
        if rest:
            self.warnings.append(f"ends in the middle of record {self.most}, at byte {size - rest}")
        resolution = setup.get("SP_TAC_TC")
        if not isinstance(resolution, float) or not 0 < resolution < 1:
            resolution = float("nan")
            self.warnings.append(
                "what a step of the dtimes is in ps stands in the setup file "
                f"{path.with_suffix('.set').name}, which is not beside it"
            )
        module = module or ("SPC-600 or 630" if self._wide else "SPC")
        self.about = About(
            f"Becker & Hickl FIFO, {module}", "T3", resolution * 1e12, float(self._clock), setup
        )

    def pieces(self) -> Iterator[Piece]:
        """Yield the tags in order of the file."""
        kind = _RECORD_6 if self._wide else np.dtype("<u4")
        overflows = gaps = invalid = 0
        wrap = 1 << (24 if self._wide else 12)
        for done, words in read_records(
            self.path, self._bytes, kind, self.most, _PER_PIECE, self.warnings
        ):
            macro, adc, route, count, photon, marker, gap = (
                _fields_6(words) if self._wide else _fields_4(words)
            )
            total = overflows + np.cumsum(count)
            late = total > _LATEST // (self._clock * wrap)
            if late.any():
                record = done + int(np.argmax(late))
                at = (record + 1) * self._bytes
                raise TagFileError(
                    f"{self.path}: record {record} (byte {at}) brings the macro time beyond "
                    "the 93 days that can be read; the file is damaged there"
                )
            overflows = int(total[-1])
            ticks = total * wrap + macro
            gaps += int(gap.sum())
            invalid += int(np.count_nonzero(~photon & ~marker & (count == 0)))
            markers = np.empty(int(marker.sum()), MARKER)
            markers["sync"] = ticks[marker]
            markers["time"] = ticks[marker] * self._clock
            markers["marker"] = route[marker]
            ticks = ticks[photon]
            yield Piece(
                route[photon].astype(np.uint8), ticks * self._clock, ticks,
                (4095 - adc[photon]).astype(np.uint16), markers,
            )  # fmt: skip
        self.tally |= {"overflows": overflows, "gaps": gaps, "invalid records": invalid}
        if gaps:
            self.warnings.append(f"{gaps} gaps: the FIFO was full and tags were lost there")


_Fields = tuple[NDArray[Any], ...]


def _fields_4(words: NDArray[Any]) -> _Fields:
    """Macro time, ADC, route, overflows, is a photon, is a marker, is behind a gap."""
    invalid, overflow, gap, marker = ((words >> bit) & 1 == 1 for bit in (31, 30, 29, 28))
    several = invalid & overflow & ~marker
    count = np.where(several, words & 0xFFFFFFF, overflow).astype(np.int64)
    marker = marker & invalid
    macro = (words & 0xFFF).astype(np.int64)
    return macro, (words >> 16) & 0xFFF, (words >> 12) & 15, count, ~invalid, marker, gap


def _fields_6(words: NDArray[Any]) -> _Fields:
    low = words["low"]
    invalid, overflow, gap = ((low >> bit) & 1 == 1 for bit in (12, 13, 14))
    macro = words["high"].astype(np.int64) << 16 | words["macro"]
    none = np.zeros(len(words), bool)
    return macro, low & 0xFFF, words["route"], overflow.astype(np.int64), ~invalid, none, gap


def read_setup(path: Path) -> dict[str, Any]:
    """Return the settings of a .set file by name, and `module`; empty without such a file."""
    for candidate in (path, path.with_suffix(".SET")):
        try:
            with candidate.open("rb") as file:
                text = file.read(_SETUP_BYTES).decode("latin-1")
        except OSError:
            continue
        break
    else:
        return {}
    found: dict[str, Any] = {}
    for name, kind, value in re.findall(r"#[A-Z]{2} \[(\w+),([A-Z]),([^\]\r\n]*)\]", text):
        try:
            found[name] = {"I": int, "L": int, "U": int, "F": float}.get(kind, str)(value)
        except ValueError:
            found[name] = value
    if module := re.search(r"module (SPC-\w+)", text):
        found["module"] = module[1]
    return found
