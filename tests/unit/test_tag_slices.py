"""Slices of several taggers: what counts is the time in which all of them ran."""

from __future__ import annotations

import numpy as np
import pytest

from procedures.interferometers import PhaseHold, ellipse
from procedures.tag_slices import Stretch, joined

MS = 10**9  # ps


def clicks(first: int, last: int) -> tuple[np.ndarray, np.ndarray]:
    """One click each ms from `first` to `last` (ms), at detectors in turn."""
    times = np.arange(first, last + 1) * MS
    return times, np.arange(len(times)) % 4


def test_slices_are_cut_to_the_common_time():
    stretch = Stretch(0.1)
    taken = stretch.take({0: clicks(0, 60), 1: clicks(5, 55)})
    assert [taken[user][0][0] for user in (0, 1)] == [5 * MS, 5 * MS]
    assert not stretch.complete
    assert stretch.left == pytest.approx(0.05 + 1e-3)
    parts = [taken[0]]
    taken = stretch.take({0: clicks(61, 120), 1: clicks(56, 121)})
    assert stretch.complete
    assert taken[0][0][-1] == taken[1][0][-1] == 104 * MS
    times, detector = joined([*parts, taken[0]])
    assert np.array_equal(times, np.arange(5, 105) * MS)
    assert len(detector) == len(times)


def test_after_a_gap_the_rest_is_counted():
    stretch = Stretch(0.1)
    stretch.take({0: clicks(0, 40)})
    rest = stretch.rest()
    taken = rest.take({0: clicks(500, 600)})
    assert rest.complete
    assert len(taken[0][0]) == 60


def test_darkness_counts_nothing():
    stretch = Stretch(0.1)
    none = (np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int16))
    assert stretch.take({0: none, 1: clicks(0, 10)}) == {}
    assert not stretch.complete
    assert len(joined([])[0]) == 0
    assert Stretch(0.0).complete


def test_an_ellipse_is_found_from_any_points_on_it():
    phase = np.array([0.1, 0.4, 0.9, 1.5, 2.2, 3.0, 3.1, 4.0])
    points = np.stack([2.0 + 0.9 * np.cos(phase), 3.0 + 2.5 * np.sin(phase)], axis=1)
    centre, half = ellipse(points)
    assert centre == pytest.approx([2.0, 3.0])
    assert half == pytest.approx([0.9, 2.5])
    assert np.isnan(ellipse(np.zeros((8, 2)))[0]).all()


class Heaters:
    """Interferometers whose heaters do what they say, with 3 % other resistances."""

    name, full_scale = "phases", 12.0

    def __init__(self, count: int, light: float = 1.0) -> None:
        self.voltages = [0.0] * count
        self.begin = np.linspace(-3.0, 3.0, count)
        self.light = light

    @property
    def phases(self) -> np.ndarray:
        watts = np.array(self.voltages) ** 2 / 515.0
        return self.begin + 2 * np.pi * watts / 0.06

    @property
    def currents(self) -> list[float]:
        waves = np.stack([np.cos(self.phases), np.sin(self.phases)], axis=1)
        return (self.light * (1.0 + 0.9 * waves)).ravel().tolist()


class Clock:
    def sleep(self, seconds: float) -> None:
        assert seconds > 0


def test_phases_are_brought_to_their_targets_and_heaters_stay_in_range():
    bench = Heaters(8)
    hold = PhaseHold(bench, bench, Clock(), turn_mw=60, ohm=500, count=8)
    hold.start()
    for target in (0.0, 1.5, 3.1, -3.1, 6.0):
        hold.close([target] * 8)
        assert np.cos(bench.phases - target) == pytest.approx(1.0, abs=0.01)
    for _ in range(300):  # everything drifts in one direction: heaters go back by whole turns
        bench.begin += 0.2
        assert np.abs(hold.update()).max() < 0.4
        assert 0.0 < max(bench.voltages) <= 12.0


def test_no_fringe_and_no_light_are_told_apart():
    from labctl.errors import InstrumentError

    dark = Heaters(2, light=0.0)
    with pytest.raises(InstrumentError, match="no fringe of the reference light"):
        PhaseHold(dark, dark, Clock(), turn_mw=60, ohm=500, count=2).start()
    bench = Heaters(2)
    hold = PhaseHold(bench, bench, Clock(), turn_mw=60, ohm=500, count=2)
    hold.start()
    assert np.isfinite(hold.errors()).all()
    bench.light = 0.0
    assert np.isinf(hold.errors()).all()
    with pytest.raises(InstrumentError, match="the reference light of interferometer 0"):
        hold.close()
