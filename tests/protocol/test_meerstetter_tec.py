"""TEC controller: driver and simulator against the manufacturer's printed frames, then together.

Frames: MeCom specification 5117C ("spec"), TEC communication protocol 5136AL chapter 5 ("tec").
"""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import in_front_of
from scripted import scripted as a_driver

from drivers.meerstetter_tec import MeerstetterTec
from labctl.errors import IdentityMismatch, InstrumentError, RequestError, TransportTimeout
from simulated_instruments.faults import plan
from simulated_instruments.meerstetter_tec import SimMeerstetterTec, TecModel
from simulated_instruments.protocol.mecom import Parameter, crc16, frame
from simulated_instruments.world import World

PRINTED = [  # request, reply; without the end of the frame
    (b"#00BDE2RS9780", b"!00BDE29780"),  # spec 1.3.1
    (b"#0015AA?IF62AE", b"!0015AA8065-TEC SW G01     7199"),  # tec
    (b"#0015AB?VR0064018000", b"!0015AB000004411DBD"),
    (b"#0015AC?VR0066018125", b"!0015AC000000706F2C"),
    (b"#0015AEVS07DA01000000028F97", b"!0015AE8F97"),
    (b"#0015AB?VR03E801C21A", b"!0015AB41CD2F28D5C2"),
    (b"#0015B0VS0BB80141AE0000C482", b"!0015B0C482"),
    (b"#0015AC?VR04D2017BFE", b"!0015AC+0532DA"),
    (b"#010005?VR0068016562", b"!010005000000016815"),  # captured with the vendor's client
    (b"#010004VS0BB801000000007452", b"!0100047452"),
    (b"#010006?VR270F01DCA9", b"!010006+05C78E"),
]


def scripted(*exchanges, sequence=0, **settings):
    """Exchanges without the end of a frame; `sequence` is the number of all requests."""
    whole = ((sent + b"\r", reply + b"\r" if reply else b"") for sent, reply in exchanges)
    driver, script = a_driver(MeerstetterTec, *whole, name="tec", **settings)
    driver._number = lambda payload: sequence
    return driver, script


def simulator(**factory):
    """A simulator whose readings are fixed where the printed frames say so."""
    sim = SimMeerstetterTec(World(1), "tec")
    for number, (kind, value) in factory.items():
        sim._parameters[int(number[1:])] = Parameter(kind, lambda t, value=value: value)
    return sim


def talk(sim, *requests, now=10.0):
    endpoint = sim.connect()
    return [data for text in requests for _, data in endpoint.feed(text + b"\r", now)]


# -------------------------------------------------------------------- simulator against frames


@pytest.mark.parametrize(("request_", "reply"), PRINTED)
def test_simulator_answers_as_printed(request_, reply):
    sim = simulator(p100=(int, 1089), p102=(int, 112), p1000=(float, 25.648026))
    assert talk(sim, request_) == [reply + b"\r"]


@pytest.mark.parametrize(
    ("request_", "reply"),
    [  # captured with the vendor's client
        (b"#010002?VR03E8014EE3", b"!01000241C80000F7C2"),
        (b"#010003VS0BB80141AC00004298", b"!0100034298"),
        (b"#010007RS607D", b"!010007607D"),
        (b"#000001SP69EE", b"!00000169EE"),
    ],
)
def test_simulator_answers_as_captured(request_, reply):
    assert talk(simulator(p1000=(float, 25.0)), request_) == [reply + b"\r"]


def test_crc_of_the_specification():
    assert crc16(b"#00BDE2RS") == 0x9780
    assert crc16(b"!0115AC+05") == 0x7509


def exchange(sim, payload, address=1, now=10.0):
    (reply,) = talk(sim, frame(b"#", address, 0x77, payload)[:-1], now=now)
    assert reply.startswith(b"!%02X0077" % address)
    return reply[7:-5]


