"""The optical switch: bytes of the maker's programming guide, and light behind the driver."""

from __future__ import annotations

import numpy as np
import pytest
from scripted import in_front_of, scripted

from drivers.keysight_switch import KeysightSwitch
from labctl.errors import InstrumentError, RequestError
from simulated_instruments.keysight_switch import SimKeysightSwitch, SwitchModel
from simulated_instruments.world import World


def test_bytes():
    endpoint = SimKeysightSwitch(World(), "switch").connect()

    def ask(line, now=0.0):
        return b"".join(reply for _, reply in endpoint.feed(line, now))

    assert ask(b":ROUT1:CHAN1?\n") == b"A,1\n"
    assert ask(b":ROUTe1 A,5\n:ROUT?\n") == b"A,5\n"
    assert ask(b":ROUT1:CONF?\n") == b"A;1,13\n"
    assert ask(b":ROUT1 A,14\n:SYST:ERR?\n", 1.0).startswith(b"-222,")
    assert ask(b":ROUT2 A,1\n:SYST:ERR?\n", 1.0).startswith(b"-113,")


def test_driver_alone():
    switch, script = scripted(
        KeysightSwitch,
        (b":ROUT1:CHAN1 A,3\n", b""),
        (b"SYST:ERR?\n", b'+0,"No error"\n'),
        (b"*OPC?\n", b"1\n"),
        (b":ROUT1:CHAN1?\n", b"A,3\n"),
        (b":ROUT1:CHAN1?\n", b"B,x\n"),
        ports=["comb", "other", "third"],
    )
    switch.select("third")
    assert switch.port == 3
    with pytest.raises(InstrumentError, match="instead of a route"):
        _ = switch.port
    assert not script.exchanges


def test_light_follows():
    simulator = SimKeysightSwitch(World(3), "switch")
    switch = in_front_of(simulator, KeysightSwitch)
    switch.port = 4
    t = switch.clock.now()
    passing = simulator.model.transmissions(t)
    assert passing[3] == pytest.approx(10**-0.07, rel=0.05)
    assert passing[0] == pytest.approx(10**-5.57, rel=1e-6)
    assert simulator.model.transmissions(simulator.model.arrives - 1e-3)[3] == 0.0
    with pytest.raises(InstrumentError, match="switch"):
        switch.port = 14
    assert switch.port == 4


def test_dark_for_5_ms_at_each_change():
    model = SwitchModel(World(3).seed_of)
    model.advance(2.0)
    model.move(4)
    assert model.arrives == pytest.approx(2.005, abs=1e-12)
    assert model.transmissions(2.0049)[3] == 0.0
    lit = model.transmissions(2.0051)[3]
    assert lit > 0.5
    model.move(4)  # where it is: no light is lost
    assert model.transmissions(2.0051)[3] == lit


def test_ports_differ_and_each_change_a_little():
    """Losses of the ports 0.7 dB with 0.05 dB rms, from change to change 0.01 dB rms."""
    losses = []
    for seed in range(20):
        model, found = SwitchModel(World(seed).seed_of), np.empty((13, 13))
        for visit in range(13):
            for port in range(13):
                model.move((port + 1) % 13 + 1)
                found[visit, (port + 1) % 13] = -10 * np.log10(model.transmissions(1.0)).max()
        losses.append(found)
    losses = np.array(losses)  # seed, visit, port
    assert losses.mean() == pytest.approx(0.7, abs=0.01)
    assert losses.mean(1).std() == pytest.approx(0.05, rel=0.18)  # four sigma of 260 ports
    assert (losses - losses.mean(1, keepdims=True)).std() == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize("port", [0, 1.5, True])
def test_nonsense_is_refused(port):
    switch, _ = scripted(KeysightSwitch, ports=["comb"])
    with pytest.raises(RequestError, match="port"):
        switch.port = port
    with pytest.raises(RequestError, match="there are comb"):
        switch.select("elsewhere")
