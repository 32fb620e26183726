"""The cluster-microcomb world, through the bytes of its instruments.

Every pump line and every local oscillator here comes from a profile text that a filter was sent.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

import simulated_instruments
from simulated_instruments.physics.phase_lock import Controller
from simulated_instruments.spectrum_analyser import SimSpectrumAnalyser
from simulated_instruments.toptica_dlcpro import SimTopticaDlcPro
from simulated_instruments.waveshaper import SimWaveShaper
from simulated_instruments.worlds.microcomb import MicrocombWorld
from simulated_instruments.worlds.microcomb_filter import AT_REST

C = 299792458.0
RESONANCE = 193.4e12
GAMMA_HZ = C / 1550e-9 / 20e6 / 2
HALF_MHZ = np.array([0.5e6])
QUIET = {
    "laser_drift": 0.0, "laser_wander": 0.0, "laser_power_noise": 0.0, "laser_hop_rate": 0.0,
    "chip_noise": 0.0, "ambient_wander": 0.0,
}  # fmt: skip

ONE = [(0, 3.0, 0.0)]
CHAIN = [(0, 3.0, 0.0), (-1, 3.0 + 10 * np.log10(1 / 0.2), 0.0)]
LATTICE = [
    (-1, 3.0, 0.0),
    (0, 3.0 + 10 * np.log10(1 / 0.2), 0.0),
    (1, 3.0 + 10 * np.log10(1 / 0.16), 0.0),
]


class Lab:
    """The world behind three wires; time moves when somebody waits for an answer."""

    def __init__(self, seed=0, **values):
        self.world = MicrocombWorld(seed, **values)
        self.t = 0.0
        self.laser = SimTopticaDlcPro(self.world, "laser").connect()
        self.shaper = SimWaveShaper(self.world, "shaper").connect()
        self.analyser = SimSpectrumAnalyser(self.world, "analyser").connect()

    def send(self, endpoint, data):
        answer = b""
        for due, reply in endpoint.feed(data, self.t):
            self.t = max(self.t, due)
            answer += reply
        return answer

    def ask(self, endpoint, data):
        """Send and wait for an answer, at most a minute."""
        answer, deadline = self.send(endpoint, data), self.t + 60
        while not answer and self.t < deadline:
            self.t += 0.5
            answer = self.send(endpoint, b"")
        return answer

    def wait(self, seconds):
        self.t += seconds
        self.world.advance(self.t)

    def light(self, detuning=-0.128):
        """Switch the laser on and tune it by motor and piezo to a detuning in Gamma."""
        volts = 70.0 - detuning * GAMMA_HZ / 0.01 / 2e9
        self.send(self.laser, b"(param-set! 'laser1:dl:cc:enabled #t)\n")
        self.send(
            self.laser, b"(param-set! 'laser1:ctl:wavelength-set %.7f)\n" % (C / RESONANCE * 1e9)
        )
        self.wait(3.0)
        self.send(self.laser, b"(param-set! 'laser1:dl:pc:voltage-set %.6f)\n" % volts)
        self.wait(1.0)

    def shape(self, pumps=(), oscillator=()):
        """Upload a profile: lines as (number, attenuation dB, phase rad), 25 GHz bands."""
        rows = [f"{191.25 + 0.001 * i:.4f}\t60.0000\t0.0000\t0\n" for i in range(5026)]
        for port, lines in ((1, pumps), (2, oscillator)):
            for number, attenuation, phase in lines:
                middle = round((193.4 + 0.025 * number - 191.25) * 1000)
                for i in range(middle - 12, middle + 13):
                    rows[i] = (
                        f"{191.25 + 0.001 * i:.4f}\t{attenuation:.4f}\t"
                        f"{phase % (2 * np.pi):.4f}\t{port}\n"
                    )
        body = json.dumps({"type": "wsp", "wsp": "".join(rows)}).encode()
        head = b"POST /waveshaper/loadprofile HTTP/1.1\r\nHost: ws\r\nContent-Length: %d\r\n\r\n"
        answer = self.send(self.shaper, head % len(body) + body)
        assert b'"rc": 0' in answer or b'"rc":0' in answer
        self.wait(1.5)

    def lock(self, gain_hz=-125.0):
        """An integrator on the phase modulator, as the controller's registers would set it."""
        self.world.loop.set_controller(self.t, Controller(integral=gain_hz))
        self.wait(0.5)
        assert self.world.loop.locked(self.t)

    def noise(self, seconds=5.0, points=101):
        """Noise density and, in dB, the noise over shot noise, as means over the next seconds."""
        times = self.t + np.linspace(0, seconds, points)
        self.wait(seconds)
        psd = self.world.homodyne.psd_w_per_hz(HALF_MHZ, times).mean()
        above = (psd - self.dark) / max(self.shot - self.dark, 1e-30)
        return psd, 10 * np.log10(above)

    @property
    def dark(self):
        return 1e-11 / (1.0645 * 100e3)

    @property
    def shot(self):
        return self.dark + self.settled_light().lo_power * 10**-9.7 / (1.0645 * 100e3)

    def settled_light(self):
        shift = self.world.laser.frequency_hz(self.t) - RESONANCE
        return self.world.filtered.light_of(AT_REST, round(shift / 1e8))

    def phases(self, modes, sums):
        """Phases that turn <a_k a_l> to -90 degrees along a spanning tree, breadth first."""
        m = self.world.ring_state(self.t).moments.squeezing
        turns = {modes[0]: 0.0}
        for k in (queue := [modes[0]]):
            for q in (total - k for total in sums):
                if q in modes and q not in turns:
                    turns[q] = -np.pi / 2 - np.angle(m[45 + k, 45 + q]) - turns[k]
                    queue.append(q)
        return turns


