"""Drivers must refuse answers that make no sense, and stay ordinary pymeasure instruments."""

import logging

import pytest
from pymeasure.adapters import ProtocolAdapter
from pymeasure.instruments import Channel, Instrument, SCPIMixin
from pymeasure.instruments.validators import strict_discrete_set, strict_range
from pymeasure.test import expected_protocol

from labctl.adapter import ByteAdapter, Framing
from labctl.clock import VirtualClock
from labctl.errors import IdentityMismatch, InstrumentError, RequestError, ValueRefused
from labctl.instrument import LabChannel, LabInstrument, adopt
from labctl.transport.link import Link


class Device:
    """Answers questions from a table; everything else is noted."""

    def __init__(self, answers):
        self.answers = {"*IDN?": "ACME,TOY,1,2.0", "SYST:ERR?": '0,"No error"', **answers}
        self.said = []

    def feed(self, data, now):
        replies = []
        for line in data.decode().splitlines():
            self.said.append(line)
            answer = self.answers.get(line, "" if not line.endswith("?") else "0")
            if isinstance(answer, list):
                answer = answer.pop(0)
            if answer or line.endswith("?"):
                replies.append((now, answer.encode() + b"\n"))
        return replies


class Output(LabChannel):
    level = Channel.control("OUT{ch}:LEV?", "OUT{ch}:LEV %g", "Level in V.", check_set_errors=True)


class Toy(LabInstrument):
    """One of each kind of property."""

    IDENTITY = "ACME,TOY"
    SETTINGS = ("level", "mode")

    level = Instrument.control(
        "LEV?", "LEV %.12g", "Level in V.", validator=strict_range, values=(0, 10),
        check_set_errors=True,
    )  # fmt: skip
    counts = Instrument.measurement("CNT?", "Counts.", cast=int)
    on = Instrument.control("OUTP?", "OUTP %d", "On.", values={True: 1, False: 0}, map_values=True)
    locked = Instrument.measurement("LOCK?", "Locked.", cast=bool)
    mode = Instrument.control(
        "MODE?", "MODE %s", "Mode.", values={"power": "POW", "log": "LOG"}, map_values=True
    )
    range = Instrument.measurement("RANG?", "Index.", values=["low", "high"], map_values=True)
    label = Instrument.measurement("LAB?", "Label.", cast=str, maxsplit=0)
    trace = Instrument.measurement("TRAC?", "Trace in V.")
    gain = Instrument.measurement("GAIN?", "Gain.", get_process=lambda v: v * 2)
    unit = Instrument.measurement("UNIT?", "Unit.", preprocess_reply=lambda r: r.removesuffix(" V"))
    shifted = Instrument.measurement(
        "SHIF?", "Shifted.", values={"a": 1}, map_values=True, get_process=lambda v: v - 1
    )
    span = Instrument.control("SPAN?", "SPAN %g", "Span.", dynamic=True, values=(0, 1))
    slope = Instrument.control(
        "SLOP?", "SLOP %s", "Slope.", values={"up": "POS"}, map_values=True, dynamic=True
    )
    one = Instrument.ChannelCreator(Output, 1)


def toy(answers=None, cls=Toy, **kwargs):
    clock, device = VirtualClock(), Device(answers or {})
    a = ByteAdapter(lambda: Link(device, clock), clock, name="toy", framing=cls.FRAMING)
    driver = cls(a, name="toy", **kwargs)
    driver.device = device
    return driver


# ---- replies


@pytest.mark.parametrize(
    ("name", "query", "reply", "value"),
    [
        ("level", "LEV?", "1.5", 1.5),
        ("level", "LEV?", " +1.50E+00\r", 1.5),
        ("counts", "CNT?", "42", 42),
        ("on", "OUTP?", "1", True),
        ("on", "OUTP?", "0.0", False),
        ("locked", "LOCK?", "0", False),
        ("mode", "MODE?", "POW", "power"),
        ("range", "RANG?", "1", "high"),
        ("label", "LAB?", "a, b", "a, b"),
        ("trace", "TRAC?", "1,2.5,-3", [1.0, 2.5, -3.0]),
        ("gain", "GAIN?", "4", 8.0),
        ("unit", "UNIT?", "4 V", 4.0),
        ("shifted", "SHIF?", "2", "a"),
        ("slope", "SLOP?", "POS", "up"),
    ],
)
def test_replies_that_make_sense(name, query, reply, value):
    got = getattr(toy({query: reply}), name)
    assert got == value
    assert type(got) is type(value)


