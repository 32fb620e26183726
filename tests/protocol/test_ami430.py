"""Magnet supply AMI 430: bytes of the manual and of pymeasure, then driver and simulator together."""

from __future__ import annotations

import pytest
from scripted import scripted

from drivers.ami430 import Ami430
from labctl.adapter import ByteAdapter
from labctl.clock import VirtualClock
from labctl.errors import InstrumentError, RequestError
from labctl.transport.link import Link
from simulated_instruments.ami430 import SimAmi430
from simulated_instruments.physics.magnet import MagnetModel
from simulated_instruments.world import World

GREETING = b"American Magnetics Model 430 IP Interface\r\nHello.\r\n"


def talk(*lines: bytes, sim: SimAmi430 | None = None) -> list[bytes]:
    endpoint = (sim or SimAmi430(World(1), "magnet")).connect()
    assert endpoint.feed(b"", 0.0)[0][1] == GREETING
    return [reply for line in lines for _, reply in endpoint.feed(line, 0.0) if reply]


class Bench:
    def __init__(self, model: dict | None = None, **driver):
        self.world = World(1)
        self.model = MagnetModel(self.world.seed_of, "magnet", **(model or {}))
        self.world.parts["magnet"] = self.model
        self.sim = SimAmi430(self.world, "magnet")
        self.clock = VirtualClock()
        self.adapter = ByteAdapter(
            lambda: Link(self.sim.connect(), self.clock), self.clock, name="magnet",
            framing=Ami430.FRAMING,
        )  # fmt: skip
        self.magnet = Ami430(self.adapter, "magnet", **driver)


@pytest.fixture
def bench():
    return Bench()


def test_bytes_of_the_manual():
    assert talk(b"*IDN?\r\n") == [b"AMERICAN MAGNETICS INC.,MODEL 430,3.20\r\n"]
    assert talk(b"COIL?\r\n", b"STATE?\r\n", b"FIELD:UNITS?\r\n", b"QU?\r\n") == [
        b"0.1\r\n", b"3\r\n", b"0\r\n", b"0\r\n",
    ]  # fmt: skip
    assert talk(b"CONF:FIELD:TARG 0.2\r\n", b"FIELD:TARG?\r\n") == [b"0.2\r\n"]
    assert talk(b"CONFigure:RAMP:RATE:FIELD 1,0.0422,1.00\r\n", b"RAMP:RATE:FIELD:1?\r\n") == [
        b"0.0422,8\r\n"
    ]
    assert talk(b"CONF:COIL 1.182\r\n", b"COIL?\r\n") == [b"1.182\r\n"]
    assert talk(b"CURR:MAG?\r\n", b"FIELD:MAG?\r\n") == [b"0\r\n", b"0\r\n"]
    assert talk(b"CONF:RAMP:RATE:CURR 1,0.5\r\n", b"RAMP:RATE:CURR:1?\r\n") == [b"0.5,80\r\n"]
    assert talk(b"PSwitch?\r\n", b"PSwitch 0\r\n", b"PS?\r\n") == [b"1\r\n", b"0\r\n"]
    assert talk(b"NONSENSE\r\n", b"SYST:ERR?\r\n")[0].startswith(b'-113,"Undefined header')
    assert talk(b"CONF:FIELD:TARG 99\r\n", b"SYST:ERR?\r\n") == [b'-222,"Data out of range"\r\n']


def test_a_ramp_with_the_bytes_that_it_takes(bench):
    endpoint = bench.sim.connect()
    for line in (b"CONF:RAMP:RATE:FIELD 1,0.1\r\n", b"CONF:FIELD:TARG 1\r\n", b"RAMP\r\n"):
        endpoint.feed(line, 0.0)

    def ask(line: bytes, now: float) -> bytes:
        return next(reply for _, reply in endpoint.feed(line, now) if not reply.startswith(b"Am"))

    assert ask(b"STATE?\r\n", 5.0) == b"1\r\n"
    assert float(ask(b"FIELD:MAG?\r\n", 5.0)) == pytest.approx(0.5, abs=1e-5)
    assert ask(b"STATE?\r\n", 11.0) == b"2\r\n"
    endpoint.feed(b"ZERO\r\n", 11.0)
    assert ask(b"STATE?\r\n", 12.0) == b"6\r\n"
    assert ask(b"STATE?\r\n", 22.0) == b"8\r\n"


def test_goes_to_a_field_and_reads_it(bench):
    assert bench.magnet.identify().startswith("AMERICAN MAGNETICS")
    assert bench.magnet.go_to(0.35714286, rate=0.01) == pytest.approx(0.35714286, rel=2e-6)
    assert bench.clock.now() == pytest.approx(36, abs=5)
    assert bench.magnet.state == 2
    assert bench.magnet.target_t == pytest.approx(0.35714286, abs=1e-9)
    assert bench.magnet.snapshot()["rate_t_per_s"] == pytest.approx(0.01)
    # twelve digits: a step of 1 uT, 28 kHz of a magnon, arrives
    before = bench.model.supply_current(bench.clock.now())
    bench.magnet.go_to(0.35714386)
    moved = bench.model.supply_current(bench.clock.now()) - before
    assert moved == pytest.approx(1e-4, rel=1e-3)


