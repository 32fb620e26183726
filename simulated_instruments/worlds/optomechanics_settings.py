"""What the instruments of the phonon-pair bench were told, and since when.

Between two settings the world is looked up every 512 s, and every 0.1 s while it follows a change.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from simulated_instruments.aa_mpds import MpdsModel
from simulated_instruments.physics.attenuator import AttenuatorModel
from simulated_instruments.physics.delay_generator import DelayGeneratorModel
from simulated_instruments.physics.pulse_streamer import FULL, Pattern, PulseStreamerModel

PS = 10**12

#: Steps (ps) in which the world is looked up; the fine one holds after a change until light has
#: followed it.
COARSE, FINE, FOLLOWING = 512 * PS, PS // 10, 3 * PS // 10


@dataclass(frozen=True)
class Settings:
    """What the instruments were told, as far as light and clicks depend on it."""

    pattern: Pattern | None  # that each trigger starts
    resting: tuple[float, float]  # drive of both modulators between patterns, 1 for full amplitude
    radio: tuple[float, float]  # amplitude at full drive over that of full diffraction
    train: tuple[int, int] | None  # first trigger and period (ps)
    open: tuple[bool, ...]  # shutters of the attenuators
    arrives: float  # s, when the last of the attenuators does


def told(
    pulser: PulseStreamerModel,
    delays: DelayGeneratorModel,
    radio: MpdsModel,
    attenuators: Sequence[AttenuatorModel],
    saturation_dbm: float,
) -> Settings:
    """What these instruments are told now; full diffraction at `saturation_dbm`."""
    # A generator that repeats by itself, or only once, has no pulses at each trigger.
    plays = pulser.armed and not pulser.manual_rearm and pulser.pattern.runs == 1
    rest = pulser.constant
    return Settings(
        pattern=pulser.pattern if plays else None,
        resting=(abs(rest.a0) / FULL, abs(rest.a1) / FULL),
        radio=(_amplitude(radio.dbm(1), saturation_dbm), _amplitude(radio.dbm(2), saturation_dbm)),
        train=_train(delays),
        open=tuple(voa.open for voa in attenuators),
        arrives=max(voa.moving_until for voa in attenuators),
    )


def _amplitude(dbm: float, saturation_dbm: float) -> float:
    """Amplitude of the radio wave at full drive, 1 for full diffraction."""
    return 10 ** ((dbm - saturation_dbm) / 20)


def _train(delays: DelayGeneratorModel) -> tuple[int, int] | None:
    """First trigger and period (ps) of the delay generator, if it gives any."""
    if delays.first is None or delays.period is None:
        return None
    return round(delays.first * PS), round(delays.period * PS)


class History:
    """Settings by the time since which they hold.

    Args:
        present: what the instruments are told now.
    """

    def __init__(self, present: Callable[[], Settings]) -> None:
        self._present = present
        self._entries: list[tuple[float, Settings]] = [(0.0, present())]

    def note(self, now: float) -> None:
        """Remember that the instruments have their present settings since `now` (s)."""
        found = self._present()
        if found != self._entries[-1][1]:
            if self._entries[-1][0] == now:
                self._entries.pop()
            self._entries.append((now, found))

    def at(self, t: float) -> Settings:
        """The settings at time `t` (s)."""
        return self._entries[max(bisect.bisect(self._entries, t, key=lambda h: h[0]) - 1, 0)][1]

    def spans(self, t0: int, t1: int) -> Iterator[tuple[int, int, float]]:
        """Cut [t0, t1) ps where anything may change; with each the time (s) that stands for it."""
        begin = t0
        while begin < t1:
            place = bisect.bisect(self._entries, begin, key=_moment) - 1
            since = max(_moment(self._entries[place]), 0)
            following = self._entries[place + 1 :][:1]
            end = min(t1, _moment(following[0])) if following else t1
            arrives = round(self._entries[place][1].arrives * PS)
            step = FINE if begin < max(since + FOLLOWING, arrives) else COARSE
            cell = begin // step * step
            end = min(end, cell + step)
            yield begin, end, max(cell, since) / PS
            begin = end


def _moment(entry: tuple[float, Settings]) -> int:
    return round(entry[0] * PS)