def test_values_limits_and_meta_data():
    """Spec 3.2: 25.0 is 41C80000; the limits of 3000 are -273 and 1000."""
    sim = simulator(p1000=(float, 34.99051))
    assert exchange(sim, b"VS0BB80141C80000") == b""
    assert exchange(sim, b"?VR0BB801") == b"41C80000"
    assert exchange(sim, b"?VL0BB801") == b"00" + b"C3888000" + b"447A0000"
    assert exchange(sim, b"?VM03E801") == b"00010100000001FF8000007F800000420BF648"
    assert exchange(sim, b"?VM07DA01") == b"0103010000000100000000000000030000" + b"0000"


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        (b"XX", b"+01"), (b"?VR", b"+04"), (b"?VR03E8", b"+04"), (b"?VR03E801FF", b"+04"),
        (b"?VR03e801", b"+04"), (b"VS0BB80141C8", b"+04"), (b"VS0BB80141 C8 00", b"+04"),
        (b"?VR270F01", b"+05"), (b"VS03E80141C80000", b"+06"), (b"VS006801000000FF", b"+06"),
        (b"VS0BB801447A4000", b"+07"),  # 1001
        (b"VS0BB8017FC00000", b"+07"),  # not a number
        (b"VS0BB8017F800000", b"+07"),  # infinite
        (b"VS07DA01FFFFFFFF", b"+07"), (b"VS07DA0100000004", b"+07"), (b"?VR03E802", b"+08"),
    ],
)  # fmt: skip
def test_simulator_refuses(payload, code):
    assert exchange(simulator(), payload) == code


@pytest.mark.parametrize(
    "noise",
    [
        b"#010001?VR03E8014EE4", b"#020001?VR03E8010000", b"010001?VR03E801", b"", b"#", b"#0",
        b"#01", b"#010001", b"!010001?VR03E8014EE3", b"#0100ZZ?VR03E8014EE3",
    ],
)  # fmt: skip
def test_simulator_says_nothing_to_damaged_or_foreign_frames(noise):
    assert talk(simulator(), noise) == []
    assert len(talk(simulator(), noise, b"#010005?VR0068016562")) == 1


def test_addresses():
    sim = simulator()
    assert talk(sim, frame(b"#", 2, 1, b"?IF")[:-1]) == []
    assert talk(sim, frame(b"#", 255, 1, b"VS0803010000000A")[:-1]) == []  # obeyed in silence
    assert talk(sim, frame(b"#", 1, 1, b"?IF")[:-1]) == []
    assert exchange(sim, b"?VR080301", address=10) == b"0000000A"
    assert exchange(sim, b"?VR080301", address=0) == b"0000000A"


def test_bytes_may_come_in_any_portions():
    endpoint = simulator().connect()
    replies = []
    for byte in b"noise#010005?VR0068016562\r#010005?VR0068016562\r":
        replies += endpoint.feed(bytes([byte]), 1.0)
    assert [data for _, data in replies] == [b"!010005000000016815\r"] * 2


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(max_size=40) | st.text("#!0123456789ABCDEF?VRSM\r").map(str.encode)))
def test_byte_soup(chunks):
    endpoint = simulator().connect()
    for chunk in chunks:
        endpoint.feed(chunk, 1.0)
    assert endpoint.feed(b"\r#010005?VR0068016562\r", 2.0)[-1][1] == b"!010005000000016815\r"


def test_flash_and_reset():
    """Changes go to flash after 0.5 s, unless saving is disabled; a reset brings back the flash."""
    sim = simulator()
    assert exchange(sim, b"VS0BB80141C00000", now=10.0) == b""  # 24.0
    assert exchange(sim, b"?VR006D01", now=10.3) == b"00000001"
    assert exchange(sim, b"?VR006D01", now=10.6) == b"00000000"
    assert exchange(sim, b"VS006C0100000001", now=11.0) == b""
    assert exchange(sim, b"VS0BB80141B80000", now=11.0) == b""  # 23.0
    assert exchange(sim, b"?VR006D01", now=20.0) == b"00000002"
    assert exchange(sim, b"RS", now=20.0) == b""
    assert talk(sim, frame(b"#", 1, 1, b"?IF")[:-1], now=20.5) == []
    assert exchange(sim, b"?VR0BB801", now=22.0) == b"41C00000"
    assert exchange(sim, b"?VR006C01", now=22.0) == b"00000000"
    assert exchange(sim, b"VS0BB80141B00000", now=30.0) == b""  # 22.0, and at once to flash
    assert exchange(sim, b"SP", now=30.1) == b""
    assert exchange(sim, b"RS", now=30.2) == b""
    assert exchange(sim, b"?VR0BB801", now=32.0) == b"41B00000"