def measure(turns, x=(), p=()):
    """Local oscillator for sums of weighted x and p quadratures in the turned frame."""
    return [
        (k, -20 * np.log10(weight), angle - turns[k])
        for quadratures, angle in ((x, 0.0), (p, np.pi / 2))
        for k, weight in quadratures
    ]


def ready(pumps, detuning, seed=0, **values):
    lab = Lab(seed, **values)
    lab.light(detuning)
    lab.shape(pumps)
    lab.lock()
    return lab


# --- the published numbers, through filter text, lock jitter and drifting laser ---------------


def test_pair_16():
    lab = ready(ONE, -0.128)
    turns = lab.phases([-16, 16], (0,))
    for x, p, expected in (
        ([(16, 1.0)], [(-16, 1.0)], -3.08),
        ([(-16, 1.0)], [(16, 1.0)], -3.08),
    ):
        lab.shape(ONE, measure(turns, x, p))
        assert lab.noise()[1] == pytest.approx(expected, abs=0.05)
    turned = [(k, attenuation, phase + np.pi / 2) for k, attenuation, phase in measure(turns, x, p)]
    lab.shape(ONE, turned)
    assert lab.noise()[1] == pytest.approx(10.28, abs=0.05)


CHAIN_MODES = [k for i in range(6, 36) for k in (-i, i)]
LATTICE_MODES = [*range(-35, -7), *range(8, 36)]


@pytest.mark.parametrize(
    ("pumps", "detuning", "modes", "sums", "weight", "nullifier", "pair"),
    [
        (CHAIN, -2.45, CHAIN_MODES, (0, -1), 0.65, 1.2975, 0.9067),
        (LATTICE, -3.28, LATTICE_MODES, (-2, -1, 0), 0.5, 0.7404, 0.5497),
    ],
)
def test_nullifiers(pumps, detuning, modes, sums, weight, nullifier, pair):
    """The laser stands 1.2 and 1.6 GHz off the blocks' middles: 0.015 dB of crosstalk remain."""
    lab = ready(pumps, detuning, **QUIET)
    turns = lab.phases(modes, sums)
    partners = [total + 35 for total in sums if total + 35 in modes]
    lab.shape(pumps, measure(turns, [(q, weight) for q in partners], [(-35, 1.0)]))
    assert lab.noise()[1] == pytest.approx(-nullifier, abs=0.02)
    best = []
    for q in partners:
        lab.shape(pumps, measure(turns, [(q, 1.0)], [(-35, 1.0)]))
        best.append(-lab.noise()[1])
    assert max(best) == pytest.approx(pair, abs=0.01)