def test_nan_and_infinity_are_numbers():
    assert str(toy({"LEV?": "NaN"}).level) == "nan"
    assert toy({"LEV?": "9.9E37"}).level == 9.9e37
    assert toy({"LEV?": "-inf"}).level == float("-inf")


@pytest.mark.parametrize(
    ("name", "query", "reply", "wanted"),
    [
        ("level", "LEV?", "abc", "float"),
        ("level", "LEV?", "", "float"),
        ("level", "LEV?", "1.5 V", "float"),
        ("counts", "CNT?", "4.2", "int"),
        ("locked", "LOCK?", "yes", "float"),
        ("on", "OUTP?", "2", "one of 0, 1"),
        ("on", "OUTP?", "ON", "one of 0, 1"),
        ("mode", "MODE?", "VOLT", "one of LOG, POW"),
        ("mode", "MODE?", "1", "one of LOG, POW"),
        ("range", "RANG?", "-1", "one of 0, 1"),
        ("range", "RANG?", "7", "one of 0, 1"),
        ("trace", "TRAC?", "1,2,x", "float"),
        ("gain", "GAIN?", "error", "float"),
    ],
)
def test_replies_that_make_no_sense_are_errors_in_one_line(name, query, reply, wanted):
    with pytest.raises(InstrumentError) as caught:
        getattr(toy({query: reply}), name)
    text = str(caught.value)
    assert text.startswith(f"toy: {query!r} was answered with {reply!r}, not with ")
    assert wanted in text or wanted == "float"
    assert "\n" not in text


def test_pymeasure_itself_would_pass_them_on():
    """The trap that this is about exists."""

    class Lenient(Instrument):
        level = Instrument.measurement("LEV?", "Level in V.")

    with expected_protocol(Lenient, [("LEV?", "abc")], name="x", includeSCPI=False) as driver:
        assert driver.level == "abc"


def test_long_replies_are_abbreviated():
    with pytest.raises(InstrumentError) as caught:
        _ = toy({"LEV?": "x" * 5000}).level
    assert "(5000 characters)" in str(caught.value)
    assert len(str(caught.value)) < 250


def test_two_properties_on_one_query_stay_apart():
    class Both(LabInstrument):
        state = Instrument.measurement("ST?", "State.", values={"idle": 0}, map_values=True)
        raw = Instrument.measurement("ST?", "State.")

    assert toy({"ST?": "5"}, Both).raw == 5.0


def test_a_subclass_may_map_differently():
    class Newer(Toy):
        mode = Instrument.measurement("MODE?", "Mode.", values={"x": "X"}, map_values=True)

    assert toy({"MODE?": "X"}, Newer).mode == "x"
    with pytest.raises(InstrumentError):
        _ = toy({"MODE?": "X"}).mode


# ---- settings and errors


def test_setting_checks_the_error_queue():
    driver = toy()
    driver.level = 1.2345678901
    assert driver.device.said == ["LEV 1.2345678901", "SYST:ERR?"]


def test_refused_setting_raises(caplog):
    caplog.set_level(logging.CRITICAL)
    errors = ['-222,"Data out of range"', '-113,"Undefined header"', '0,"No error"']
    driver = toy({"SYST:ERR?": errors})
    with pytest.raises(
        InstrumentError,
        match=r'^toy: the instrument reports -222,"Data out of range"; -113,"Undefined header"$',
    ):
        driver.level = 1


def test_error_queue_without_end_or_sense():
    assert len(toy({"SYST:ERR?": '-1,"again"'}).check_errors()) == 50
    with pytest.raises(InstrumentError, match="'SYST:ERR\\?' was answered with 'what'"):
        toy({"SYST:ERR?": "what"}).check_errors()


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("level", 11, r"Value of 11 is not in range \[0,10\]"),
        ("level", "high", r"it must fit \(0, 10\)"),
        ("on", "perhaps", "it must be one of True, False"),
    ],
)
def test_a_refused_value_names_instrument_property_value_and_limits(name, value, reason):
    driver = toy()
    with pytest.raises(ValueError, match=f"^toy: cannot set {name} to {value!r}: {reason}$") as why:
        setattr(driver, name, value)
    assert isinstance(why.value, RequestError)
    assert driver.device.said == []


