"""Displayed noise: reference numbers, a brute-force receiver, and independence of who looks when.

Reference numbers are those of the project's instrument facts (analyser in zero span), or follow
from textbook statistics written out here.
"""

from __future__ import annotations

import hashlib
import math

import numpy as np
import pytest
from scipy import special

from simulated_instruments.physics import analyser_noise as an
from simulated_instruments.physics.analyser import AnalyserModel
from simulated_instruments.physics.analyser_settings import RBW_STEPS

DB = 10 / math.log(10)
GRID = np.linspace(-6.5, 6.5, 13001)
WEIGHT = np.exp(-(GRID**2) / 2)
WEIGHT /= WEIGHT.sum()


def seed_of(owner: str) -> int:
    return int.from_bytes(hashlib.blake2b(owner.encode(), digest_size=7).digest(), "little")


def moments(variance: float, average: str, detector: str = "SAMP", n: float = 1.0):
    """Mean and standard deviation in dB, and mean power, by integrating over the deviate."""
    table = an.quantiles(variance, average, detector, n)
    x = np.interp(GRID, np.linspace(-6.5, 6.5, len(table)), table)
    mean = np.sum(WEIGHT * x)
    return DB * mean, DB * math.sqrt(np.sum(WEIGHT * (x - mean) ** 2)), np.sum(WEIGHT * np.exp(x))


# ------------------------------------------------------------------ reference numbers


def test_effective_averages_and_noise_bandwidth():
    assert an.effective_averages(1e5, 10.0) == pytest.approx(0.4792 * 1e4, rel=3e-4)
    assert pytest.approx(1.0645, abs=1e-4) == an.NOISE_BANDWIDTH


@pytest.mark.parametrize(
    ("vbw", "average", "sigma_db", "tolerance"),
    [
        (10.0, "RMS", 0.06274, 3e-4),
        (10.0, "LOG", 0.07267, 3e-4),
        (1e3, "RMS", 0.6274, 1e-2),  # leading order in VBW/RBW
        (1e3, "LOG", 0.7267, 1e-2),
        (1e3, "RMS", 0.6235, 1e-2),  # simulated receivers; coarse sampling raises the logarithm's
        (1e3, "LOG", 0.7290, 1e-2),
        (1e3, "LOG", 0.7226, 2e-3),  # 60 x 2^20 samples at 32 RBW
        (50e6, "LOG", 5.570, 1e-3),
        (50e6, "RMS", 5.570, 1e-3),
        (50e6, "SCAL", 5.570, 1e-3),
    ],
)
def test_spread_of_one_point(vbw, average, sigma_db, tolerance):
    variance = an.envelope(1e5, vbw, average).variance
    assert moments(variance, average)[1] == pytest.approx(sigma_db, rel=tolerance)


@pytest.mark.parametrize("vbw", [10.0, 1e3, 3e4, 1e5, 50e6])
def test_mean_of_one_point(vbw):
    """Power is unbiased, the logarithm reads 2.507 dB low, the voltage 1.049 dB."""
    power, log, voltage = (an.envelope(1e5, vbw, kind).variance for kind in ("RMS", "LOG", "SCAL"))
    assert moments(power, "RMS")[2] == pytest.approx(1.0, abs=2e-4)
    assert moments(log, "LOG")[0] == pytest.approx(-2.507, abs=1e-3)
    table = an.quantiles(voltage, "SCAL")
    root = np.interp(GRID, np.linspace(-6.5, 6.5, len(table)), np.exp(table / 2))
    assert np.sum(WEIGHT * root) ** 2 == pytest.approx(math.pi / 4, rel=2e-4)


@pytest.mark.parametrize("n", [1, 2, 10, 100])
def test_peak_detectors_of_unfiltered_noise(n):
    harmonic = sum(1 / k for k in range(1, n + 1))
    assert moments(1.0, "RMS", "POS", n)[2] == pytest.approx(harmonic, rel=1e-3)
    assert moments(1.0, "RMS", "NEG", n)[2] == pytest.approx(1 / n, rel=1e-3)