def test_analyser_shows_the_squeezing():
    """Three traces of 10 s over the socket, as a client reads them."""
    lab = ready(ONE, -0.128)
    oscillator = measure(lab.phases([-16, 16], (0,)), [(16, 1.0)], [(-16, 1.0)])
    lab.send(
        lab.analyser,
        b":INIT:CONT OFF\n:SENS:FREQ:CENT 500000\n:SENS:FREQ:SPAN 0\n:SENS:BAND:RES 100000\n"
        b":SENS:BAND:VID 10\n:SENS:SWE:TIME 10\n:SENS:SWE:POIN 251\n:SENS:DET:TRAC AVER\n"
        b":SENS:AVER:TYPE RMS\n:FORM:DATA ASC\n",
    )

    def trace():
        assert lab.ask(lab.analyser, b":INIT:IMM;*OPC?\n").strip().endswith(b"1")
        values = np.array(lab.ask(lab.analyser, b":TRAC:DATA? TRACE1\n").split(b","), float)
        assert len(values) == 251
        return np.mean(10 ** (values[10:] / 10))

    lab.shape(ONE, oscillator)
    squeezed = trace()
    lab.shape((), oscillator)
    shot = trace()
    lab.shape()
    dark = trace()
    assert 10 * np.log10(shot) == pytest.approx(-63.8, abs=1.0)  # two lines; level error 0.3 dB
    assert 10 * np.log10(dark) == pytest.approx(-80.0, abs=1.0)
    ratio = 10 * np.log10((squeezed - dark) / (shot - dark))
    assert ratio == pytest.approx(-3.08, abs=0.06)


# --- light paths ------------------------------------------------------------------------------


def test_levels_follow_the_filter_and_the_laser():
    lab = Lab(**QUIET)
    assert lab.noise()[0] == pytest.approx(lab.dark, rel=2.1e-3)  # dark laser; 1/f adds 0.2 %
    lab.light()
    lab.shape((), [(16, 0.0, 0.0)])
    assert lab.noise()[1] == pytest.approx(0.0, abs=2e-3)
    one = lab.noise()[0]
    lab.shape((), [(16, 0.0, 0.0), (20, 3.0, 1.0)])
    ratio = (lab.noise()[0] - lab.dark) / (one - lab.dark)
    assert ratio == pytest.approx(1 + 10**-0.3, rel=1e-3)
    lab.shape((), [(0, 0.0, 0.0), (4, 0.0, 0.0)])  # lines near the pumps do not arrive
    assert lab.noise()[0] == pytest.approx(lab.dark, rel=2.1e-3)
    lab.send(lab.laser, b"(param-set! 'laser1:dl:cc:enabled #f)\n")
    lab.shape((), [(16, 0.0, 0.0)])
    assert lab.noise()[0] == pytest.approx(lab.dark, rel=2.1e-3)


def test_pumps_are_what_the_filter_was_told():
    lab = Lab(**QUIET)
    lab.light()
    lab.shape(LATTICE)
    lines = dict(lab.settled_light().pumps.lines)
    assert set(lines) == {-1, 0, 1}
    powers = {line: abs(a) ** 2 for line, a in lines.items()}
    assert powers == pytest.approx({-1: 0.605, 0: 0.121, 1: 0.0968}, rel=1e-3)
    assert lab.settled_light().pumps.primary == -1


def test_pump_phase_turns_the_squeezed_quadrature():
    lab = Lab(fast_jitter=0.0, **QUIET)
    lab.light()
    levels = []
    for phase in (0.0, 0.3):
        lab.shape([(0, 3.0, phase)])
        m = lab.world.ring_state(lab.t).moments.squeezing[45 + 16, 45 - 16]
        levels.append(np.angle(m))
    assert levels[1] - levels[0] == pytest.approx(0.6, abs=2e-4)