def test_what_was_changed_in_memory_is_saved_when_saving_is_allowed_again():
    sim = simulator()
    exchange(sim, b"VS006C0100000001", now=11.0)
    exchange(sim, b"VS0BB80141B80000", now=11.0)
    assert exchange(sim, b"?VR006D01", now=13.0) == b"00000002"
    assert sim.flash[3000] == 25.0
    exchange(sim, b"VS006C0100000000", now=14.0)
    assert exchange(sim, b"?VR006D01", now=14.2) == b"00000001"
    assert exchange(sim, b"?VR006D01", now=14.6) == b"00000000"
    assert sim.flash[3000] == 23.0


def test_gains_reach_the_loop():
    """Kp is in % of the Peltier element's 1.5 A per degC."""
    sim = simulator()
    for payload in (b"VS0BC20142480000", b"VS0BC30140A00000", b"VS0BC4013F000000"):
        assert exchange(sim, payload) == b""  # 50 %/degC, 5 s, 0.5 s
    control = sim.model.control
    assert (control.kp, control.ki, control.td) == (0.75, 0.15, 0.5)


def test_emergency_stop_is_an_error_until_reset():
    sim = simulator()
    exchange(sim, b"VS07DA0100000001")
    assert exchange(sim, b"?VR006801") == b"00000002"
    exchange(sim, b"ES")
    assert exchange(sim, b"?VR006801") == b"00000003"
    assert exchange(sim, b"?VR006901") == b"0000000B"
    assert exchange(sim, b"?VR03FC01") == b"00000000"  # no current
    exchange(sim, b"RS")
    assert exchange(sim, b"?VR006901", now=20.0) == b"00000000"


def test_live_and_static_current():
    sim = simulator()
    for payload in (b"VS07D00100000001", b"VS07DA0100000002", b"VSC351013F000000"):
        assert exchange(sim, payload) == b""
    assert exchange(sim, b"?VR03FC01") == b"00000000"  # live, but not enabled
    assert exchange(sim, b"VSC3500100000001") == b""
    assert exchange(sim, b"?VR03FC01") == b"3F000000"
    exchange(sim, b"VS07EE013E800000")  # limit 0.25 A
    assert exchange(sim, b"?VR03FC01") == b"3E800000"
    for payload in (b"VS07D00100000000", b"VS07E401BE000000", b"VS07DA0100000001"):
        assert exchange(sim, payload) == b""
    assert exchange(sim, b"?VR03FC01") == b"BE000000"


def test_a_world_may_have_set_it_up():
    world = World(1)
    model = world.part("tec", lambda: TecModel(world.seed_of, "tec"))
    model.tell(0.0, regulating=True, target=31.0, kp=0.3, ki=0.01, limit=1.0, ramp=0.5)
    control = model.control
    sim = SimMeerstetterTec(world, "tec")
    assert model.control.target == 31.0
    assert model.control.kp == pytest.approx(control.kp)
    assert model.control.ki == pytest.approx(control.ki)
    assert (model.control.limit, model.control.ramp, model.control.regulating) == (1.0, 0.5, True)
    assert exchange(sim, b"?VR006801") == b"00000002"


def test_unknown_port():
    with pytest.raises(ValueError, match="tec has no port 'x', only serial, tcp"):
        simulator().connect("x")


# -------------------------------------------------------------------- driver against frames


def test_driver_reads_and_writes_as_printed():
    tec, script = scripted((b"#0015AB?VR03E801C21A", b"!0015AB41CD2F28D5C2"), sequence=0x15AB)
    assert tec.temperature == pytest.approx(25.648026, abs=1e-6)
    tec, script = scripted((b"#0015AC?VR0066018125", b"!0015AC000000706F2C"), sequence=0x15AC)
    assert tec.serial_number == 112
    tec, script = scripted(
        (b"#0015B0VS0BB80141AE0000C482", b"!0015B0C482"), sequence=0x15B0, spare_flash=False
    )
    tec.target = 21.75
    assert not script.exchanges


