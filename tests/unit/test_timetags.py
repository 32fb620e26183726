"""Correlations of time tags against brute force, in one piece and in chunks, with all three codes."""

from __future__ import annotations

import subprocess
import sys
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.analysis import timetags
from labctl.analysis.timetags import checks, kernels

# A narrow range makes ties and duplicates common; the shift makes negative and large times.
channel = st.lists(st.integers(-60, 60), max_size=40).map(sorted)
shift = st.sampled_from([0, -(10**15), 2 * 10**18])


def tags(values, offset=0):
    return np.array(values, dtype=np.int64) + offset


def delays(start, stop):
    return [b - a for a, b in product(start, stop)]


def parts(values, cuts):
    """Cut sorted `values` into consecutive pieces at these positions."""
    places = [0, *sorted(min(cut, len(values)) for cut in cuts), len(values)]
    return [tags(values)[a:b] for a, b in pairwise(places)]


def chunked(counter, channels, cuts):
    """Feed a counter channel by channel in pieces, whose ends need not agree."""
    for pieces in zip(
        *(parts(values, cut) for values, cut in zip(channels, cuts, strict=True)), strict=True
    ):
        counter.add(*pieces)
    return counter


cut_pair = st.tuples(*[st.lists(st.integers(0, 40), min_size=3, max_size=3)] * 2)


@pytest.fixture(params=["numpy", "compiled"])
def code(request, monkeypatch):
    """Run with numpy, or with the compiled kernels even for a handful of tags."""
    if request.param == "compiled":
        for module in ("correlation", "nfold", "streams"):
            monkeypatch.setattr(f"labctl.analysis.timetags.{module}.TINY", -1)


@settings(max_examples=60)
@given(
    start=channel,
    stop=channel,
    width=st.integers(1, 50),
    reach=st.integers(1, 70),
    offset=shift,
    cuts=cut_pair,
)
def check_histogram(start, stop, width, reach, offset, cuts):
    counts, edges = timetags.correlation_histogram(
        tags(start, offset), tags(stop, offset), width, reach
    )
    assert edges[0] == -reach
    assert edges[-1] == reach
    assert set(np.diff(edges)[:-1].tolist()) <= {width}
    d = delays(start, stop)
    assert counts.tolist() == [sum(a <= x < b for x in d) for a, b in pairwise(edges.tolist())]
    stream = chunked(timetags.CorrelationHistogram(width, reach), (start, stop), cuts)
    assert stream.counts.tolist() == counts.tolist()


def test_histogram_is_brute_force(code):
    check_histogram()


@settings(max_examples=60)
@given(
    start=channel,
    stop=channel,
    window=st.integers(1, 60),
    delay=st.integers(-90, 90),
    offset=shift,
    cuts=cut_pair,
)
def check_coincidences(start, stop, window, delay, offset, cuts):
    expected = sum(-window <= 2 * (d - delay) < window for d in delays(start, stop))
    assert (
        timetags.count_coincidences(tags(start, offset), tags(stop, offset), window, delay)
        == expected
    )
    assert (
        chunked(timetags.CoincidenceCounter(window, delay), (start, stop), cuts).count == expected
    )


def test_coincidences_are_brute_force(code):
    check_coincidences()


@settings(max_examples=60)
@given(
    start=channel, stop=channel, path=st.integers(1, 60), share=st.floats(0.01, 1), cuts=cut_pair
)
def check_franson(start, stop, path, share, cuts):
    window = max(1, int(share * path))
    expected = tuple(
        sum(-window <= 2 * (d - peak) < window for d in delays(start, stop))
        for peak in (-path, 0, path)
    )
    assert timetags.franson_peaks(tags(start), tags(stop), path, window) == expected
    assert chunked(timetags.FransonCounter(path, window), (start, stop), cuts).peaks == expected


def test_franson_peaks_are_brute_force(code):
    check_franson()


few = st.lists(st.integers(-30, 30), max_size=9).map(sorted)


@settings(max_examples=60)
@given(channels=st.lists(few, min_size=1, max_size=4), window=st.integers(1, 40), data=st.data())
def check_nfold(channels, window, data):
    expected = sum(max(t) - min(t) < window for t in product(*channels))
    assert timetags.nfold_coincidences([tags(c) for c in channels], window) == expected
    cuts = [data.draw(st.lists(st.integers(0, 9), min_size=2, max_size=2)) for _ in channels]
    stream = timetags.NfoldCounter(len(channels), window)
    for pieces in zip(*(parts(c, cut) for c, cut in zip(channels, cuts, strict=True)), strict=True):
        stream.add(pieces)
    assert stream.count == expected


def test_nfold_is_brute_force(code):
    check_nfold()


