"""Profiles of a WaveShaper: which band of the spectrum goes to which port, and as what text."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from labctl.errors import InstrumentError, RequestError

STEP = 0.001  # THz between grid points
BLOCKED = 60.0  # dB
NARROWEST = 10  # grid points that a band must have
LOOSE = (2e-5, 1e-3, 1e-3)  # THz, dB, rad: largest differences of what was sent and read back

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ShaperInfo:
    """What the filter says about itself."""

    model: str
    serial: str
    version: str
    start_thz: float
    stop_thz: float
    ports: int


@dataclass(frozen=True)
class ShaperProfile:
    """A whole profile, one entry per grid point; 60 dB or port 0 is blocked."""

    frequency_thz: Array
    attenuation_db: Array
    phase_rad: Array
    port: Array


class LocalProfile:
    """A profile that is being put together, kept as the lines of text that the filter takes.

    Args:
        name: the instrument's name, which starts every message.
        info: range and ports of the filter.
    """

    def __init__(self, name: str, info: ShaperInfo) -> None:
        self._name = name
        self._info = info
        size = round((info.stop_thz - info.start_thz) / STEP) + 1
        #: Frequencies in THz.
        self.grid: Array = np.round(info.start_thz + STEP * np.arange(size), 4)
        self._heads = [f"{frequency:.4f}" for frequency in self.grid.tolist()]
        self._blocked = [f"{head}\t{BLOCKED:.4f}\t0.0000\t0\n" for head in self._heads]
        self.clear()

    def clear(self) -> None:
        """Block everything."""
        self._lines = self._blocked.copy()
        #: Port of each grid point, 0 where it is blocked.
        self.ports: Array = np.zeros(len(self._lines), dtype=np.int64)

    @property
    def text(self) -> str:
        return "".join(self._lines)

    def set_band(
        self,
        centre_thz: float,
        width_thz: float,
        attenuation_db: float,
        phase_rad: float,
        port: int,
    ) -> None:
        """Route a band to a port; see `WaveShaper.set_band`."""
        info = self._info
        for what, value in (
            ("centre", centre_thz),
            ("width", width_thz),
            ("phase", phase_rad),
        ):
            if not math.isfinite(value):
                raise RequestError(f"{self._name}: the {what} of a band must be finite: {value!r}")
        if not 0.0 <= attenuation_db <= BLOCKED:
            raise RequestError(
                f"{self._name}: attenuation {attenuation_db!r} dB is not between 0 and {BLOCKED:g}"
            )
        if isinstance(port, bool) or port not in range(1, info.ports + 1):
            raise RequestError(f"{self._name}: port {port!r} is not one of 1 to {info.ports}")
        first = math.ceil((centre_thz - 0.5 * width_thz - info.start_thz) / STEP - 1e-6)
        behind = math.ceil((centre_thz + 0.5 * width_thz - info.start_thz) / STEP - 1e-6)
        if first < 0 or behind > len(self._heads):
            raise RequestError(
                f"{self._name}: band {centre_thz:g} THz, {width_thz:g} THz wide, is outside "
                f"{info.start_thz:g} to {info.stop_thz:g} THz"
            )
        if behind - first < NARROWEST:
            raise RequestError(
                f"{self._name}: band {centre_thz:g} THz is {width_thz * 1e3:g} GHz wide; "
                "at least 10 GHz are needed"
            )
        tail = f"\t{attenuation_db:.4f}\t{phase_rad % (2.0 * math.pi):.4f}\t{port:d}\n"
        self._lines[first:behind] = [head + tail for head in self._heads[first:behind]]
        self.ports[first:behind] = port

    def check_widths(self) -> None:
        """Refuse what overlapping bands have left narrower than 10 GHz."""
        ports = self.ports
        begins = np.concatenate(([0], np.flatnonzero(np.diff(ports)) + 1))
        widths = np.diff(np.concatenate((begins, [len(ports)])))
        narrow = (widths < NARROWEST) & (ports[begins] > 0)
        if narrow.any():
            at = int(np.flatnonzero(narrow)[0])
            raise RequestError(
                f"{self._name}: overlapping bands leave only {widths[at]} GHz to port "
                f"{ports[begins[at]]} at {self.grid[begins[at]]:.3f} THz; at least 10 are needed"
            )


def parsed(name: str, text: str) -> ShaperProfile:
    """A profile from its text; raises InstrumentError if it is none."""
    try:
        table = np.array(text.split(), dtype=float).reshape(-1, 4)
        if not np.isfinite(table).all():
            raise ValueError(text)
    except ValueError:
        raise InstrumentError(
            f"{name}: getprofile was answered with no profile: {text[:60]!r}"
        ) from None
    frequency, attenuation, phase, port = table.T
    return ShaperProfile(frequency, attenuation, phase, port.astype(np.int64))


def require_same(name: str, want: ShaperProfile, got: ShaperProfile) -> None:
    """Compare what was loaded with what the filter applies, as numbers.

    Raises:
        InstrumentError: naming the first grid point that differs.
    """
    if len(got.port) != len(want.port):
        raise InstrumentError(
            f"{name}: loaded {len(want.port)} grid points, {len(got.port)} came back; load again"
        )
    turn = (got.phase_rad - want.phase_rad + math.pi) % (2.0 * math.pi) - math.pi
    open_points = (want.attenuation_db < BLOCKED) & (want.port > 0)
    blocked = (got.attenuation_db >= BLOCKED) | (got.port == 0)
    wrong = (np.abs(got.frequency_thz - want.frequency_thz) > LOOSE[0]) | np.where(
        open_points,
        (np.abs(got.attenuation_db - want.attenuation_db) > LOOSE[1])
        | (np.abs(turn) > LOOSE[2])
        | (got.port != want.port),
        ~blocked,
    )
    if wrong.any():
        at = int(np.argmax(wrong))
        raise InstrumentError(
            f"{name}: at {want.frequency_thz[at]:.3f} THz, "
            f"{want.attenuation_db[at]:.4f} dB, {want.phase_rad[at]:.4f} rad, "
            f"port {want.port[at]} were loaded, but {got.attenuation_db[at]:.4f} dB, "
            f"{got.phase_rad[at]:.4f} rad, port {got.port[at]} came back "
            f"({np.count_nonzero(wrong)} points differ); load again"
        )