def test_positive_peak_of_ten_reads_4_67_db_high():
    assert DB * math.log(moments(1.0, "RMS", "POS", 10)[2]) == pytest.approx(4.667, abs=2e-3)


def test_gamma_distribution_of_filtered_power():
    """Quantiles against scipy's own distribution at M = 48."""
    variance = an.envelope(1e5, 1e3, "RMS").variance
    table = an.quantiles(variance, "RMS")
    k = 1 / variance
    z = np.linspace(-6.5, 6.5, len(table))
    assert np.exp(table) == pytest.approx(special.gammaincinv(k, special.ndtr(z)) / k, rel=1e-7)


def test_correlation_is_that_of_the_video_filter():
    for interval in (1e-4, 1e-3, 1e-2):
        how = an.pointwise(1e5, 10.0, "RMS", "SAMP", interval)
        assert how.correlation == pytest.approx(math.exp(-2 * math.pi * 10 * interval), rel=2e-4)
    assert an.pointwise(1e5, 50e6, "RMS", "SAMP", 1e-4).correlation < 1e-9


# ------------------------------------------------------------------ brute force


@pytest.fixture(scope="module")
def envelope_power() -> np.ndarray:
    """Power of complex noise behind a Gaussian filter of RBW 1 Hz, sampled at 16 Hz; mean 1."""
    rng = np.random.default_rng(7)
    rows, n, rate = 8, 1 << 18, 16.0
    frequency = np.fft.fftfreq(n, 1 / rate)
    response = np.exp(-2 * math.log(2) * frequency**2)  # amplitude: half power at 0.5 Hz
    noise = rng.standard_normal((rows, n)) + 1j * rng.standard_normal((rows, n))
    power = np.abs(np.fft.ifft(noise * response, axis=1)) ** 2
    return power / power.mean()