@settings(max_examples=60)
@given(values=channel, dead=st.integers(0, 50), cut=st.integers(0, 40))
def check_dead_time(values, dead, cut):
    expected = []
    for time in values:
        if not expected or time - expected[-1] >= dead:
            expected.append(time)
    assert timetags.apply_dead_time(tags(values), dead).tolist() == expected
    stream = timetags.DeadTimeFilter(dead)
    pieces = [stream.add(piece) for piece in parts(values, [cut])]
    assert np.concatenate(pieces).tolist() == expected


def test_dead_time_is_brute_force(code):
    check_dead_time()


@settings(max_examples=60)
@given(channels=st.lists(channel, min_size=1, max_size=5), data=st.data())
def check_merge(channels, data):
    expected = sorted((t, n) for n, c in enumerate(channels) for t in c)
    times, numbers = timetags.merge_tags([tags(c) for c in channels])
    assert list(zip(times.tolist(), numbers.tolist(), strict=True)) == expected
    cuts = [data.draw(st.lists(st.integers(0, 40), min_size=2, max_size=2)) for _ in channels]
    merger, out = timetags.TagMerger(len(channels)), []
    for pieces in zip(*(parts(c, cut) for c, cut in zip(channels, cuts, strict=True)), strict=True):
        out.append(merger.add(pieces))
    out.append(merger.finish())
    assert [t for times, _ in out for t in times.tolist()] == [t for t, _ in expected]
    assert [n for _, numbers in out for n in numbers.tolist()] == [n for _, n in expected]


def test_merging_is_brute_force(code):
    check_merge()


clicks = st.lists(st.integers(0, 30), max_size=30).map(sorted)


@settings(max_examples=60)
@given(a=clicks, b=clicks, extra=st.integers(0, 5), lag=st.integers(0, 8), cuts=cut_pair)
def check_g2(a, b, extra, lag, cuts):
    trials = max([0, *a, *b]) + 1 + extra
    g2, sigma = timetags.g2_trials(tags(a), tags(b), trials, lag)
    one, other = set(a), set(b)
    for k, value in zip(range(-lag, lag + 1), g2, strict=True):
        if not one or not other or abs(k) >= trials:
            assert np.isnan(value)
            continue
        count = sum(i + k in other for i in one)
        expected = trials**2 * count / ((trials - abs(k)) * len(one) * len(other))
        assert value == pytest.approx(expected, rel=1e-12)
    stream = chunked(timetags.TrialCorrelation(lag), (a, b), cuts)
    np.testing.assert_array_equal(stream.g2(trials), (g2, sigma))


def test_g2_is_brute_force(code):
    check_g2()


def test_delay_is_stop_minus_start_and_bins_hold_their_left_end():
    counts, edges = timetags.correlation_histogram([1000], [700, 1000, 1100, 1300], 100, 300)
    assert edges.tolist() == [-300, -200, -100, 0, 100, 200, 300]
    assert counts.tolist() == [1, 0, 0, 1, 1, 0]  # +300 lies outside, -300 inside
    assert timetags.count_coincidences([1000], [1310], window=20, delay=300) == 0
    assert timetags.count_coincidences([1000], [1290], window=20, delay=300) == 1
    assert timetags.franson_peaks([0], [-10, -9, 0, 11], path_delay=10, window=4) == (2, 1, 1)


@pytest.fixture(scope="module")
def busy():
    """Two channels with pairs, bursts and a long gap: long enough for all paths of the kernel."""
    rng = np.random.default_rng(7)
    pairs = rng.uniform(0, 4e7, 6000)
    side = [pairs + rng.normal(0, 150, pairs.size) + at for at in (0, 2300)]
    noise = [
        rng.uniform(0, 4e7, 4000),
        np.concatenate([rng.uniform(0, 1e6, 9000), rng.uniform(3e7, 4e7, 500)]),
    ]
    return [
        np.sort(np.concatenate(both)).astype(np.int64) for both in zip(side, noise, strict=True)
    ]


def pair_count(start, stop, low, high):
    return int((np.searchsorted(stop, start + high) - np.searchsorted(stop, start + low)).sum())


