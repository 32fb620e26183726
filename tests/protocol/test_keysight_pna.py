"""Network analyser Keysight PNA: bytes of programming manual and clients, then sweeps."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from scripted import scripted

from drivers.keysight_pna import KeysightPna
from labctl.adapter import ByteAdapter
from labctl.clock import VirtualClock
from labctl.errors import RequestError
from labctl.transport.link import Link
from simulated_instruments.keysight_pna import SimKeysightPna
from simulated_instruments.physics.network_analyser import VnaModel
from simulated_instruments.world import World


def attenuator(frequencies, t):
    """6 dB between matched ports, with a delay of 1 ns."""
    s = np.zeros((len(frequencies), 2, 2), dtype=complex)
    s[:, 0, 1] = s[:, 1, 0] = 0.5 * np.exp(-2j * np.pi * frequencies * 1e-9)
    return s


class Bench:
    def __init__(self, **driver):
        self.world = World(2)
        self.model = VnaModel(self.world.seed_of, "vna", attenuator)
        self.world.parts["vna"] = self.model
        self.sim = SimKeysightPna(self.world, "vna")
        self.clock = VirtualClock()
        adapter = ByteAdapter(lambda: Link(self.sim.connect(), self.clock), self.clock, name="vna")
        self.vna = KeysightPna(adapter, "vna", **driver)


@pytest.fixture
def bench():
    return Bench()


def talk(sim, *lines: bytes, now: float = 0.0) -> list[bytes]:
    endpoint = sim.connect()
    return [reply for line in lines for _, reply in endpoint.feed(line, now) if reply]


def test_bytes_of_the_manual(bench):
    assert talk(bench.sim, b"SYST:ACT:CHAN?\n", b"SYST:CHAN:CAT?\n", b"SYST:MEAS:CAT? 1\n") == [
        b"1\n", b'"1"\n', b'"1"\n',
    ]  # fmt: skip
    assert talk(bench.sim, b"CALC1:PAR:CAT:EXT?\n") == [b'"CH1_S11_1,S11"\n']
    assert talk(bench.sim, b"CALC:PAR:EXT 'T','S21'\n", b"CALC1:PAR:CAT:EXT?\n") == [
        b'"CH1_S11_1,S11,T,S21"\n'
    ]
    assert talk(bench.sim, b"CALC1:MEAS2:PAR?\n", b"SYST:MEAS:CAT?\n") == [b'"S21"\n', b'"1,2"\n']
    assert talk(bench.sim, b"FORM?\n", b"FORM REAL,64;FORM:BORD SWAP\n", b"FORM?;FORM:BORD?\n") == [
        b"ASC,0\n", b"REAL,64;SWAP\n",
    ]  # fmt: skip
    assert talk(bench.sim, b"SENS1:SWE:POIN 5\n", b"SENS1:SWE:POIN?\n") == [b"5\n"]
    assert talk(bench.sim, b"SENS:BWID 1 KHZ\n", b"SENS1:BAND:RES?\n") == [b"+1.00000000000E+03\n"]
    assert talk(bench.sim, b"CALC1:PAR:SEL 'no'\n", b"SYST:ERR?\n")[0].startswith(b"-224")


@pytest.mark.parametrize(("order", "kind"), [(b"SWAP", "<"), (b"NORM", ">")])
@pytest.mark.parametrize("bits", [32, 64])
def test_blocks_in_each_format(bench, order, kind, bits):
    endpoint = bench.sim.connect()
    endpoint.feed(b"FORM REAL,%d;FORM:BORD %s\n" % (bits, order), 0.0)
    endpoint.feed(b"SENS:SWE:POIN 3;:SENS:FREQ:STAR 1e9;STOP 3e9\n", 0.0)
    endpoint.feed(b"SENS1:SWE:MODE SING\n", 0.0)
    ((_, reply),) = endpoint.feed(b"CALC1:MEAS1:X?\n", 1.0)
    size = 3 * bits // 8
    assert reply[:4] == b"#2%d" % size
    letter = "f" if bits == 32 else "d"
    found = struct.unpack(f"{kind}3{letter}", reply[4 : 4 + size])
    assert found == pytest.approx((1e9, 2e9, 3e9))
    assert reply[4 + size :] == b"\n"


def test_a_sweep_returns_all_parameters(bench):
    frequencies, s = bench.vna.sweep(1e9, 2e9, 101, bandwidth=1e4)
    assert frequencies[[0, -1]] == pytest.approx([1e9, 2e9])
    assert s.shape == (101, 2, 2)
    assert np.abs(s[:, 1, 0]) == pytest.approx(0.5, abs=0.01)
    turn = np.unwrap(np.angle(s[:, 1, 0]))
    assert np.polyfit(frequencies, turn, 1)[0] == pytest.approx(-2 * np.pi * 1e-9, rel=1e-3)
    assert np.abs(s[:, 0, 0]).max() < 0.01
    assert bench.clock.now() == pytest.approx(2 * 101 / 1e4, rel=0.3)
    assert bench.vna.snapshot() == {"bandwidth": 1e4, "power": -10.0, "points": 101}


def test_noise_goes_with_bandwidth_and_power(bench):
    def noise(**options) -> float:
        _, s = bench.vna.sweep(1e9, 2e9, 2001, **options)
        return float(np.std(s[:, 0, 0]))

    loud = noise(bandwidth=1e5)
    assert noise(bandwidth=1e3) == pytest.approx(loud / 10, rel=0.1)
    assert noise(bandwidth=1e5, power=-30.0) == pytest.approx(10 * loud, rel=0.1)
    assert noise(bandwidth=1e3) == pytest.approx(3e-4, rel=0.1)


def test_averages_of_sweeps_lower_the_noise(bench):
    model, found = bench.model, []
    model.points, model.output = 2001, False
    for count in (1, 16):
        model.averaging, model.averages = True, count
        model.sweep(0.0)
        found.append(float(np.std(model.data)))
        assert model.ready_at == pytest.approx(2 * 2001 / 1000.0 * count)
    assert found[1] == pytest.approx(found[0] / 4, rel=0.05)


def test_driver_speaks_the_manuals_bytes():
    """REAL,64 with SWAP is little-endian; S parameters are interleaved real and imaginary parts."""

    def block(*numbers: float) -> bytes:
        data = struct.pack(f"<{len(numbers)}d", *numbers)
        return b"#2%d" % len(data) + data + b"\n"

    settings = [
        b"FORM REAL,64", b"FORM:BORD SWAP", b"TRIG:SOUR IMM", b"SENS1:BWID 1000",
        b"SENS1:SWE:POIN 2", b"SENS1:FREQ:STAR 9999900000", b"SENS1:FREQ:STOP 10000000000",
        b"SOUR1:POW1 -20", b"SENS1:AVER:STAT OFF",
    ]  # fmt: skip
    reads = [
        exchange
        for n, name in enumerate(("S11", "S12", "S21", "S22"))
        for exchange in (
            (b"CALC1:PAR:SEL 'labctl_%s'\n" % name.encode(), b""),
            (b"CALC1:DATA? SDATA\n", block(n, 0.5, -n, 0.25)),
        )
    ]
    vna, script = scripted(
        KeysightPna,
        *((line + b"\n", b"") for line in settings),
        (b"CALC1:PAR:CAT:EXT?\n", b'"labctl_S11,S11,labctl_S12,S12,labctl_S21,S21"\n'),
        (b"CALC1:PAR:EXT 'labctl_S22','S22'\n", b""),
        (b"OUTP 1\n", b""),
        (b"SYST:ERR?\n", b'+0,"No error"\n'),
        (b"SENS1:SWE:MODE SING\n", b""),
        (b"*OPC?\n", b"1\n"),
        (b"CALC1:X?\n", block(9.9999e9, 1e10)),
        *reads,
        (b"SYST:ERR?\n", b'+0,"No error"\n'),
        (b"OUTP 0\n", b""),
        (b"SYST:ERR?\n", b'+0,"No error"\n'),
    )
    frequencies, s = vna.sweep(9.9999e9, 1e10, 2, bandwidth=1000, power=-20)
    assert frequencies.tolist() == [9.9999e9, 1e10]
    assert s[0].tolist() == [[0.5j, 1 + 0.5j], [2 + 0.5j, 3 + 0.5j]]
    assert s[1].tolist() == [[0.25j, -1 + 0.25j], [-2 + 0.25j, -3 + 0.25j]]
    vna.make_safe()
    assert not script.exchanges


def test_wrong_requests(bench):
    with pytest.raises(RequestError, match=r"port power of 0 dBm is above what the sample stands"):
        bench.vna.sweep(1e9, 2e9, 11, power=0)
    with pytest.raises(RequestError, match="cannot sweep from 2e\\+09 to 1e\\+09 Hz"):
        bench.vna.sweep(2e9, 1e9, 11)
    bench.vna.sweep(1e9, 2e9, 11)
    bench.vna.make_safe()
    assert not bench.model.output


def test_the_constructor_says_nothing():
    def never():
        raise AssertionError("somebody spoke")

    class Silent:
        def send(self, data):
            never()

        def receive(self, timeout):
            never()

        def close(self):
            pass

    clock = VirtualClock()
    assert KeysightPna(ByteAdapter(Silent, clock, name="vna"), "vna").name == "vna"
