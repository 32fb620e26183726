"""The model of a time tagger: nothing lost but what a tagger loses, and that is counted."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulated_instruments.physics.dead_time import alive
from simulated_instruments.physics.snspd import SnspdModel
from simulated_instruments.physics.tag_buffer import BUCKET, Buffer
from simulated_instruments.physics.tagger import HELD, PS, TaggerModel
from simulated_instruments.world import World


def stored(*inputs):
    """Clicks that are given as one array for each input."""
    arrays = [np.asarray(times, dtype=np.int64) for times in inputs]

    def clicks(t0, t1):
        return [a[np.searchsorted(a, t0) : np.searchsorted(a, t1)] for a in arrays]

    return clicks


def tagger(clicks, **options):
    options.setdefault("jitter_ps", 0.0)
    model = TaggerModel(World(3).seed_of, "t", clicks=clicks, **options)
    model.wanted = lambda: True
    model.keep_ps = 1 << 60
    model.wake()
    return model


def events(model, looks, number=0):
    for now in looks:
        model.advance(now)
        model.catch_up()
    return model.events(number, -PS, 1 << 60)


def pulses(rate, seconds, seed=0):
    rng = np.random.default_rng(seed)
    return np.sort(rng.integers(0, int(seconds * PS), rng.poisson(rate * seconds)))


def test_tags_are_the_pulses_where_nothing_is_lost():
    times = np.arange(1, 1000) * 1_000_000
    model = tagger(stored(times, [], [], []))
    assert np.array_equal(events(model, [0.0005, 1.0]), times)


@pytest.mark.parametrize("steps", [2, 7, 400])
def test_looking_often_changes_nothing(steps):
    times = pulses(3e4, 2.0)
    once = events(tagger(stored(times, [], [], []), jitter_ps=300.0), [2.0])
    often = tagger(stored(times, [], [], []), jitter_ps=300.0)
    assert np.array_equal(events(often, np.linspace(0, 2, steps)), once)
    assert len(once) > 0.99 * len(times)


def test_pairs_at_two_detectors_are_104_ps_wide():
    """70 ps of each detector and 10 ps rms of each input: sqrt(2 (70^2 + 23.5^2)) ps."""
    detectors = SnspdModel(World(1).seed_of, "d", photon_rate=lambda i, t: 0.0, bias_ua=16.0)
    arrivals, rng = np.arange(1, 250_000) * 4_000_000, np.random.default_rng(2)
    clicks = [detectors.detect(i, arrivals, 0, PS, rng) for i in (0, 1)]
    model = tagger(stored(*clicks, [], []), jitter_ps=10.0)
    seen = [events(model, [1.0], number) for number in (0, 1)]
    slots = [np.rint(tags / 4e6).astype(int) for tags in seen]
    both, first, second = np.intersect1d(*slots, return_indices=True)
    apart = seen[1][second] - seen[0][first]
    apart = apart[np.abs(apart) < 2000]  # no dark counts
    assert both.size > 150_000
    assert apart.std() * 2.35482 == pytest.approx(104.4, rel=4 / np.sqrt(2 * apart.size))


def test_a_number_of_picoseconds_lasts_for_106_days():
    assert np.iinfo(np.int64).max / PS / 86400 == pytest.approx(106.75, abs=0.005)
    trials = [0, 10, 140_000_000]  # of 2 ms: 3.24 days
    times = np.array([trial * 2_000_000_000 + 7 for trial in trials], dtype=np.int64)
    model = tagger(stored(times, [], [], []))
    model.advance(280_001.0)
    assert model.events(0, 0, 280_001 * PS).tolist() == times.tolist()


def test_jitter_and_resolution():
    times = np.arange(1, 200_000) * 5_000_000 + 7
    model = tagger(stored(times, [], [], []), jitter_ps=40.0)
    error = events(model, [1.0]) - times[: np.searchsorted(times, PS - HELD)]
    # 200000 samples: the rms is known to 0.16 %, the mean to 0.09 ps
    assert error.std() == pytest.approx(np.hypot(40.0, 1 / np.sqrt(12)), rel=0.0065)
    assert abs(error.mean()) < 0.4
    coarse = tagger(stored(times, [], [], []), resolution_ps=100)
    assert set((events(coarse, [1.0]) % 100).tolist()) == {0}


def test_dead_time_is_not_extended():
    assert alive(np.array([0, 1, 2, 3, 4, 5]), 3, -100).tolist() == [0, 3]
    assert alive(np.array([0, 1, 2, 3, 4, 5]), 3, -1).tolist() == [2, 5]


@given(
    st.lists(st.integers(0, 400), max_size=60),
    st.integers(0, 40),
    st.integers(-50, 0),
)
def test_dead_time_against_a_loop(times, dead, last):
    kept, previous = [], last
    for time in sorted(times):
        if time - previous >= dead:
            kept.append(time)
            previous = time
    assert alive(np.array(sorted(times), dtype=np.int64), dead, last).tolist() == kept


def test_dead_time_of_a_poisson_stream():
    # R / (1 + R t) with R = 5e6 /s and t = 40 ns: 4.1667e6 /s; Fano factor 0.694
    times = pulses(5e6, 0.4)
    model = tagger(stored(times, [], [], []), dead_time_ps=40_000)
    expected = 5e6 / 1.2 * 0.4
    assert len(events(model, [0.4])) == pytest.approx(expected, abs=4 * np.sqrt(0.694 * expected))


@pytest.mark.parametrize(("apart", "seen"), [(1900, 500), (2100, 1000)])
def test_an_input_is_blind_for_2_ns(apart, seen):
    first = np.arange(1, 501) * 10**9
    times = np.sort(np.concatenate((first, first + apart)))
    assert len(events(tagger(stored(times, [], [], [])), [1.0])) == seen


def test_threshold_and_switch():
    times = np.arange(1, 100) * 10**9
    model = tagger(stored(times, times, times, times))
    model.inputs[0].enabled = False
    model.inputs[1].threshold_v = 0.6  # above the pulses
    model.inputs[2].falling = True
    events(model, [1.0])
    found = [model.events(n, 0, PS) for n in range(4)]
    assert [len(f) for f in found] == [0, 0, 99, 99]
    assert np.array_equal(found[2], times + model.pulse_ps)


# ------------------------------------------------------------------ the buffer


def constant(rate, seconds):
    return np.arange(round(rate * seconds), dtype=np.int64) * round(PS / rate)


@pytest.mark.parametrize(("max_rate", "expected"), [(3.5e6, 1.8824), (8.5e6, 4.5714)])
def test_buffer_overflows_when_the_sheet_says(max_rate, expected):
    # a stream of 1.2e7 /s into 1.6e7 tags, here 1000 times slower and smaller
    buffer = Buffer(max_rate / 1e3, 1.6e4)
    (mask,) = buffer.passes([constant(1.2e4, 6.0)], 6 * PS)
    assert mask is not None
    first = np.flatnonzero(~mask)[0] / 1.2e4
    assert first == pytest.approx(expected, abs=5e-3)  # 1 ms grain: 12 tags, at 3.5 tags per ms


def test_continuous_loss():
    buffer = Buffer(8.5e3, 1.6e4)
    (mask,) = buffer.passes([constant(1.2e4, 200.0)], 200 * PS)
    assert mask is not None
    # 0.29167 in the long run; what is in the buffer at both ends is not lost
    assert 1.0 - mask.mean() == pytest.approx(0.29167, abs=1.6e4 / (1.2e4 * 200))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.integers(0, 40 * BUCKET - 1), min_size=1, max_size=300),
    st.lists(st.integers(0, 40 * BUCKET), max_size=6),
    st.floats(0.5, 20.0),
    st.integers(1, 60),
)
def test_the_buffer_decides_alike_however_it_is_fed(times, cuts, per_bin, size):
    """Against the recursion bin by bin, and against any cutting into intervals."""
    sorted_times = np.sort(np.array(times, dtype=np.int64))
    level, dropping, passed = 0.0, False, []
    counts = np.bincount(sorted_times // BUCKET, minlength=40)
    for number in range(40):
        if not dropping:
            level += counts[number]
        passed += [not dropping] * int(counts[number])
        if level > size:
            level, dropping = size, True
        level = max(0.0, level - per_bin)
        if level < size / 2:
            dropping = False
    buffer, found = Buffer(per_bin * 1000.0, size), []
    edges = [0, *sorted(cuts), 40 * BUCKET]
    for low, high in pairwise(edges):
        part = sorted_times[
            np.searchsorted(sorted_times, low) : np.searchsorted(sorted_times, high)
        ]
        (mask,) = buffer.passes([part], high)
        found += [True] * len(part) if mask is None else mask.tolist()
    assert found == passed


# ------------------------------------------------------------------ reference, idleness, defaults


@dataclass
class Train:
    period_ps: float
    first_ps: int | None


def test_reference_edges_are_exact_after_days():
    model = tagger(stored([], [], [], []), reference=Train(2_000_000_000, 1_000))
    trial = 139_999_999
    time = np.array([999, 1_000, 1_000 + trial * 2_000_000_000 + 123])
    count, last = model.edges_before(time)
    assert count.tolist() == [0, 1, trial + 1]
    assert last.tolist() == [-1, 1_000, time[2] - 123]
    assert model.edges(0, 4_000_001_001).tolist() == [1_000, 2_000_001_000, 4_000_001_000]
    model.reference.first_ps = None
    assert model.edges_before(time)[0].tolist() == [0, 0, 0]


@given(st.floats(1.5, 1e6), st.integers(0, 10**9))
def test_reference_of_any_period_agrees_with_its_edges(period, time):
    model = tagger(stored([], [], [], []), reference=Train(period, 0))
    (count,), (last,) = model.edges_before(np.array([time]))
    assert last == round((count - 1) * period) <= time
    assert round(count * period) > time


def test_nobody_is_asked_while_nobody_listens():
    asked = []

    def clicks(t0, t1):
        asked.append((t0, t1))
        return [np.empty(0, dtype=np.int64)] * 4

    model = TaggerModel(World().seed_of, "t", clicks=clicks)
    model.advance(100.0)
    assert asked == []
    model.wanted = lambda: True
    model.wake()
    model.advance(100.5)
    assert asked[0][0] == 100 * PS
    assert asked[-1][1] == round(100.5 * PS)
    assert all(a[1] == b[0] for a, b in pairwise(asked))


def test_days_with_few_clicks_take_few_steps():
    calls = []

    def clicks(t0, t1):
        calls.append(t1)
        return [np.empty(0, dtype=np.int64)] * 4

    model = tagger(clicks)
    model.advance(3.24 * 86400)
    assert calls[-1] == round(3.24 * 86400 * PS)
    assert len(calls) < 40


def test_a_tagger_on_its_own_has_dark_counts():
    model = tagger(None)
    model.advance(20.0)
    counts = [len(model.events(n, 0, 20 * PS)) for n in range(4)]
    assert all(abs(count - 2000) < 4 * np.sqrt(2000) for count in counts)
    assert len(set(counts)) > 1
