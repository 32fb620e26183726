"""PyRPL's own register client, unmodified, against the simulated Red Pitaya.

`import pyrpl` would start a Qt application and needs a Qt binding, so only the vendor's file
`pyrpl/redpitaya_client.py` is executed, as it is. Of the two modules it imports from its package
it needs nothing but two names for its `DummyClient` and a stop-watch, which stand in here.
PyRPL is a test-time dependency only: nothing of it is part of this project.
"""

from __future__ import annotations

import importlib.machinery
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from simulated_instruments.redpitaya_pyrpl import SimRedPitaya
from simulated_instruments.server import address_of, serving
from simulated_instruments.world import World

PACE = 100.0

# Addresses and codes as PyRPL's hardware modules send them (recorded from version 0.9.9.1).
PID0, IQ0, SCOPE, ASG, IN1 = 0x40300000, 0x40350000, 0x40100000, 0x40200000, 0x403A0000
GOLDEN = {
    "pid0.setpoint = -0.1": (PID0 + 0x104, 0x3CCD),
    "pid0.p = 0.5": (PID0 + 0x108, 0x800),
    "pid0.i = 1000": (PID0 + 0x10C, 0x34B51),
    "pid0.input = in1": (PID0, 10),
    "pid0.output_direct = out1": (PID0 + 0x4, 1),
    "pid0.max_voltage = 0.8": (PID0 + 0x128, 0x199A),
    "pid0.min_voltage = -0.8": (PID0 + 0x124, 0x2666),
    "iq0.frequency = 1e6": (IQ0 + 0x108, 0x020C49BA),
    "iq0.phase = 90": (IQ0 + 0x104, 0xC0000000),
    "asg0.frequency = 100": (ASG + 0x10, 0x35B),
}


@pytest.fixture(scope="module")
def monitor_client():
    """The vendor's class; its module is executed below empty parent packages."""
    spec = importlib.machinery.PathFinder.find_spec("pyrpl")  # finds, does not execute
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("pyrpl is not installed: pip install --no-deps 'pyrpl>=0.9.9,<1'")
    file = Path(next(iter(spec.submodule_search_locations))) / "redpitaya_client.py"
    with pytest.MonkeyPatch.context() as patch:

        def stand_in(name, **names):
            module = types.ModuleType(name)
            module.__path__ = []
            vars(module).update(names)
            patch.setitem(sys.modules, name, module)

        stand_in("pyrpl")
        stand_in("pyrpl.hardware_modules")
        stand_in("pyrpl.hardware_modules.dsp", DSP_INPUTS={}, dsp_addr_base=None)
        stand_in("pyrpl.pyrpl_utils", time=None)
        module = types.ModuleType("pyrpl.redpitaya_client")
        module.__package__ = "pyrpl"
        importlib.machinery.SourceFileLoader(module.__name__, str(file)).exec_module(module)
    return module.MonitorClient


@pytest.fixture
def addresses():
    with serving({"lock": SimRedPitaya(World(1), "lock")}, pace=PACE) as addresses:
        yield addresses


@pytest.fixture
def dial_client(addresses, monitor_client):
    port = int(address_of(addresses, "lock").rpartition(":")[2])
    clients = []

    def dialled():
        clients.append(monitor_client("127.0.0.1", port))
        return clients[-1]

    yield dialled
    for client in clients:
        client.close()


@pytest.fixture
def client(dial_client):
    return dial_client()


@pytest.mark.parametrize("setting", GOLDEN)
def test_registers_hold_what_pyrpl_writes(client, setting):
    address, word = GOLDEN[setting]
    assert client.writes(address, [word]) is True
    assert client.reads(address, 1).tolist() == [word]


def test_several_registers_in_one_message(client):
    words = [0x3CCD, 0x800, 0x34B51]
    assert client.writes(PID0 + 0x104, words) is True
    assert client.reads(PID0 + 0x104, 3).tolist() == words


def test_constants_that_pyrpl_divides_by_are_not_zero(client):
    for base in (PID0, PID0 + 0x10000, PID0 + 0x20000, IQ0):
        assert all(client.reads(base + 0x220, 3))


def test_reset_values(client):
    assert client.reads(SCOPE + 0x14, 1).tolist() == [1]  # decimation
    assert client.reads(IQ0 + 0x120, 1).size == 1


def test_unmapped_space_reads_zero(client):
    assert client.reads(0x40700000, 4).tolist() == [0, 0, 0, 0]


def test_sampler_reads_14_bits(client):
    word = int(client.reads(IN1 + 0x10, 1)[0])
    assert 0 <= word < 1 << 14


def test_scope_curve_of_16384_words(client):
    """Arm, trigger now, wait for the curve and read it as PyRPL does: one read per channel."""
    assert client.writes(0x40380000, [10]) is True  # channel 1 shows in1
    assert client.writes(SCOPE + 0x14, [64]) is True  # decimation
    assert client.writes(SCOPE + 0x10, [8192]) is True  # samples after the trigger
    assert client.writes(SCOPE, [1]) is True  # arm
    assert client.writes(SCOPE + 0x4, [1]) is True  # trigger at once
    for _ in range(10_000):
        if not client.reads(SCOPE, 1)[0] & 0b100 and client.reads(SCOPE + 0x4, 1)[0] == 0:
            break
    else:
        pytest.fail("the curve never became complete")
    curve = client.reads(SCOPE + 0x10000, 16384)
    assert curve.dtype == np.uint32
    assert curve.size == 16384
    assert curve.max() < 1 << 14
    volts = (curve.astype(int) ^ 0x2000) - 0x2000
    assert np.ptp(volts) > 0
    assert np.array_equal(client.reads(SCOPE + 0x10000, 16384), curve)


def test_longest_messages(client):
    """The client clips a read to 65535 words; a waveform is written in one message."""
    assert client.reads(SCOPE + 0x10000, 70_000).size == 65535
    assert client.writes(ASG + 0x10000, [0x1000] * 16384) is True  # half of full scale
    assert client.writes(ASG + 0x4, [0x1FFF]) is True  # amplitude 1 V
    assert client.writes(0x40380004, [1]) is True  # asg0 to out1
    assert client.writes(ASG, [1]) is True  # start at once
    assert client.reads(0x403C0010, 1)[0] == pytest.approx(0x1000, abs=2)  # sampler of out1


def read_by_another(dial_client, address):
    """What a new client reads; None if the server has no room for it."""
    try:
        return dial_client().reads(address, 1)
    except TypeError:  # reset while it connected: it wants to restart a server it does not have
        return None


def read_by_the_next(dial_client, address):
    """What the next client reads once the server has noticed that the last one is gone."""
    for _ in range(100):
        if (words := read_by_another(dial_client, address)) is not None:
            return words.tolist()
    return None


def test_one_client_at_a_time_and_the_next_after_it(client, dial_client):
    assert client.reads(PID0, 1).size == 1
    assert read_by_another(dial_client, PID0) is None
    assert client.reads(PID0, 1).size == 1
    client.close()
    assert read_by_the_next(dial_client, PID0) is not None


def test_registers_survive_their_client(client, dial_client):
    """The gateware goes on when the server program is restarted."""
    client.writes(PID0 + 0x104, [0x3CCD])
    client.close()
    assert read_by_the_next(dial_client, PID0 + 0x104) == [0x3CCD]
