"""Red Pitaya's SCPI server: bytes of its documentation, records, pins, and the driver."""

from __future__ import annotations

import numpy as np
import pytest
from scripted import scripted

from drivers.redpitaya_scpi import RedPitayaDigitiser
from labctl.adapter import ByteAdapter
from labctl.clock import VirtualClock
from labctl.errors import InstrumentError, RequestError
from labctl.transport.link import Link
from simulated_instruments.physics.digitiser import DigitiserModel
from simulated_instruments.redpitaya_scpi import SimRedPitayaScpi
from simulated_instruments.world import World


def ramp(start, spacing, count, rng):
    """IN1 rises by one step per sample; the others hold 0.25, -0.5 and 2 V."""
    volts = np.zeros((count, 4), dtype=np.float32)
    volts[:, 0] = (np.arange(count) % 8000) / 8192
    volts[:, 1:] = 0.25, -0.5, 2.0
    return volts


class Bench:
    def __init__(self):
        self.world = World(2)
        self.model = DigitiserModel(self.world.seed_of, "digitiser", ramp)
        self.world.parts["digitiser"] = self.model
        self.sim = SimRedPitayaScpi(self.world, "digitiser")
        self.clock = VirtualClock()
        adapter = ByteAdapter(
            lambda: Link(self.sim.connect(), self.clock), self.clock, name="digitiser",
            framing=RedPitayaDigitiser.FRAMING,
        )  # fmt: skip
        self.board = RedPitayaDigitiser(adapter, "digitiser")


@pytest.fixture
def bench():
    return Bench()


def talk(endpoint, *lines: bytes, now: float = 0.0) -> list[bytes]:
    return [reply for line in lines for _, reply in endpoint.feed(line + b"\r\n", now) if reply]


def test_bytes_of_the_documentation(bench):
    e = bench.sim.connect()
    assert talk(e, b"ACQ:RST", b"ACQ:DEC 8", b"ACQ:DEC?") == [b"8\r\n"]
    assert talk(e, b"ACQ:DEC:Factor 1024", b"ACQ:DEC?") == [b"1024\r\n"]
    assert talk(e, b"ACQ:BUF:SIZE?", b"ACQ:AVG?") == [b"16384\r\n", b"ON\r\n"]
    assert talk(e, b"ACQ:AVG OFF", b"ACQ:AVG?") == [b"OFF\r\n"]
    assert talk(e, b"ACQ:SOUR4:GAIN LV", b"ACQ:SOUR4:GAIN?") == [b"LV\r\n"]
    assert talk(e, b"ACQ:SOUR5:GAIN?", b"SYST:ERR?")[0].startswith(b"-114")
    assert talk(e, b"ACQ:DEC 1000", b"SYST:ERR?")[0].startswith(b"-222")
    assert talk(e, b"ACQ:DEC 1024", b"ACQ:TRig:DLY 8192", b"ACQ:TRig:DLY?") == [b"8192\r\n"]
    assert talk(e, b"ACQ:TRig:LEV 0.5", b"ACQ:TRig:LEV?") == [b"0.5\r\n"]
    assert talk(e, b"ACQ:START", b"ACQ:TRig:STAT?") == [b"WAIT\r\n"]
    assert talk(e, b"ACQ:TRig NOW", b"ACQ:TRig:STAT?", b"ACQ:TRig:FILL?") == [b"TD\r\n", b"0\r\n"]
    assert talk(e, b"ACQ:TRig:FILL?", now=1.0) == [b"1\r\n"]
    assert talk(e, b"ACQ:DATA:FORMAT ASCII", b"ACQ:SOUR1:DATA:Old:N? 3", now=1.0) == [
        b"{0.000000,0.000122,0.000244}\r\n"
    ]
    assert talk(e, b"ACQ:DATA:Units RAW", b"ACQ:SOUR1:DATA:STArt:N? 2,3", now=1.0) == [
        b"{2,3,4}\r\n"
    ]
    assert talk(e, b"ACQ:DATA:FORMAT BIN", b"ACQ:SOUR1:DATA:Old:N? 3", now=1.0) == [
        b"#16" + b"\0\0\0\1\0\2" + b"\r\n"
    ]
    (block,) = talk(e, b"ACQ:SOUR3:DATA?", now=1.0)
    assert block[:7] == b"#532768"
    assert np.array_equal(np.frombuffer(block[7:-2], ">i2"), np.full(16384, -4096))
    (volts,) = talk(e, b"ACQ:DATA:Units VOLTS", b"ACQ:SOUR2:DATA:Old:N? 2", now=1.0)
    assert np.frombuffer(volts[3:-2], ">f4") == pytest.approx([0.25, 0.25])


def test_pins_and_slow_outputs(bench):
    e = bench.sim.connect()
    assert talk(e, b"DIG:PIN:DIR OUT,DIO0_P", b"DIG:PIN DIO0_P,1", b"DIG:PIN? DIO0_P") == [b"1\r\n"]
    assert talk(e, b"DIG:PIN DIO5_N,1", b"SYST:ERR?")[0].startswith(b"-221")  # still an input
    assert talk(e, b"ANALOG:PIN AOUT0,1.2", b"ANALOG:PIN? AOUT0") == [b"1.2\r\n"]
    assert talk(e, b"ANALOG:PIN AOUT0,1.9", b"SYST:ERR?")[0].startswith(b"-222")
    bench.board.set_pin("DIO2_P", True)
    assert bench.model.pins["DIO2_P"]
    bench.board.set_output(1, 0.6)
    assert bench.model.outputs[1] == pytest.approx(0.6)
    with pytest.raises(RequestError, match=r"slow outputs are 0 to 3 with 0 to 1.8 V"):
        bench.board.set_output(0, 1.81)
    with pytest.raises(InstrumentError, match="-224"):
        bench.board.set_pin("DIO9_P", True)