def test_laser_shift_becomes_a_hundredth_of_it_in_detuning():
    lab = Lab(**QUIET)
    lab.light(0.0)
    lab.shape(ONE)
    before = lab.world.detuning(lab.t)
    assert before == pytest.approx(0.0, abs=1e-3)
    lab.send(lab.laser, b"(param-set! 'laser1:dl:pc:voltage-set 71.0)\n")
    lab.wait(1.0)
    assert lab.world.detuning(lab.t) - before == pytest.approx(-20e6 / GAMMA_HZ, rel=0.06)
    assert lab.world.ring_state(lab.t).moments.number[61, 61] > 1e-3
    lab.send(lab.laser, b"(param-set! 'laser1:dl:pc:voltage-set 73.0)\n")
    lab.wait(1.0)  # 6 GHz: the ring is lost, and with it all squeezing
    assert np.abs(lab.world.ring_state(lab.t).moments.number).max() < 1e-12
    lab.shape(ONE, [(16, 0.0, 0.0), (-16, 0.0, 0.0)])
    assert lab.noise()[1] == pytest.approx(0.0, abs=0.02)


def test_lock_signal_goes_with_the_pump_line():
    lab = Lab(**QUIET)
    assert lab.world.lock_signal.volts(lab.t) == 0.0
    lab.light()
    lab.shape(ONE)
    assert lab.world.lock_signal.volts(lab.t) == pytest.approx(0.4, rel=1e-3)
    lab.shape([(0, 13.0, 0.0)])
    assert lab.world.lock_signal.volts(lab.t) == pytest.approx(0.04, rel=1e-3)
    lab.shape((), [(16, 0.0, 0.0)])
    assert lab.world.lock_signal.volts(lab.t) == 0.0
    lab.shape(ONE)
    times = lab.t + np.linspace(0, 200, 50)
    volts = lab.world.lock_signal.volts(times)
    assert [lab.world.lock_signal.volts(float(t)) for t in times] == volts.tolist()


def test_fringe_is_the_same_for_floats_and_arrays_while_the_filter_turns():
    lab = Lab()
    lab.light()
    lab.shape(ONE)
    begun = lab.world.shaper.settle_until - 1.0
    times = begun + np.linspace(0, 1.4, 40)
    volts = lab.world.lock_signal.volts(times)
    assert [lab.world.lock_signal.volts(float(t)) for t in times] == volts.tolist()
    assert (np.diff(volts) > -1e-3).all()
    assert volts[0] < 0.01 < volts[-1]


# --- honest extremes --------------------------------------------------------------------------


def test_above_threshold_is_loud_and_flagged():
    lab = Lab(**QUIET)
    lab.light()
    lab.shape([(0, 0.0, 0.0)], [(16, 0.0, 0.0), (-16, 0.0, 0.0)])
    state = lab.world.ring_state(lab.t)
    assert state.oscillating
    assert 15 < lab.noise()[1] < 40


def test_swept_span_shows_the_linewidth():
    lab = ready(ONE, -0.128, fast_jitter=0.0)
    squeezed = measure(lab.phases([-16, 16], (0,)), [(16, 1.0)], [(-16, 1.0)])
    lab.shape(ONE, [(k, 0.0, phase + np.pi / 2) for k, _, phase in squeezed])
    frequency = np.linspace(0.05e6, 40e6, 400)
    psd = lab.world.homodyne.psd_w_per_hz(frequency, lab.t + 0.001 * np.arange(400))
    shape = (psd - lab.dark) / (lab.shot - lab.dark) * (1 + (frequency / 100e6) ** 2)
    p, omega = 0.605, frequency / GAMMA_HZ
    expected = 1 + 4 * 0.675 * p / ((1 - p) ** 2 + omega**2)
    np.testing.assert_allclose(shape, expected, rtol=0.02)
    everything = lab.world.homodyne.psd_w_per_hz(
        np.linspace(0, 3.6e9, 1001), lab.t + np.zeros(1001)
    )
    assert np.isfinite(everything).all()


# --- time -------------------------------------------------------------------------------------