def test_a_question_has_always_the_same_number():
    """A replay leaves out what interlocks ask in between."""
    bench = Bench()
    sent = []
    send = bench.tec.adapter.connection.send
    bench.tec.adapter._send = lambda data: (sent.append(data), send(data))[1]
    for name in ("temperature", "current", "temperature"):
        getattr(bench.tec, name)
    assert sent[0] == sent[2]
    assert sent[0][3:7] != sent[1][3:7]


def test_zero_has_all_its_digits():
    tec, script = scripted(
        (b"#010004VS0BB801000000007452", b"!0100047452"),
        sequence=4, device_address=1, spare_flash=False, minimum=-10.0,
    )  # fmt: skip
    tec.target = 0.0
    assert not script.exchanges


def test_driver_names_the_reason_of_a_refusal():
    tec, _ = scripted((b"#0015AC?VR04D2017BFE", b"!0015AC+0532DA"), sequence=0x15AC)
    with pytest.raises(InstrumentError, match=r"tec: parameter 1234 .* \+05: .*no such parameter"):
        tec.get_parameter(1234, int)


GOOD = (b"#0015AB?VR03E801C21A", b"!0015AB41CD2F28D5C2")
DAMAGED = [
    b"!0015AB41CD2F29D5C2",  # a digit
    b"!0015AB41CD2F28D5C3",  # the CRC
    b"!0015AC41CD2F28" + b"%04X" % crc16(b"!0015AC41CD2F28"),  # another number
    b"\xff\x00garbage",
    b"!0015AB",
    b"!0015ABC21A",  # accepted, although it was a question: no value
]


@pytest.mark.parametrize("reply", [reply for reply in DAMAGED if reply.isascii()][:-1])
def test_a_damaged_answer_is_asked_for_once_more(reply):
    tec, script = scripted((GOOD[0], reply), GOOD, sequence=0x15AB)
    assert tec.temperature == pytest.approx(25.648026, abs=1e-6)
    assert not script.exchanges


def test_a_lost_answer_is_asked_for_once_more():
    tec, script = scripted((GOOD[0], b""), GOOD, sequence=0x15AB)
    assert tec.temperature == pytest.approx(25.648026, abs=1e-6)
    assert not script.exchanges


@pytest.mark.parametrize("reply", DAMAGED)
def test_twice_damaged_is_one_line(reply):
    tec, _ = scripted((GOOD[0], reply), (GOOD[0], reply), sequence=0x15AB)
    with pytest.raises(InstrumentError) as caught:
        _ = tec.temperature
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith("tec: ")


def test_silence_is_one_line():
    tec, _ = scripted((GOOD[0], b""), (GOOD[0], b""), sequence=0x15AB)
    with pytest.raises(TransportTimeout, match=r"^tec: [^\n]*0015AB\?VR03E801[^\n]*$"):
        _ = tec.temperature


def test_an_answer_of_another_device_on_the_bus_is_not_taken():
    asked = b"#010005?VR0068016562"
    foreign = frame(b"!", 2, 5, b"00000003")[:-1]
    tec, script = scripted(
        (asked, foreign), (asked, b"!010005000000016815"), sequence=5, device_address=1
    )
    assert tec.status == 1
    assert not script.exchanges


def test_an_acceptance_must_repeat_the_crc_of_the_request():
    wrong = (b"#0015B0VS0BB80141AE0000C482", b"!0015B0C483")
    tec, _ = scripted(wrong, wrong, sequence=0x15B0, spare_flash=False)
    with pytest.raises(InstrumentError, match="wrong CRC"):
        tec.target = 21.75


# -------------------------------------------------------------------- together


class Bench:
    def __init__(self, faults=None, **driver):
        self.sim = SimMeerstetterTec(World(1), "tec")
        table = plan(faults, 1) if faults else None
        self.tec = in_front_of(self.sim, MeerstetterTec, table, **driver)
        self.clock = self.tec.adapter.clock


def test_identity_and_snapshot():
    tec = Bench().tec
    assert tec.check_identity().startswith("TEC-1091, ")
    assert "8065-TEC SW G01" in tec.identify()
    assert tec.snapshot() == {
        "target": 25.0, "output": False, "ramp": 1.0, "kp": pytest.approx(100 / 3),
        "ti": 10.0, "td": 0.0, "current_limit": 1.5,
    }  # fmt: skip
    with pytest.raises(IdentityMismatch):
        tec.check_identity("LDD")