@pytest.mark.parametrize("vbw", [0.01, 0.1, 1.0])
@pytest.mark.parametrize("average", an.AVERAGE_TYPES)
def test_envelope_against_a_simulated_receiver(envelope_power, vbw, average):
    """Variance, distribution and correlation time of the video signal, from 17 hours of noise."""
    signal = {"RMS": lambda p: p, "LOG": np.log, "SCAL": np.sqrt}[average](envelope_power)
    rate, n = 16.0, signal.shape[1]
    decay = math.exp(-2 * math.pi * vbw / rate)
    pole = (1 - decay) / (1 - decay * np.exp(-2j * np.pi * np.arange(n // 2 + 1) / n))
    video = np.fft.irfft(np.fft.rfft(signal, axis=1) * pole, n, axis=1)
    scale = 1.0 if average == "LOG" else video.mean()
    variance = video.var() / scale**2
    expected = an.envelope(1.0, vbw, average)
    independent = video.size / rate / (2 * expected.correlation_time)
    error = 4 * math.sqrt(2.5 / independent)
    # The sampled pole differs from the continuous one by a part of (pi vbw / rate)^2.
    assert variance == pytest.approx(expected.variance, rel=error + 0.02 * vbw)
    spectrum = np.mean(np.abs(np.fft.rfft(video - video.mean(), axis=1)) ** 2, axis=0)
    low = spectrum[1 : max(4, int(0.02 * vbw * n / rate))].mean() / n / scale**2
    assert low / rate / 2 / variance == pytest.approx(expected.correlation_time, rel=0.2)


def test_distribution_of_filtered_power_against_a_simulated_receiver(envelope_power):
    """At VBW = RBW/100; the Gamma shape is exact only without filter and in the limit of many."""
    rate, vbw, n = 16.0, 0.01, envelope_power.shape[1]
    pole = 1 / (1 + 1j * np.fft.rfftfreq(n, 1 / rate) / vbw)
    video = np.log(np.fft.irfft(np.fft.rfft(envelope_power, axis=1) * pole, n, axis=1))
    table = an.quantiles(an.envelope(1.0, vbw, "RMS").variance, "RMS")
    for z, tolerance in ((-2.0, 0.015), (-1.0, 0.008), (0.0, 0.008), (1.0, 0.008), (2.0, 0.015)):
        model = np.interp(z, np.linspace(-6.5, 6.5, len(table)), table)
        assert np.quantile(video[:, ::16], special.ndtr(z)) == pytest.approx(model, abs=tolerance)


# ------------------------------------------------------------------ drawn traces


@pytest.mark.parametrize("detector", ["SAMP", "AVER"])
@pytest.mark.parametrize("interval", [1e-3, 16e-3, 0.1])
def test_points_have_the_variance_and_long_run_spread_of_the_video_filter(detector, interval):
    how = an.pointwise(1e5, 10.0, "RMS", detector, interval)
    rng = np.random.default_rng(3)
    x = np.expm1([an.log_factors(how, rng, 400) for _ in range(400)])
    time = 1 / (2 * math.pi * 10)
    u = interval / time
    point = 1 / 4792 * (2 * (u - 1 + math.exp(-u)) / u**2 if detector == "AVER" else 1.0)
    assert x[:, ::50].var() == pytest.approx(point, rel=4 * math.sqrt(2 / 3200) + 0.01)
    if detector == "AVER":
        t = 400 * u  # variance of a time average over the whole trace
        long_run = 2 * (t - 1 + math.exp(-t)) / t**2
    else:
        lags = np.arange(1, 400)
        long_run = (1 + 2 * np.sum((1 - lags / 400) * np.exp(-u * lags))) / 400
    assert x.mean(axis=1).var() == pytest.approx(long_run / 4792, rel=4 * math.sqrt(2 / 400))


def test_average_detector_of_independent_samples_multiplies_m():
    """Open video filter: a bucket of n independent samples averages n times as many."""
    time = an.envelope(1e5, 50e6, "RMS").correlation_time
    how = an.pointwise(1e5, 50e6, "RMS", "AVER", 200 * time)
    x = np.exp(an.log_factors(how, np.random.default_rng(5), 40000))
    assert x.mean() == pytest.approx(1.0, abs=4 * 0.1 / 200)
    assert 1 / x.var() == pytest.approx(100.0, rel=0.05)


def test_normal_detector_alternates_between_the_extremes():
    time = an.envelope(1e5, 50e6, "RMS").correlation_time
    how = an.pointwise(1e5, 50e6, "RMS", "NORM", 20 * time)
    x = np.exp(an.log_factors(how, np.random.default_rng(5), 40000))
    assert x[::2].mean() == pytest.approx(0.1, rel=0.05)
    assert x[1::2].mean() == pytest.approx(2.929, rel=0.03)


@pytest.mark.parametrize("average", an.AVERAGE_TYPES)
def test_video_filter_settles_from_its_former_value(average):
    rho = math.exp(-0.1)
    shown, last = an.settle(np.full(30, 4e-9), 1e-9, rho, average)
    form = {"RMS": lambda p: p, "LOG": math.log, "SCAL": math.sqrt}[average]
    back = {"RMS": lambda p: p, "LOG": math.exp, "SCAL": lambda v: v**2}[average]
    for k in (0, 9, 29):
        left = rho ** (k + 1)
        expected = back(form(4e-9) + (form(1e-9) - form(4e-9)) * left)
        assert shown[k] == pytest.approx(expected, rel=1e-12)
    assert last == shown[-1]
    first, middle = an.settle(np.full(13, 4e-9), 1e-9, rho, average)
    second, _ = an.settle(np.full(17, 4e-9), middle, rho, average)
    assert np.concatenate((first, second)) == pytest.approx(shown, rel=1e-15)


# ------------------------------------------------------------------ the analyser in time


class Source:
    """A level in W/Hz that follows time and frequency, and can be switched."""

    def __init__(self, level: float = 2e-15) -> None:
        self.level = level

    def psd_w_per_hz(self, frequency_hz, times_s):
        frequency_hz, times_s = np.broadcast_arrays(frequency_hz, times_s)
        return self.level * (1.2 + np.sin(3 * times_s)) * (1 + frequency_hz / 1e9)


def analyser(source=None, **options) -> AnalyserModel:
    model = AnalyserModel(seed_of, "esa", source, **options)
    model.centre_hz, model.span_hz = 5e5, 0.0
    model.rbw_hz, model.vbw_hz = 1e5, 10.0
    model.sweep_time_s, model.points = 1.0, 501
    model.detector, model.average_type = "AVER", "RMS"
    return model


class Flat:
    def __init__(self, level: float) -> None:
        self.level = level

    def psd_w_per_hz(self, frequency_hz, times_s):
        return np.full(np.broadcast(frequency_hz, times_s).shape, self.level)


@pytest.mark.parametrize("trace_type", ["WRIT", "AVER", "MAXH"])
def test_sweeps_that_nobody_saw_are_left_out_without_a_trace(trace_type):
    """Hundreds of sweeps without end between two looks, or a look during each of them."""
    traces = []
    for step in (20.0, 0.1):
        model = analyser(Source())
        model.sweep_time_s, model.points, model.average_count = 0.01, 21, 4
        model.trace_type = trace_type
        model.set_continuous(True)
        for now in np.arange(step, 20.05, step):
            model.advance(float(min(now, 20.0)))
        model.advance(20.0)
        traces.append(model.trace_dbm())
    assert np.array_equal(*traces)


@pytest.mark.parametrize("span", [0.0, 1e6])
@pytest.mark.parametrize("trace_type", ["WRIT", "AVER", "MAXH"])
@pytest.mark.parametrize("continuous", [False, True])
def test_looking_often_changes_nothing(span, trace_type, continuous):
    """Bit for bit the same trace, whatever the times at which the world was advanced."""
    rng = np.random.default_rng(11)
    traces = []
    for looks in (np.array([]), np.sort(rng.uniform(0, 7.7, 300)), np.arange(0, 7.7, 0.5)):
        source = Source()
        model = analyser(source)
        model.span_hz, model.trace_type, model.average_count = span, trace_type, 4
        model.set_continuous(continuous)
        if not continuous:
            model.initiate()
        for now in looks:
            model.advance(float(now))
        model.advance(7.7)
        source.level = 5e-15  # seen from now on
        model.advance(7.9)
        traces.append(model.trace_dbm())
    assert np.array_equal(traces[0], traces[1])
    assert np.array_equal(traces[0], traces[2])
    assert len(np.unique(traces[0])) > 400


def test_a_change_of_the_source_is_seen_from_its_moment_on():
    source = Flat(1e-15)
    model = analyser(source, level_error_db=0.0)
    model.initiate()
    model.advance(2.0)
    model.initiate()
    model.advance(2.5)
    source.level = 4e-15
    model.advance(4.0)
    trace = model.trace_dbm()
    mean = 10 * math.log10(1e-15 * 1.0645e5 * 1e3)
    assert trace[:250].mean() == pytest.approx(mean, abs=0.05)
    assert trace[300:].mean() == pytest.approx(mean + 6.02, abs=0.08)
    after = 10 ** ((trace[251:270] - mean) / 10)
    expected = 4 - 3 * np.exp(-2 * math.pi * 10 * 0.002 * np.arange(1, 20))
    assert after == pytest.approx(expected, rel=0.08)


def test_a_sweep_starts_from_what_the_filter_held_before():
    """After another setting from the floor, otherwise from the signal of the last sweep."""
    model = analyser(Flat(1e-15), level_error_db=0.0)
    signal = 10 * math.log10((1e-15 + 1e-18) * 1.0645e5 * 1e3)
    floor = 10 * math.log10(1e-18 * 1.0645e5 * 1e3)
    model.initiate()
    model.advance(2.0)
    assert model.trace_dbm()[0] < signal - 8
    assert model.trace_dbm()[0] > floor
    assert model.trace_dbm()[50:].mean() == pytest.approx(signal, abs=0.05)
    model.source = Flat(0.0)
    model.initiate()
    model.advance(4.0)
    trace = model.trace_dbm()
    assert trace[0] == pytest.approx(signal - 0.55, abs=0.3)
    left = 10 ** ((signal - floor) / 10) * math.exp(-0.002 * 62.83 * 51)
    assert trace[50] == pytest.approx(floor + 10 * math.log10(1 + left), abs=0.3)
    assert trace[-1] == pytest.approx(floor, abs=0.3)


def test_noise_of_a_terminated_input_is_the_floor_and_follows_the_attenuator():
    model = analyser(level_error_db=0.0)
    for attenuation, floor in ((10.0, -150.0), (20.0, -140.0), (0.0, -160.0)):
        model.attenuation_db = attenuation
        model.initiate()
        model.advance(model.done_at)
        thermal = 10 ** (-173.98 / 10)
        expected = 10 * math.log10((10 ** (floor / 10) + thermal) * 1.0645 * 1e5)
        assert model.trace_dbm()[60:].mean() == pytest.approx(expected, abs=0.08)


def test_ten_times_the_bandwidth_is_ten_db():
    model = analyser(Flat(1e-14), level_error_db=0.0)
    model.centre_hz = 50e6
    levels = []
    for rbw in (1e4, 1e5, 1e6):
        model.rbw_hz = rbw
        model.initiate()
        model.advance(model.done_at)
        levels.append(10 * math.log10(np.mean(10 ** (model.trace_dbm()[60:] / 10))))
    assert np.diff(levels) == pytest.approx([10.0, 10.0], abs=0.1)


def test_level_error_is_fixed_at_power_up():
    levels = []
    for unit in range(60):
        model = AnalyserModel(lambda owner, unit=unit: seed_of(f"{unit}/{owner}"))
        model.settings |= analyser().settings
        model.vbw_hz = 1.0
        model.points = 51
        for _ in range(2):
            model.initiate()
            model.advance(model.done_at)
            levels.append(model.trace_dbm()[45:].mean())
    errors = np.reshape(levels, (60, 2)) + 150 - 10 * math.log10(1.0645 * 1e5)
    assert errors.mean(axis=1).std() == pytest.approx(0.3, rel=0.4)
    assert np.diff(errors, axis=1).std() < 0.05


def test_trace_average_divides_the_variance():
    """Averaging 25 sweeps divides the spread by 5; the log average keeps its bias."""
    model = analyser(Flat(1e-14), level_error_db=0.0)
    model.vbw_hz, model.points, model.detector = 1e3, 2001, "SAMP"
    spreads, means = {}, {}
    for average in ("RMS", "LOG"):
        for trace_type in ("WRIT", "AVER"):
            model.average_type, model.trace_type, model.average_count = average, trace_type, 25
            model.initiate()
            model.advance(model.done_at)
            trace = model.trace_dbm()[20:]
            spreads[average, trace_type], means[average, trace_type] = trace.std(), trace.mean()
        ratio = spreads[average, "WRIT"] / spreads[average, "AVER"]
        assert ratio == pytest.approx(5.0, rel=0.12)
    assert means["LOG", "AVER"] - means["RMS", "AVER"] == pytest.approx(-2.507, abs=0.03)


def test_holding_keeps_the_extremes():
    model = analyser(Flat(1e-14), level_error_db=0.0)
    model.vbw_hz, model.detector, model.average_count = 1e3, "SAMP", 20
    mean = 10 * math.log10(1e-14 * 1.0645e5 * 1e3)
    for trace_type, sign in (("MAXH", 1), ("MINH", -1)):
        model.trace_type = trace_type
        model.initiate()
        model.advance(model.done_at)
        # The largest of 20 normal deviates has mean 1.867.
        assert model.trace_dbm()[20:].mean() - mean == pytest.approx(sign * 1.867 * 0.62, abs=0.15)


def test_overload_compresses_and_lifts_the_floor():
    power = np.full(5, 1e-6)
    shown, over = an.overload(power, 1e-13, 1e-4)
    assert not over
    assert shown == pytest.approx(power + 1e-13)
    shown, over = an.overload(np.full(5, 1e-3), 1e-13, 1e-4)
    assert over
    assert (shown < 0.6e-3).all()
    shown, over = an.overload(np.array([1e-3, 0.0]), 1e-13, 1e-4)
    assert shown[1] > 100 * 1e-13
    model = analyser(Flat(1e-9))  # -10 dBm/100 kHz: fits with 10 dB of attenuation
    for attenuation, over in ((10.0, False), (0.0, True), (10.0, False)):
        model.attenuation_db = attenuation
        model.initiate()
        model.advance(model.done_at)
        assert model.overloaded is over


def test_swept_trace_shows_the_source_and_the_line_at_zero():
    model = analyser(Flat(1e-14), level_error_db=0.0)
    model.start_hz, model.stop_hz = 0.0, 1e7
    model.rbw_hz, model.vbw_hz, model.sweep_time_s, model.points = 1e5, 1e3, 20.0, 1001
    model.initiate()
    model.advance(model.done_at)
    trace = model.trace_dbm()
    assert trace[0] == pytest.approx(-15.0, abs=0.1)
    assert trace[5] == pytest.approx(-15.0 - 3.01, abs=0.1)  # 50 kHz = RBW / 2
    assert trace[60:].mean() == pytest.approx(10 * math.log10(1e-14 * 1.0645e5 * 1e3), abs=0.05)


# ------------------------------------------------------------------ settings


def test_bandwidth_steps_are_about_ten_percent_and_preferred_numbers():
    below = RBW_STEPS[RBW_STEPS <= 3e6]
    ratios = below[1:] / below[:-1]
    assert ratios.min() > 1.06
    assert ratios.max() < 1.16
    assert {1.0, 10.0, 4.7e3, 9.1e4, 1e5, 3e6, 8e6} <= set(RBW_STEPS.tolist())


@pytest.mark.parametrize(("asked", "got"), [(103e3, 1e5), (105.5e3, 1.1e5), (1.0, 1.0), (7e6, 8e6)])
def test_bandwidths_are_rounded(asked, got):
    model = analyser()
    model.rbw_hz = asked
    assert model.rbw_hz == got


def test_auto_follows_until_set_by_hand():
    model = AnalyserModel(seed_of)
    model.span_hz = 1e6
    assert (model.rbw_hz, model.vbw_hz) == (9.1e3, 9.1e3)
    assert model.sweep_time_s == pytest.approx(2.5e6 / 9.1e3**2)
    model.vbw_hz = 100.0
    assert (model.vbw_auto, model.rbw_auto) == (False, True)
    assert not model.uncalibrated
    model.sweep_time_s = 1.0
    assert model.uncalibrated
    model.sweep_time_auto = True
    assert not model.uncalibrated
    model.reference_level_dbm = 17.0
    assert model.attenuation_db == 28.0


@pytest.mark.parametrize(
    ("first", "second", "centre", "span"),
    [
        (("centre_hz", 1e6), ("span_hz", 1e6), 1e6, 1e6),
        (("centre_hz", 1e6), ("span_hz", 4e6), 2e6, 4e6),
        (("start_hz", 2e6), ("stop_hz", 6e6), 4e6, 4e6),
        (("stop_hz", 6e6), ("start_hz", 7e6), 7e6 + 5, 10.0),
        (("span_hz", 3.6e9), ("centre_hz", 5e5), 5e5, 1e6),
        (("span_hz", 0.0), ("centre_hz", 3.6e9), 3.6e9, 0.0),
        (("span_hz", 1e6), ("centre_hz", 3.6e9), 3.6e9 - 5, 10.0),
    ],
)
def test_frequency_settings_stay_in_range(first, second, centre, span):
    model = AnalyserModel(seed_of)
    for name, value in (first, second):
        setattr(model, name, value)
    assert model.centre_hz == pytest.approx(centre)
    assert model.span_hz == pytest.approx(span)


def test_changing_a_setting_starts_a_running_sweep_again():
    model = analyser(Flat(1e-14))
    model.initiate()
    model.advance(0.5)
    model.points = 301
    assert model.done_at == pytest.approx(1.505)
    model.points = 301  # the same again is no change
    model.advance(1.0)
    model.points = 301
    assert model.done_at == pytest.approx(1.505)
    model.advance(1.6)
    assert not model.sweeping
    assert len(model.trace_dbm()) == 301
