"""The compiled loop of a receiver that is followed click by click."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

FREE = np.iinfo(np.int64).max  # marks an empty place among the afterpulses to come


@numba.njit(cache=True, nogil=True)
def detect(
    pulse: Any,  # int64, ascending: gates in which a detector is hit
    detector: Any,  # uint8
    false: Any,  # bool: whether the n-th click has an afterpulse
    delay: Any,  # int64: gates from that click to it
    pulses: int,
    dead: float,
    busy: Any,  # float64 (detectors,): first gate in which each is ready; changed in place
    late_pulse: Any,  # int64, afterpulses to come, FREE where none; changed in place
    late_detector: Any,  # uint8
) -> tuple[Any, Any, Any]:
    """Which hits click, and the afterpulses among `pulses` gates (gate, detector)."""
    kept = np.zeros(pulse.size, np.bool_)
    extra_pulse = np.empty(pulse.size + late_pulse.size, np.int64)
    extra_detector = np.empty(pulse.size + late_pulse.size, np.uint8)
    extras, used = 0, 0
    next_late = late_pulse.min()
    for number in range(pulse.size + 1):
        now = pulse[number] if number < pulse.size else pulses
        while next_late < now:
            place = late_pulse.argmin()
            when, which = late_pulse[place], late_detector[place]
            late_pulse[place] = FREE
            if when >= busy[which]:
                busy[which] = when + dead
                extra_pulse[extras], extra_detector[extras] = when, which
                extras += 1
                if used < false.size and false[used]:
                    _put(late_pulse, late_detector, when + delay[used], which)
                used += 1
            next_late = late_pulse.min()
        if number < pulse.size and now >= busy[detector[number]]:
            which = detector[number]
            busy[which] = now + dead
            kept[number] = True
            if used < false.size and false[used]:
                _put(late_pulse, late_detector, now + delay[used], which)
                next_late = late_pulse.min()
            used += 1
    return kept, extra_pulse[:extras], extra_detector[:extras]


@numba.njit(cache=True, nogil=True)
def _put(late_pulse: Any, late_detector: Any, when: int, which: int) -> None:
    """Remember an afterpulse; if there is no place left, the last one to come is forgotten."""
    place = late_pulse.argmax()
    if late_pulse[place] == FREE or late_pulse[place] > when:
        late_pulse[place], late_detector[place] = when, which