def test_limits_are_refused_before_anything_moves(bench):
    for wrong, message in (
        (lambda: bench.magnet.go_to(0.6), r"target 0.6 T is outside this magnet's range"),
        (lambda: bench.magnet.go_to(0.1, rate=0.02), r"ramp rate 0.02 T/s is outside"),
        (lambda: bench.magnet.go_to(float("nan")), r"target nan T"),
        (lambda: setattr(bench.magnet, "target_t", True), r"target True T"),
    ):
        with pytest.raises(RequestError, match=message):
            wrong()
    assert bench.model.supply_current(100.0) == 0.0
    with pytest.raises(RequestError, match="maximum_rate must be positive"):
        Bench(maximum_rate=0.0)


def test_driver_speaks_the_manuals_bytes():
    no_error = (b"SYST:ERR?\r\n", b'0,"No error"\r\n')
    magnet, script = scripted(
        Ami430,
        (b"CONF:FIELD:TARG 3.57142857143\r\n", b""),
        no_error,
        (b"CONF:FIELD:TARG 0.2\r\n", b""),
        no_error,
        (b"CONF:RAMP:RATE:FIELD 1,0.0422,5\r\n", b""),
        no_error,
        (b"CONF:CURR:TARG 35.7142857143\r\n", b""),
        no_error,
        (b"CONF:RAMP:RATE:CURR 1,0.0357,50\r\n", b""),
        no_error,
        (b"CONF:VOLT:LIM 2.2\r\n", b""),
        no_error,
        (b"RAMP:RATE:FIELD:1?\r\n", b"0.0422,8\r\n"),
        (b"RAMP:RATE:CURR:1?\r\n", b"0.0357,80\r\n"),
        (b"FIELD:TARG?\r\n", b"2\r\n"),
        (b"FIELD:MAG?\r\n", b"1.9999\r\n"),
        (b"CURR:MAG?\r\n", b"19.999\r\n"),
        (b"STATE?\r\n", b"2\r\n"),
        (b"RAMP\r\n", b""),
        (b"PAUSE\r\n", b""),
        (b"ZERO\r\n", b""),
        (b"PSwitch 1\r\n", b""),
        greeting=GREETING,
    )
    magnet.target_t = 0.357142857143  # T, in kG on the wire
    magnet.target_field = 0.2
    magnet.ramp_rate_field = 0.0422
    magnet.target_current = 35.7142857143
    magnet.ramp_rate_current = 0.0357
    magnet.voltage_limit = 2.2
    assert (magnet.ramp_rate_field, magnet.ramp_rate_current) == (0.0422, 0.0357)
    assert (magnet.target_t, magnet.field_t) == (0.2, 0.19999)
    assert (magnet.magnet_current, magnet.state) == (19.999, 2)
    magnet.ramp()
    magnet.pause()
    magnet.zero()
    magnet.enable_persistent_switch()
    assert not script.exchanges


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("target_field", 5.01),
        ("target_field", True),
        ("target_current", -50.1),
        ("target_current", float("nan")),
        ("ramp_rate_field", 0.11),
        ("ramp_rate_current", 1.01),
        ("ramp_rate_current", 0.0),
        ("voltage_limit", 11.0),
    ],
)
def test_settings_of_pymeasure_have_the_limits_of_this_magnet(setting, value):
    magnet, _ = scripted(Ami430, greeting=GREETING)
    with pytest.raises(RequestError, match=r"must be from|outside this magnet's range"):
        setattr(magnet, setting, value)


def test_a_quench_is_said_in_one_line_and_blocks_the_next_ramp():
    bench = Bench({"quench_current": 20.0})
    with pytest.raises(InstrumentError, match=r"magnet: quench during the ramp to 0.3 T"):
        bench.magnet.go_to(0.3, rate=0.01)
    assert bench.magnet.quench == 1
    with pytest.raises(InstrumentError, match="STATE\\? says quench; find out why"):
        bench.magnet.go_to(0.1)
    bench.magnet.make_safe()


def test_another_coil_than_the_bench_file_says():
    bench = Bench({"coil_constant": 0.12})
    with pytest.raises(InstrumentError, match=r"set to 0.12 kG/A but the bench file says 0.1"):
        bench.magnet.go_to(0.1)


def test_make_safe_stops_a_ramp(bench):
    bench.magnet.rate_t_per_s = 0.001
    bench.magnet.target_t = 0.3
    bench.magnet.ramp()
    bench.clock.sleep(10.0)
    bench.magnet.make_safe()
    assert bench.magnet.state == 3
    stopped = bench.magnet.field_t
    bench.clock.sleep(10.0)
    assert bench.magnet.field_t == pytest.approx(stopped, rel=1e-5)


def test_what_pymeasure_gets_wrong(bench):
    """Any answer but an empty one was true."""
    assert bench.magnet.has_persistent_switch_enabled() is True
    bench.magnet.disable_persistent_switch()
    assert bench.magnet.has_persistent_switch_enabled() is False
    bench.magnet.wait_for_holding()
    assert bench.clock.now() == pytest.approx(20.0, abs=1.0)


def test_a_lost_connection_leaves_no_greeting_behind(bench):
    assert bench.magnet.state == 3
    bench.adapter.connection.close()
    assert bench.magnet.state == 3
    assert bench.adapter.discarded == 0