@pytest.mark.parametrize(
    ("low", "high", "width"), [(-10_000, 10_000, 100), (2000, 2600, 7), (-5_000_000, -100, 50_000)]
)
def test_the_kernel_with_four_parts_counts_every_pair_once(busy, low, high, width):
    start, stop = busy
    counts = np.zeros(-(-(high - low) // width), dtype=np.int64)
    kernels.comb_counts(start, stop, low, high - low, width, width, counts)
    edges = [*range(low, high, width), high]
    expected = [pair_count(start, stop, a, b) for a, b in pairwise(edges)]
    assert counts.tolist() == expected
    assert counts.sum() > 1000


def test_windows_wider_than_32_bits(busy):
    start, stop = (channel * 1_000_000 for channel in busy)
    counts, edges = timetags.correlation_histogram(start, stop, 10**9, 5 * 10**9)
    assert counts.tolist() == [pair_count(start, stop, a, b) for a, b in pairwise(edges.tolist())]


@pytest.mark.parametrize("few", [0, 1, 2, 3, 5])
def test_a_few_starts_among_many_stops(few):
    stop = np.arange(0, 2_000_000, 20, dtype=np.int64)
    start = np.arange(few, dtype=np.int64) * 400_000 + 3
    assert stop.size > checks.TINY
    assert timetags.count_coincidences(start, stop, 40) == 2 * few
    assert timetags.count_coincidences(stop, start, 40) == 2 * few


def test_wide_windows_of_few_tags_stay_small():
    # 2000 x 2000 tags all within the window: four million pairs are not expanded at once
    values = np.arange(2000, dtype=np.int64)
    counts, _ = timetags.correlation_histogram(values, values, 1, 2000)
    assert counts[2000] == 2000
    assert counts.sum() == 2000**2


def test_many_lags_of_many_chunks(busy):
    start, stop = busy
    whole, _ = timetags.correlation_histogram(start, stop, 100, 10_000)
    stream = timetags.CorrelationHistogram(100, 10_000)
    edges = np.arange(0, 4.2e7, 3.7e5).astype(np.int64)
    for begin, end in pairwise(edges):
        stream.add(
            *(c[np.searchsorted(c, begin) : np.searchsorted(c, end)] for c in (start, stop)),
            until=end,
        )
    assert stream.counts.tolist() == whole.tolist()


@pytest.mark.parametrize("silent", [0, 1])
def test_memory_stays_bounded_while_a_channel_is_silent(silent):
    stream = timetags.CorrelationHistogram(10, 100)
    fold = timetags.NfoldCounter(2, 100)
    for n in range(50):
        chunk = [np.empty(0, dtype=np.int64)] * 2
        chunk[1 - silent] = np.arange(n * 1000, (n + 1) * 1000)
        stream.add(*chunk, until=(n + 1) * 1000)
        fold.add(chunk, until=(n + 1) * 1000)
    kept = stream.teeth._starts.size + stream.teeth._stops.size
    assert kept <= 101
    assert sum(tags.size for tags in fold._pending) <= 101


def test_sigma_of_g2_is_that_of_the_multinomial():
    # independent clicks of probability p: what the formula says for g2 = 1, and what trials scatter
    trials, p = 40_000, 0.05
    values, sigmas = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        a, b = (np.flatnonzero(rng.random(trials) < p) for _ in range(2))
        g2, sigma = timetags.g2_trials(a, b, trials, 0)
        values.append(g2[0])
        sigmas.append(sigma[0])
    assert np.mean(sigmas) == pytest.approx((1 - p) / p / np.sqrt(trials), rel=0.01)
    assert np.std(values) == pytest.approx(np.mean(sigmas), rel=4 / np.sqrt(2 * 200))


def test_sigma_of_g2_of_clicks_that_come_together():
    # both with 0.2, one alone with 0.1 each: 1/0.2 - 2/0.3 + 2 0.2/0.09 - 1 = 1.7778, over N
    trials, values, sigmas = 2000, [], []
    for seed in range(800):
        draw = np.random.default_rng(seed).random(trials)
        a, b = np.flatnonzero(draw < 0.3), np.flatnonzero((draw < 0.2) | (draw > 0.9))
        g2, sigma = timetags.g2_trials(a, b, trials, 0)
        values.append(g2[0])
        sigmas.append(sigma[0])
    expected = 0.2 / 0.09 * np.sqrt(1.77778 / trials)
    assert np.mean(sigmas) == pytest.approx(expected, rel=0.01)
    assert np.std(values) == pytest.approx(expected, rel=4 / np.sqrt(2 * 800))


@pytest.mark.parametrize(
    ("trials", "g2", "single", "both", "sigma"),
    [
        (140_000_000, 4.7784, 265_978, 2414.6, 0.0964),
        (10_000_000, 4.7784, 18_998, 172.5, 0.361),
        (140_000_000, 3.4893, 44_690, 49.8, 0.494),
        (140_000_000, 4.6999, 29_340, 28.9, 0.873),
    ],
)
def test_sigma_of_g2_of_the_published_runs(trials, g2, single, both, sigma):
    """Reference numbers of phonon pairs: before read-out, and within 48 and 39 ns."""
    assert single == pytest.approx((both * trials / g2) ** 0.5, rel=2e-3)
    a, common = np.arange(single), round(both)
    b = np.concatenate((a[:common], single + np.arange(single - common)))
    found, error = timetags.g2_trials(a, b, trials, 0)
    assert found[0] == pytest.approx(g2, rel=0.007)  # whole coincidences
    assert error[0] / found[0] == pytest.approx(sigma / g2 * (both / common) ** 0.5, rel=3e-3)


def test_no_coincidence_has_an_error_too():
    g2, sigma = timetags.g2_trials([1, 5], [2, 9], 100, 1)
    assert g2.tolist() == pytest.approx([0, 0, 100**2 / (99 * 4)])
    # half the central 68.3 % interval of zero counts is 0.92 counts
    assert sigma[1] == pytest.approx(0.9205 * 100 / 4, rel=1e-3)
    assert timetags.count_error(0) == pytest.approx(1.841 / 2, rel=1e-3)
    assert timetags.count_error(100) == 10


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: timetags.correlation_histogram([2, 1], [1], 1, 1), "start: must be sorted, but element 1"),
        (lambda: timetags.correlation_histogram([1], [3, 1], 1, 1), "stop: must be sorted"),
        (lambda: timetags.correlation_histogram([1.5], [1], 1, 1), "start: must be integers"),
        (lambda: timetags.correlation_histogram([1], [[1]], 1, 1), "stop: must be a one-dim"),
        (lambda: timetags.correlation_histogram([1], [True], 1, 1), "stop: must be integers"),
        (lambda: timetags.correlation_histogram([1], [1], 0, 1), "bin_width: must be from 1"),
        (lambda: timetags.correlation_histogram([1], [1], 1.5, 1), "bin_width: must be a whole number"),
        (lambda: timetags.correlation_histogram([1], [1], 1, 0), "max_delay: must be from 1"),
        (lambda: timetags.correlation_histogram([1], [1], 1, 10**12), "bin_width: 1 ps would make"),
        (lambda: timetags.correlation_histogram([1 << 62], [1], 1, 1), "start: contains times beyond"),
        (lambda: timetags.count_coincidences([1], [1], -5), "window: must be from 1"),
        (lambda: timetags.count_coincidences([1], [1], 5, "x"), "delay: must be a whole number"),
        (lambda: timetags.franson_peaks([1], [1], 100, 101), "window: 101 ps is wider than path_delay"),
        (lambda: timetags.nfold_coincidences([[1], [2, 1]], 5), r"channels\[1\]: must be sorted"),
        (lambda: timetags.nfold_coincidences([], 5), "channels: must be from 1"),
        (lambda: timetags.apply_dead_time([2, 1], 5), "tags: must be sorted"),
        (lambda: timetags.apply_dead_time([2], -5), "dead_time: must be from 0"),
        (lambda: timetags.merge_tags([[2, 1]]), r"channels\[0\]: must be sorted"),
        (lambda: timetags.g2_trials([5], [1], 5, 1), "clicks_a: contains trial 5"),
        (lambda: timetags.g2_trials([1], [-1], 5, 1), "clicks_b: trial numbers begin at 0"),
        (lambda: timetags.g2_trials([1], [1], 0, 1), "trials: must be from 1"),
        (lambda: timetags.g2_trials([1], [1], 5, -1), "max_lag: must be from 0"),
        (lambda: timetags.CoincidenceCounter(5).add([5], [7], until=6), "until: 6 is before the last tag"),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_chunks_must_follow_each_other():
    counter = timetags.CoincidenceCounter(10)
    counter.add([100], [100])
    with pytest.raises(ValueError, match="stop: begins at 99, before the end of what came before"):
        counter.add([100], [99])
    counter.add([100], [100])  # the refused chunk left nothing behind
    assert counter.count == 4


def test_other_integers_are_taken_as_they_are():
    start, stop = np.array([1, 5], dtype=np.uint64), np.array([2, 6], dtype=np.int32)
    assert timetags.count_coincidences(start, stop, 4) == 2
    assert timetags.count_coincidences([], [], 4) == 0
    with pytest.raises(ValueError, match="beyond 2"):
        timetags.count_coincidences(np.array([2**63], dtype=np.uint64), stop, 4)


def test_a_handful_of_tags_needs_no_compiler():
    program = """
import sys
from labctl.analysis import timetags as t
t.correlation_histogram([1, 2], [3], 1, 5); t.count_coincidences([1], [1], 2)
t.franson_peaks([1], [1], 5, 2); t.nfold_coincidences([[1], [2]], 3); t.apply_dead_time([1, 2], 1)
t.merge_tags([[1], [0]]); t.g2_trials([1], [1], 3, 1)
assert not {'numba', 'pyarrow', 'pandas'} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_names_are_those_of_the_contract():
    for name in timetags.__all__:
        assert callable(getattr(timetags, name))
        assert name in dir(timetags)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = timetags.nothing