def test_a_change_during_a_sweep_is_seen_from_its_moment_on():
    lab = ready(ONE, -0.128)
    squeezed = measure(lab.phases([-16, 16], (0,)), [(16, 1.0)], [(-16, 1.0)])
    anti = [(k, 0.0, phase + np.pi / 2) for k, _, phase in squeezed]
    lab.shape(ONE, anti)
    lab.shape((), anti)
    times = lab.world.shaper.settle_until + np.linspace(-1.5, 0.2, 86)
    psd = (lab.world.homodyne.psd_w_per_hz(HALF_MHZ, times) - lab.dark) / (lab.shot - lab.dark)
    assert psd[:25] == pytest.approx(10.5, abs=0.5)  # 10.28 dB
    assert psd[31:34] == pytest.approx(1.25, abs=0.15)  # a time constant later: p = 0.08
    assert psd[-10:] == pytest.approx(1.0, abs=1e-3)


@pytest.mark.parametrize("lit", [ONE, CHAIN])
def test_polling_does_not_change_a_bit(lit):
    def trace(polls):
        lab = ready(lit, -0.128 if lit is ONE else -2.45, seed=3)
        lab.shape(lit, [(16, 0.0, 0.1), (-16, 0.0, 0.2)])
        lab.send(
            lab.analyser,
            b":INIT:CONT OFF\n:SENS:FREQ:CENT 500000\n:SENS:FREQ:SPAN 0\n"
            b":SENS:SWE:TIME 4\n:SENS:SWE:POIN 101\n:FORM:DATA REAL,64\n",
        )
        lab.t = 20.0
        lab.send(lab.analyser, b":INIT:IMM\n")
        for t in polls:
            lab.t = t
            lab.send(lab.laser, b"(param-ref 'laser1:ctl:wavelength-act)\n")
        lab.t = 30.0
        return lab.ask(lab.analyser, b":TRAC:DATA? TRACE1\n")

    assert trace([]) == trace([20.1, 20.11, 21.0, 22.77, 23.999, 26.0])


def test_slow_laser_follows_the_laser():
    lab = Lab()
    lab.light()
    times = lab.t + np.linspace(0, 60, 241)
    slow = lab.world._slow.laser_hz(times)
    exact = lab.world.laser.frequency_hz(times) - RESONANCE
    assert np.abs(slow - exact).max() < 3e6  # of 1 MHz per square root of s
    sparse = lab.t + np.sort(np.random.default_rng(1).uniform(0, 900, 40))
    together = lab.world._slow.laser_hz(sparse)
    assert [lab.world._slow.laser_hz(np.array([t]))[0] for t in sparse] == together.tolist()
    whole = times == np.floor(times)
    np.testing.assert_array_equal(slow[whole], exact[whole])
    lab.send(lab.laser, b"(param-set! 'laser1:dl:pc:voltage-set 75.0)\n")
    times = lab.t + np.linspace(0, 0.02, 11)
    np.testing.assert_array_equal(
        lab.world._slow.laser_hz(times), lab.world.laser.frequency_hz(times) - RESONANCE
    )


def test_seeds_differ_and_repeat():
    def detunings(seed):
        lab = Lab(seed)
        lab.light()
        return [lab.world.detuning(t) for t in (5.0, 50.0, 500.0)]

    assert detunings(1) == detunings(1)
    assert detunings(1) != detunings(2)


# --- documents --------------------------------------------------------------------------------


def test_every_parameter_is_documented_and_within_its_limits():
    names = [p.name for p in MicrocombWorld.PARAMETERS]
    assert len(set(names)) == len(names)
    for p in MicrocombWorld.PARAMETERS:
        assert p.meaning
        assert p.source
        assert p.minimum <= p.default <= p.maximum
    with pytest.raises(ValueError, match="unknown world parameter"):
        MicrocombWorld(0, no_such_thing=1.0)


def test_bench_file_names_the_parts_of_the_world():
    folder = Path(simulated_instruments.__file__).parent / "benches"
    bench = tomllib.loads((folder / "cluster-microcomb.toml").read_text(encoding="utf-8"))
    assert list(bench["instruments"]) == list(MicrocombWorld(0).parts)
    assert bench["world"]["class"] == "simulated_instruments.worlds.microcomb:MicrocombWorld"
    for interlock in bench["interlocks"]:
        assert interlock["read"].partition(".")[0] in bench["instruments"]