def test_dynamic_properties_still_work():
    driver = toy({"SPAN?": "5"})
    driver.span_values = (0, 10)
    driver.span = 5
    assert driver.span == 5.0


def test_channels_are_strict_too(caplog):
    caplog.set_level(logging.CRITICAL)
    driver = toy({"OUT1:LEV?": ["1.5", "x"], "SYST:ERR?": ["0", '-1,"no"', "0"]})
    assert driver.one.level == 1.5
    with pytest.raises(InstrumentError, match=r"^toy channel 1: 'OUT\{ch\}:LEV\?' was answered"):
        _ = driver.one.level
    driver.one.level = 2
    with pytest.raises(InstrumentError, match=r"^toy: the instrument reports"):
        driver.one.level = 3
    assert driver.device.said[-3:] == ["OUT1:LEV 3", "SYST:ERR?", "SYST:ERR?"]


# ---- identity, snapshot, safe state


def test_identity():
    assert toy().check_identity() == "ACME,TOY,1,2.0"
    assert toy().check_identity(",2.0$") == "ACME,TOY,1,2.0"
    with pytest.raises(IdentityMismatch, match=r"^toy: identifies as 'OTHER,X', which does not"):
        toy({"*IDN?": "OTHER,X"}).check_identity()


def test_snapshot_reads_the_listed_settings():
    driver = toy({"LEV?": "2", "MODE?": "LOG"})
    assert driver.snapshot() == {"level": 2.0, "mode": "log"}
    assert driver.device.said == ["LEV?", "MODE?"]


def test_leaving_a_with_block_makes_safe():
    class Dangerous(Toy):
        def make_safe(self):
            self.write("OUTP 0")

    with toy(cls=Dangerous) as driver:
        pass
    assert driver.device.said == ["OUTP 0"]


def test_unknown_settings_are_refused():
    with pytest.raises(RequestError, match=r"^toy: Toy has no setting 'gian'$"):
        toy(gian=3)


def test_query_delay_is_bench_time():
    driver = toy({"LEV?": "1"})
    assert driver.ask("LEV?", query_delay=3.0) == "1"
    assert driver.clock.now() == 3.0


def test_overridden_write_is_used_by_every_query():
    class Addressed(LabInstrument):
        level = Instrument.measurement("LEV?", "Level in V.")

        def write(self, command, **kwargs):
            super().write(f"@7:{command}", **kwargs)

    driver = toy({"@7:LEV?": "3"}, Addressed)
    assert driver.level == 3.0


def test_works_with_the_scpi_mixin(caplog):
    caplog.set_level(logging.CRITICAL)

    class Mixed(SCPIMixin, LabInstrument):
        pass

    driver = toy(cls=Mixed)
    assert driver.id == "ACME,TOY,1,2.0"
    driver.clear()
    assert driver.device.said[-1] == "*CLS"
    assert driver.next_error == [0.0, '"No error"']
    driver.device.answers["SYST:ERR?"] = ['-113,"Undefined header"', '0,"No error"']
    with pytest.raises(InstrumentError, match=r"the instrument reports .*Undefined header"):
        driver.check_set_errors()


def test_works_with_pymeasures_own_protocol_tests():
    pairs = [("LEV 2", None), ("SYST:ERR?", "0"), ("LEV?", "2"), ("*IDN?", "ACME,TOY")]
    with expected_protocol(Toy, pairs, name="toy") as driver:
        driver.level = 2
        assert driver.level == 2.0
        assert driver.check_identity() == "ACME,TOY"
        assert isinstance(driver.adapter, ProtocolAdapter)


def test_binary_values_are_one_transaction():
    driver = toy()
    driver.device.answers["CURV?"] = "#12AB"
    assert (
        bytes(driver.binary_values("CURV?", header_bytes=3, termination_bytes=-1, dtype="u1"))
        == b"AB"
    )


