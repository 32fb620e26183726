"""pyvisa-py on a socket against the simulated attenuators, with the manual's commands."""

from __future__ import annotations

import pytest

from simulated_instruments.agilent_voa import SimAgilent8156A, SimKeysightN7764A
from simulated_instruments.server import serving
from simulated_instruments.world import World

pyvisa = pytest.importorskip("pyvisa", reason="pyvisa is not installed")
pytest.importorskip("pyvisa_py", reason="pyvisa-py is not installed")


@pytest.fixture
def boxes():
    world = World(1)
    instruments = {"one": SimAgilent8156A(world, "one"), "four": SimKeysightN7764A(world, "four")}
    with serving(instruments, pace=20.0) as addresses:
        manager = pyvisa.ResourceManager("@py")
        found = {a["instrument"]: a["visa"] for a in addresses if "visa" in a}
        opened = {
            name: manager.open_resource(
                visa, read_termination="\n", write_termination="\n", timeout=10_000
            )
            for name, visa in found.items()
        }
        yield opened, instruments
        manager.close()


def test_manual_session(boxes):
    (one, four), (sim, _) = (tuple(part.values()) for part in boxes)
    assert one.query("*IDN?").startswith("HEWLETT-PACKARD,HP8156A")
    one.write(":INP:ATT 32.15")
    assert one.query("*OPC?") == "1"
    assert one.query(":INP:ATT?") == "+3.21500000E+001"
    one.write(":OUTP:STAT ON")
    assert one.query_ascii_values(":OUTP:STAT?") == [1.0]
    assert sim.models[0].loss_db(sim.world.now) == pytest.approx(32.95, abs=0.25)
    one.write(":INP:WAV 1600nm")
    assert one.query_ascii_values(":INP:WAV?") == [1.6e-6]
    one.write(":INP:ATT 61")
    assert one.query(":SYST:ERR?").startswith("-222")
    four.write(":INP4:ATT MAX;:OUTP4 1")
    assert four.query(":INP4:ATT?;:OUTP4:STAT?;:INP1:ATT?").split(";") == [
        "+4.50000000E+001",
        "1",
        "+0.00000000E+000",
    ]