def test_records_come_whole_and_cut_where_the_converter_ends(bench):
    bench.board.configure(1024)
    codes = bench.board.acquire()
    assert codes.shape == (16384, 4)
    assert np.array_equal(codes[:8000, 0], np.arange(8000))
    assert codes[0, 1:].tolist() == [2048, -4096, 8191]
    assert bench.clock.now() == pytest.approx(16384 * 1024 / 125e6, rel=0.05)
    assert bench.board.average_skipped_samples is False
    assert bench.board.snapshot()["board"] == "STEMlab 125-14 4-Input"


def test_driver_speaks_the_documentation_s_bytes():
    def record(code: int) -> bytes:
        return b"#532768" + code.to_bytes(2, "big", signed=True) * 16384 + b"\r\n"

    settings = [
        b"ACQ:RST", b"ACQ:DEC 1024", b"ACQ:AVG OFF", b"ACQ:DATA:Units RAW", b"ACQ:DATA:FORMAT BIN",
        *(b"ACQ:SOUR%d:GAIN LV" % n for n in (1, 2, 3, 4)), b"ACQ:TRig:DLY 8192",
    ]  # fmt: skip
    board, script = scripted(
        RedPitayaDigitiser,
        (b"*IDN?\r\n", b"REDPITAYA,INSTR2023,0,01-02\r\n"),
        *((line + b"\r\n", b"") for line in settings),
        (b"SYST:ERR?\r\n", b'0,"No error"\r\n'),
        (b"ACQ:START\r\n", b""),
        (b"ACQ:TRig NOW\r\n", b""),
        (b"ACQ:TRig:FILL?\r\n", b"0\r\n"),
        (b"ACQ:TRig:FILL?\r\n", b"1\r\n"),
        *(
            (b"ACQ:SOUR%d:DATA?\r\n" % n, record(code))
            for n, code in enumerate((1, -1, 8191, -8192), 1)
        ),
        (b"DIG:PIN:DIR OUT,DIO0_P\r\n", b""),
        (b"DIG:PIN DIO0_P,1\r\n", b""),
        (b"SYST:ERR?\r\n", b'0,"No error"\r\n'),
    )
    board.check_identity()
    board.configure(1024)
    codes = board.acquire()
    assert codes.shape == (16384, 4)
    assert codes[0].tolist() == codes[-1].tolist() == [1, -1, 8191, -8192]
    board.set_pin("DIO0_P", True)
    assert not script.exchanges


@pytest.mark.parametrize(
    ("steps", "code"),
    [(0.4, 0), (0.6, 1), (-0.4, 0), (-0.6, -1), (8190.6, 8191), (8300, 8191), (-8300, -8192)],
)
def test_the_converter_rounds_to_the_nearest_step(steps, code):
    model = DigitiserModel(
        World(1).seed_of,
        source=lambda start, spacing, count, rng: np.full((count, 4), steps / 8192, np.float32),
    )
    model.averaging = False
    model.start()
    model.advance(1.0)
    model.trigger()
    model.advance(2.0)
    assert model.codes()[-1].tolist() == [code] * 4


def test_it_is_called_as_in_the_bench_file(bench):
    assert bench.board.name == "digitiser"


def test_texts_are_texts(bench):
    assert bench.board.board_name == "STEMlab 125-14 4-Input"
    bench.board.acq_units = "RAW"
    assert bench.board.acq_units == "RAW"
    with pytest.raises(RequestError, match="the units must be one of RAW, VOLTS, got 'mV'"):
        bench.board.acq_units = "mV"


def test_trigger_settings_are_not_cut_to_their_limits(bench):
    bench.board.acq_trigger_delay_samples = -100
    bench.board.acq_trigger_level = 0.123456
    assert (bench.board.acq_trigger_delay_samples, bench.board.acq_trigger_level) == (
        -100,
        0.123456,
    )
    with pytest.raises(RequestError, match="trigger delay in samples must be from -8192 to 8192"):
        bench.board.acq_trigger_delay_samples = 9000
    with pytest.raises(RequestError, match="trigger level in V must be from -20 to 20, got 21"):
        bench.board.acq_trigger_level = 21
    with pytest.raises(InstrumentError, match="-222"):
        bench.board.acq_trigger_level = 5  # more than the range of the inputs, +-1 V


def test_decimations():
    assert RedPitayaDigitiser.decimation_for(5e-6) == 1024
    assert RedPitayaDigitiser.decimation_for(8.192e-6) == 1024
    assert RedPitayaDigitiser.decimation_for(1e-9) == 1
    with pytest.raises(RequestError, match="slower than the digitiser can"):
        RedPitayaDigitiser.decimation_for(1e-3)


def test_wrong_requests(bench):
    with pytest.raises(RequestError, match="power of two up to 65536, got 1000"):
        bench.board.configure(1000)
    bench.board.configure(8)
    bench.sim.model.format = "ASCII"
    with pytest.raises(InstrumentError, match="no data block"):
        bench.board.acquire()
    bench.board.configure(8)
    bench.model.trigger = lambda: None  # a board that never triggers
    with pytest.raises(InstrumentError, match="'ACQ:TRig:FILL\\?' still says 0 after"):
        bench.board.acquire()
    bench.board.make_safe()