def test_an_address_is_enough(monkeypatch):
    opened = []

    def open_transport(address, clock):
        opened.append(address)
        return Link(Device({"LEV?": "4"}), VirtualClock())

    monkeypatch.setattr("labctl.transport.opening.open_transport", open_transport)
    assert Toy("tcp://toy.example:5025").level == 4.0
    assert Toy("GPIB0::3::INSTR").adapter.address == "visa://GPIB0::3::INSTR"
    assert opened == ["tcp://toy.example:5025", "visa://GPIB0::3::INSTR"]


# ---- drivers of pymeasure


class Plain(SCPIMixin, Instrument):
    """A driver as people write them for pymeasure."""

    level = Instrument.control(
        "LEV?", "LEV %g", "Level in V.", check_set_errors=True,
        validator=strict_discrete_set, values=[1, 2],
    )  # fmt: skip

    def __init__(self, adapter, name="Plain 2000", pace=1.0, **kwargs):
        super().__init__(
            adapter, name, asrl={"write_termination": "\r", "read_termination": "\r"}, **kwargs
        )
        self.pace = pace

    def shutdown(self):
        self.write("OUTP 0")
        super().shutdown()


def adopted(answers=None, driver=Plain, address="tcp://x:1", **settings):
    clock, device = VirtualClock(), Device(answers or {})
    a = ByteAdapter(lambda: Link(device, clock), clock, name="meter", address=address)
    instrument = adopt(driver)(a, name="meter", **settings)
    instrument.device = device
    return instrument


def test_adopted_driver_is_still_the_same_driver():
    driver = adopted({"LEV?": "1"}, pace=2.0)
    assert isinstance(driver, Plain)
    assert (type(driver).__name__, driver.name, driver.pace) == ("Plain", "meter", 2.0)
    driver.level = 2
    assert driver.level == 1.0
    assert driver.device.said == ["LEV 2", "SYST:ERR?", "LEV?"]


def test_adopted_driver_has_what_a_bench_expects():
    driver = adopted({"LEV?": "1"}, snapshot=["level"])
    assert driver.check_identity("TOY") == "ACME,TOY,1,2.0"
    with pytest.raises(IdentityMismatch):
        driver.check_identity("KEITHLEY")
    assert driver.snapshot() == {"level": 1.0}
    assert adopted().snapshot() == {}
    driver.make_safe()
    assert driver.device.said[-1] == "OUTP 0"
    assert driver.clock is driver.adapter.clock
    driver.wait_for(2.0)
    assert driver.clock.now() == 2.0


def test_an_adopted_driver_names_what_it_refuses():
    with pytest.raises(ValueRefused, match=r"^meter: cannot set level to 3: Value of 3 is not in"):
        adopted().level = 3


def test_adopted_driver_raises_what_pymeasure_only_logs(caplog):
    caplog.set_level(logging.CRITICAL)
    driver = adopted({"SYST:ERR?": ['-222,"Data out of range"', '0,"No error"']})
    with pytest.raises(
        InstrumentError, match=r"^meter: the instrument reports .*Data out of range"
    ):
        driver.level = 1


def test_adopted_driver_keeps_its_line_ends():
    assert adopted(address="tcp://x:1").adapter.framing == Framing()
    framing = adopted(address="serial:///dev/ttyUSB0").adapter.framing
    assert framing == Framing(write=b"\r", read=b"\r")


def test_adopted_driver_that_does_not_know_how_to_identify():
    class Mute(Instrument):
        def __init__(self, adapter, **kwargs):
            super().__init__(adapter, "mute", includeSCPI=False, **kwargs)

    driver = adopted(driver=Mute)
    assert (driver.identify(), driver.name) == ("Mute", "meter")


def test_adopting_says_what_is_wrong():
    with pytest.raises(
        RequestError, match="meter: Plain has no setting 'pase', did you mean 'pace'"
    ):
        adopted(pase=1)
    with pytest.raises(RequestError, match="no property 'levle', did you mean 'level'"):
        adopted(snapshot=["levle"])
    with pytest.raises(RequestError, match="is no driver"):
        adopt(dict)


@pytest.mark.filterwarnings("ignore:It is not known whether")
def test_a_driver_of_the_library_can_be_adopted():
    from pymeasure.instruments.keithley import Keithley2000

    driver = adopted({":CONF?": '"VOLT:DC"', ":SENS:FUNC?": '"VOLT:DC"'}, driver=Keithley2000)
    assert driver.mode == "voltage"
    assert driver.check_identity("ACME")
