"""The maker's client `pulsestreamer`, unmodified, against the simulated Pulse Streamer.

Its ports are hard coded, so the simulator listens on the maker's ports of a loopback address that
nothing else uses.
"""

from __future__ import annotations

import time

import pytest

from simulated_instruments.physics.pulse_streamer import Level
from simulated_instruments.pulse_streamer import SimPulseStreamer
from simulated_instruments.server import serving
from simulated_instruments.world import World

pulsestreamer = pytest.importorskip(
    "pulsestreamer", reason="pulsestreamer is not installed: pip install .[test]"
)
pytest.importorskip("tinyrpc", reason="tinyrpc is not installed")

HOST = "127.0.0.82"


@pytest.fixture
def sim():
    return SimPulseStreamer(World(1), "pulses")


@pytest.fixture
def client(sim):
    try:
        running = serving({"pulses": sim}, host=HOST, vendor_ports=True)
        running.__enter__()
    except (OSError, ValueError) as error:
        pytest.skip(f"cannot listen on the maker's ports of {HOST}: {error}")
    try:
        yield pulsestreamer.PulseStreamer(HOST)
    finally:
        running.__exit__(None, None, None)


def test_identity_and_settings(client):
    assert client.getSerial() == "00:26:32:f0:3b:29"
    assert client.getFirmwareVersion() == "2.0.3"
    client.setTrigger(pulsestreamer.TriggerStart.HARDWARE_RISING, pulsestreamer.TriggerRearm.MANUAL)
    assert client.getTriggerStart() is pulsestreamer.TriggerStart.HARDWARE_RISING
    assert client.getTriggerRearm() is pulsestreamer.TriggerRearm.MANUAL
    client.selectClock(pulsestreamer.ClockSource.EXT_10MHZ)
    assert client.getClock() is pulsestreamer.ClockSource.EXT_10MHZ
    client.setHostname("pump-probe")
    assert client.getHostname() == "pump-probe"
    assert client.getUnderflow() == 0
    assert not client.hasSequence()


def test_a_streamed_sequence_is_played(client, sim):
    client.setTrigger(pulsestreamer.TriggerStart.SOFTWARE)
    sequence = client.createSequence()
    sequence.setDigital(0, [(100, 0), (36, 1), (364, 0)])
    sequence.setDigital(1, [(286, 0), (47, 1), (167, 0)])
    sequence.setAnalog(0, [(96, 0), (48, 0.5), (356, 0)])
    client.stream(sequence, 3, pulsestreamer.OutputState([2], 0.0, -0.25))
    assert client.hasSequence()
    state = client.getStreamingState()
    assert state["StateCondition"] is pulsestreamer.StateCondition.WAIT_FOR_START
    pattern = sim.model.pattern
    assert (pattern.runs, pattern.length_ns) == (3, 500)
    assert pattern.pulses_ns(0) == [(100, 136)]
    assert pattern.pulses_ns(1) == [(286, 333)]
    assert max(pattern.volts(0)) == pytest.approx(0.5, abs=1e-4)
    client.startNow()
    give_up = time.monotonic() + 20.0
    while not client.hasFinished():
        assert time.monotonic() < give_up, "never over"
    assert sim.model.constant == Level(4, 0, -8192)


def test_slots(client, sim):
    assert client.upload(0, [(1000, [1], 0, 0)], 1) == 0
    assert client.upload(1, [(2000, [3], 1, -1)], 5) == 0
    assert sim.model.slots[1].digital(3).tolist() == [1]
    assert sim.model.slots[1].runs == 5
    client.start(0, 2)
    give_up = time.monotonic() + 20.0
    while not client.hasFinished():
        assert time.monotonic() < give_up, "never over"
    assert client.isReadyForData(0)


def test_constant_and_errors(client, sim):
    client.constant(pulsestreamer.OutputState([0, 3], 1.0, 0.0))
    assert sim.model.constant == Level(9, 32767, 0)
    client.constant()
    assert sim.model.constant == Level()
    with pytest.raises(Exception, match="Method not found"):
        client.proxy.sing()
    client.reset()
    assert client.getStreamingState()["State"] is pulsestreamer.State.IDLING