def test_settling():
    bench = Bench()
    bench.tec.settle(27.5)
    assert 20.0 < bench.clock.now() < 100.0
    assert bench.tec.temperature == pytest.approx(27.5, abs=0.01)
    assert bench.tec.nominal == 27.5
    assert bench.tec.current == pytest.approx(0.125, abs=0.03)
    assert bench.tec.voltage == pytest.approx(0.25, abs=0.06)
    assert bench.tec.resistance == pytest.approx(8974, rel=2e-3)
    assert bench.tec.stable
    assert bench.tec.status == 2
    bench.tec.make_safe()
    assert bench.tec.output is True  # a chip that is let go drifts
    bench.tec.output = False
    assert bench.tec.stable is False


def test_targets_stay_in_memory_unless_asked_for():
    bench = Bench()
    bench.tec.target = 26.0
    bench.clock.sleep(1.0)
    assert bench.sim.flash[3000] == 25.0
    assert bench.tec.get_parameter(109, int) == 2
    bench = Bench(spare_flash=False)
    bench.tec.target = 26.0
    bench.clock.sleep(1.0)
    assert bench.tec.get_parameter(109, int) == 0
    assert bench.sim.flash[3000] == 26.0


def test_what_cannot_be_reached_in_time_is_one_line():
    bench = Bench(maximum=100.0)
    with pytest.raises(TransportTimeout, match=r"tec: at 5\d\.\d+ degC instead of 90 degC .*1.5"):
        bench.tec.settle(90.0, timeout=200.0)


@pytest.mark.parametrize("celsius", [60.01, 9.99, float("nan"), float("inf"), "warm", None])
def test_targets_outside_the_limits_are_refused_before_anything_is_sent(celsius):
    bench = Bench()
    with pytest.raises(RequestError, match=r"tec: .* is outside 10 to 60 degC"):
        bench.tec.target = celsius
    assert bench.tec.target == 25.0


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e39, "x", None])
def test_values_that_no_parameter_can_have(value):
    with pytest.raises(RequestError, match="tec: parameter 3010 cannot be"):
        Bench().tec.kp = value


def test_values_that_the_device_refuses():
    with pytest.raises(InstrumentError, match=r"tec: parameter 3003 = 100.0 was refused with \+07"):
        Bench().tec.ramp = 100.0
    with pytest.raises(InstrumentError, match=r"\+08: this model has no such channel"):
        _ = Bench(channel=2).tec.temperature


@pytest.mark.parametrize(
    "settings", [{"device_address": 255}, {"channel": 3}, {"minimum": 70.0}, {"surprise": 1}]
)
def test_wrong_settings(settings):
    with pytest.raises(RequestError, match="tec: "):
        Bench(**settings)


@pytest.mark.parametrize("kind", ["drop", "garble", "truncate", "double", "late"])
def test_single_faults_on_the_wire_are_survived(kind):
    bench = Bench({kind: [3, 6]})
    values = [bench.tec.get_parameter(number, int) for number in (100, 103, 104, 100, 103, 104)]
    assert values == [1091, 500, 1, 1091, 500, 1]
    bench.tec.ramp = 0.5
    assert bench.tec.ramp == 0.5


def test_output_on_means_regulation_whatever_drove_the_output_before():
    bench = Bench()
    bench.tec.set_parameter(2000, int, 0)
    bench.tec.output = True
    assert bench.sim.model.control.regulating


def test_an_error_of_the_device_is_said():
    bench = Bench()
    bench.tec.request("ES")
    with pytest.raises(InstrumentError, match="tec: does not regulate, error 11"):
        bench.tec.output = True
    bench.tec.reset()
    bench.clock.sleep(2.0)
    bench.tec.output = True
    assert bench.tec.status == 2


@settings(max_examples=50, deadline=None)
@given(st.floats(width=32, min_value=-200, max_value=900))
def test_floats_go_through_unchanged(value):
    tec = Bench(minimum=-273.0, maximum=1000.0).tec
    tec.target = value
    assert struct.pack(">f", tec.target) == struct.pack(">f", value)
