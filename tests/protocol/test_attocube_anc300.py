"""Piezo controller ANC300: its console as pymeasure's tests show it, and the driver."""

from __future__ import annotations

import pytest
from scripted import scripted

from drivers.attocube_anc300 import Anc300
from labctl.adapter import ByteAdapter
from labctl.clock import VirtualClock
from labctl.errors import InstrumentError, RequestError
from labctl.transport.link import Link
from simulated_instruments.attocube_anc300 import SimAnc300
from simulated_instruments.world import World


class Bench:
    def __init__(self, **driver):
        self.sim = SimAnc300(World(1), "piezos")
        self.clock = VirtualClock()
        self.adapter = ByteAdapter(
            lambda: Link(self.sim.connect(), self.clock), self.clock, name="piezos",
            framing=Anc300.FRAMING,
        )  # fmt: skip
        self.piezos = Anc300(self.adapter, "piezos", **driver)


@pytest.fixture
def bench():
    return Bench()


def said(endpoint, line: str) -> str:
    return b"".join(reply for _, reply in endpoint.feed(f"{line}\r\n".encode(), 0.0)).decode()


def test_console(bench):
    e = bench.sim.connect()
    assert said(e, "123456").endswith("Authorization code: ******\r\nAuthorization success\r\n")
    assert said(e, "echo off") == "> echo off\r\nOK\r\n"
    assert said(e, "setm 1 inp") == "OK\r\n"
    assert said(e, "seta 1 30.5") == "OK\r\n"
    assert said(e, "geta 1") == "voltage = 30.500000 V\r\nOK\r\n"
    assert said(e, "getm 1") == "mode = inp\r\nOK\r\n"
    assert said(e, "seta 1 200") == "Value out of range\r\nERROR\r\n"
    assert said(e, "seta 9 1") == "Wrong axis number\r\nERROR\r\n"
    assert said(e, "setm 1 stp") == "Invalid mode for this axis\r\nERROR\r\n"
    assert said(e, "jump 1").endswith("ERROR\r\n")
    assert said(e, "") == ""
    other = bench.sim.connect()
    assert said(other, "secret").endswith("Authorization denied\r\n")


def test_driver_speaks_the_console():
    piezos, script = scripted(
        Anc300,
        (b"123456\r\n", b"******\r\nAuthorization success\r\n"),
        (b"echo off\r\n", b"> echo off\r\nOK\r\n"),
        (b"seta 1 30.5000\r\n", b"OK\r\n"),
        (b"getm 1\r\n", b"mode = gnd\r\nOK\r\n"),
        (b"setm 1 inp\r\n", b"OK\r\n"),
        (b"geto 1\r\n", b"voltage = 30.500000 V\r\nOK\r\n"),
        (b"seta 2 1.0000\r\n", b"Axis in wrong mode\r\nERROR\r\n"),
        greeting=b"\xff\xfb\x01\xff\xfb\x03Authorization code: ",
    )
    piezos.hold(1, 30.5)
    assert piezos.voltage(1) == 30.5
    with pytest.raises(InstrumentError, match=r"'seta 2 1.0000' .* 'Axis in wrong mode'"):
        piezos.hold(2, 1.0)
    assert not script.exchanges


def test_holds_voltages(bench):
    assert bench.piezos.identify().startswith("attocube ANC300")
    bench.piezos.hold(2, 45.25)
    assert bench.piezos.voltage(2) == pytest.approx(45.25)
    assert bench.sim.model.at(1, bench.clock.now()) == pytest.approx(45.25, abs=0.01)
    assert bench.piezos.snapshot()["axis 1"] == 0.0


def test_wrong_requests(bench):
    with pytest.raises(RequestError, match=r"130 V is outside what the scanners stand, 0 to 120 V"):
        bench.piezos.hold(1, 130.0)
    with pytest.raises(RequestError, match="axes are 1 to 4, got 5"):
        bench.piezos.hold(5, 1.0)
    with pytest.raises(InstrumentError, match="'seta 9 1' was answered with 'Wrong axis number'"):
        bench.piezos.command("seta 9 1")
    with pytest.raises(InstrumentError, match="set `code` in the bench file"):
        Bench(code="000000").piezos.identify()
    with pytest.raises(RequestError, match="axes must be 1 to 7"):
        Bench(axes=9)


def test_the_code_is_given_again_after_a_lost_connection(bench):
    bench.piezos.hold(1, 10.0)
    bench.adapter.connection.close()
    bench.adapter._broken = True
    assert bench.piezos.voltage(1) == pytest.approx(10.0)
    assert bench.adapter.reconnects == 1
