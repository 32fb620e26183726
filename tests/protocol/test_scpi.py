"""SCPI layer: messages, headers, data, status and overlapped operations.

Expected answers are those of IEEE 488.2 and SCPI-99, or bytes that independent clients were seen
to exchange with real instruments.
"""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labctl.clock import VirtualClock
from labctl.transport.link import Link
from simulated_instruments.protocol.scpi import (
    AfterPending,
    Choice,
    Number,
    ScpiError,
    ScpiInstrument,
    Switch,
    scpi,
)
from simulated_instruments.protocol.scpi_syntax import number, string
from simulated_instruments.world import World


class Box:
    """A model with nothing but attributes."""

    def __init__(self) -> None:
        self.centre = 1e6
        self.count = 1
        self.on = False
        self.shape = "SIN"
        self.levels = [0.0, 0.0, 0.0]
        self.data: bytes | str = b""
        self.label = ""


class Toy(ScpiInstrument):
    identity = "MAKER,TOY,1,0.1"
    SETTINGS: ClassVar = (
        Number("[:SENSe]:FREQuency:CENTer", "centre", 0.0, 1e9, 1e6, "HZ"),
        Number("[:SENSe]:FREQuency:SPAN", "count", 0, 1e9, 1e6, "HZ"),
        Number("TRIGger:COUNt", "count", 1, 100, 1, integer=True),
        Switch("OUTPut[:STATe]", "on"),
        Choice("SOURce:FUNCtion[:SHAPe]", "shape", ("SINusoid", "SQUare")),
    )

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model = Box()

    @scpi("SOURce{n}:LEVel")
    def set_level(self, n: int, data: str) -> None:
        if not 1 <= n <= 3:
            raise ScpiError(-114)
        self.model.levels[n - 1] = self.number(data, -10.0, 10.0, 0.0, "V")

    @scpi("SOURce{n}:LEVel?")
    def level(self, n: int) -> float:
        return float(self.model.levels[n - 1])

    @scpi("TRACe:DATA", block=True)
    def set_data(self, name: str, data: Any) -> None:
        self.model.data = data

    @scpi("TRACe:DATA?")
    def get_data(self) -> bytes:
        return b"#15ab\ncd"

    @scpi("DISPlay:TEXT")
    def set_text(self, data: str) -> None:
        self.model.label = string(data)

    @scpi("SWEep")
    def sweep(self, seconds: str) -> None:
        self.operation_end = self.world.now + number(seconds, "S")

    @scpi("READ?")
    def read(self) -> AfterPending:
        self.operation_end = self.world.now + 2.0
        return AfterPending(lambda: "42")

    @scpi("FAIL")
    def fail(self) -> None:
        raise ValueError("not like this")

    def operation_condition(self) -> int:
        return 8 if self.operation_end > self.world.now else 0


class Wire:
    """A client in virtual time."""

    def __init__(self, instrument: ScpiInstrument | None = None) -> None:
        self.instrument = instrument or Toy(World(), "toy")
        self.clock = VirtualClock()
        self.link = Link(self.instrument.connect(), self.clock)

    def say(self, text: str | bytes) -> None:
        data = text if isinstance(text, bytes) else text.encode("latin-1")
        self.link.send(data + b"\n")

    def hear(self, timeout: float = 1.0) -> str:
        return self.link.receive(timeout).decode("latin-1")

    def ask(self, text: str | bytes, timeout: float = 1.0) -> str:
        self.say(text)
        return self.hear(timeout).rstrip("\n")

    def errors(self) -> list[int]:
        codes = []
        while (entry := self.ask("SYST:ERR?")) != '+0,"No error"':
            codes.append(int(entry.partition(",")[0]))
        return codes


@pytest.fixture
def wire() -> Wire:
    return Wire()


@pytest.fixture
def box(wire: Wire) -> Box:
    return wire.instrument.model


# ------------------------------------------------------------------ headers


@pytest.mark.parametrize(
    "header",
    [
        "FREQ:CENT",
        ":FREQ:CENT",
        "SENS:FREQ:CENT",
        ":SENSe:FREQuency:CENTer",
        "sense:frequency:center",
        "sEnS:fReQuEnCy:cEnT",
    ],
)
def test_short_long_optional_and_any_case_are_the_same_header(wire, box, header):
    wire.say(f"{header} 2.5E6")
    assert box.centre == 2.5e6
    assert wire.ask(f"{header}?") == "+2.500000000000E+06"
    assert wire.errors() == []


@pytest.mark.parametrize("header", ["FREQU:CENT", "FREQ", "CENT", "SENS:CENT", "FREQ:CENTE", "X:Y"])
def test_other_abbreviations_are_undefined(wire, header):
    wire.say(f"{header} 1")
    assert wire.ask("SYST:ERR?") == f'-113,"Undefined header;{header}"'


def test_numeric_suffix_defaults_to_one_and_is_checked(wire, box):
    wire.say("SOUR2:LEV 1.5;:SOURCE:LEVEL 2;:SOUR3:LEV 3")
    assert box.levels == [2.0, 1.5, 3.0]
    wire.say("SOUR4:LEV 1")
    assert wire.errors() == [-114]
    wire.say("FREQ2:CENT 1")
    assert wire.errors() == [-113]


def test_header_path_continues_until_a_colon_and_ignores_common_commands(wire, box):
    reply = wire.ask("SENS:FREQ:CENT 3;*ESE 4;SPAN 7;CENT?;SPAN?;:OUTP ON;:OUTP?;*ESE?")
    assert reply == "+3.000000000000E+00;+7.000000000000E+00;1;4"
    wire.say("SENS:FREQ:CENT 1;OUTP OFF")  # means SENS:FREQ:OUTP
    assert wire.ask("SYST:ERR?") == '-113,"Undefined header;SENS:FREQ:OUTP"'
    assert box.on


def test_path_starts_at_the_root_in_every_message(wire):
    wire.say("SENS:FREQ:CENT 1")
    wire.say("SPAN 2")
    assert wire.errors() == [-113]


@pytest.mark.parametrize("text", ["*IDN?", " *IDN? ", "*idn?\r", "*IDN?;", ";;*IDN?", "\t*IDN?"])
def test_white_space_line_ends_and_empty_units_do_not_matter(wire, text):
    assert wire.ask(text) == "MAKER,TOY,1,0.1"
    assert wire.errors() == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("*IDN?5", -111),
        ("FREQ:CENT=5", -101),
        ("FREQ:CENT,5", -101),
        ("5", -101),
        ("#", -101),
        (":", -102),
        ("*", -102),
        ("\xff\xfe", -101),
    ],
)
def test_broken_headers(wire, text, code):
    wire.say(text)
    assert wire.errors() == [code]


# ------------------------------------------------------------------ data


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("10 MHZ", 1e7),
        ("100kHz", 1e5),
        ("1e5", 1e5),
        ("1.E5", 1e5),
        (".5 ghz", 5e8),
        ("+1.5E+3", 1500.0),
        ("2 MAHZ", 2e6),
        ("7HZ", 7.0),
        ("#H10", 16.0),
        ("#B101", 5.0),
        ("#Q17", 15.0),
        ("MIN", 0.0),
        ("MAXimum", 1e9),
        ("DEF", 1e6),
    ],
)
def test_numbers_with_units(wire, box, text, value):
    wire.say(f"FREQ:CENT {text}")
    assert box.centre == pytest.approx(value, rel=1e-15)
    assert wire.errors() == []


def test_query_of_limits(wire):
    assert wire.ask("FREQ:CENT? MAX") == "+1.000000000000E+09"
    assert wire.ask("TRIG:COUN? MINimum") == "1"
    assert wire.ask("TRIG:COUN? DEF;:FREQ:CENT? DEF") == "1;+1.000000000000E+06"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("FREQ:CENT", -109),
        ("FREQ:CENT ,5", -109),
        ("FREQ:CENT 1,2", -108),
        ("FREQ:CENT? MIN,MAX", -108),
        ("*RST 1", -108),
        ("FREQ:CENT ABC", -104),
        ("FREQ:CENT 'x'", -104),
        ("FREQ:CENT 1.2.3", -121),
        ("FREQ:CENT -", -121),
        ("FREQ:CENT 1E", -131),
        ("FREQ:CENT 1 FOO", -131),
        ("FREQ:CENT 1 V", -131),
        ("FREQ:CENT #H", -121),
        ("FREQ:CENT #HXY", -121),
        ("FREQ:CENT #15hello", -168),
        ("TRIG:COUN 1 S", -138),
        ("FREQ:CENT 2E9", -222),
        ("FREQ:CENT -1", -222),
        ("FREQ:CENT 1E999", -222),
        ("*ESE 256", -222),
        ("*ESE -1", -222),
        ("OUTP MAYBE", -224),
        ("OUTP '1'", -104),
        ("SOUR:FUNC TRI", -224),
        ("SOUR:FUNC 3", -104),
        ("DISP:TEXT hello", -104),
        ("DISP:TEXT 'hello", -151),
        ("FAIL", -222),
    ],
)
def test_wrong_data_gives_the_standard_error(wire, text, code):
    wire.say(text)
    assert wire.errors() == [code]
    assert wire.ask("*IDN?") == "MAKER,TOY,1,0.1"


def test_out_of_range_clips_or_is_refused(wire, box):
    wire.say("FREQ:CENT 5 GHZ")
    assert (box.centre, wire.errors()) == (1e9, [-222])
    wire.instrument.CLIPS = False
    box.centre = 5.0
    wire.say("FREQ:CENT 5 GHZ")
    assert (box.centre, wire.errors()) == (5.0, [-222])


@pytest.mark.parametrize(
    ("text", "on"), [("ON", 1), ("off", 0), ("1", 1), ("0", 0), ("2.7", 1), ("0.4", 0)]
)
def test_booleans(wire, text, on):
    wire.say("OUTP 1" if not on else "OUTP 0")
    assert wire.ask(f"OUTPUT:STATE {text};STATE?") == str(on)


def test_words_are_answered_in_short_form(wire):
    assert wire.ask("SOUR:FUNC square;FUNC?") == "SQU"
    assert wire.ask("SOUR:FUNC:SHAP SIN;SHAP?") == "SIN"


def test_strings_protect_separators(wire, box):
    wire.say("""DISP:TEXT 'a;b,c "d" ''e'''""")
    assert box.label == """a;b,c "d" 'e'"""
    wire.say('DISP:TEXT "say ""hi"""')
    assert box.label == 'say "hi"'
    assert wire.errors() == []


# ------------------------------------------------------------------ blocks


def test_block_input_may_hold_any_byte_and_arrive_in_pieces(wire, box):
    payload = bytes(range(256)) * 5
    message = b"TRAC:DATA NAME,#41280" + payload + b";:FREQ:CENT 5\n*IDN?\n"
    for i in range(0, len(message), 7):
        wire.link.send(message[i : i + 7])
    assert wire.hear() == "MAKER,TOY,1,0.1\n"
    assert box.data == payload
    assert box.centre == 5.0
    assert wire.errors() == []


def test_block_reply_keeps_its_line_feed(wire):
    assert wire.ask("TRAC:DATA?").encode() == b"#15ab\ncd"


def test_two_blocks_in_one_message(wire, box):
    wire.say(b"TRAC:DATA A,#12\n;;DATA B,#13\n\n\n")
    assert box.data == b"\n\n\n"
    assert wire.errors() == []


@pytest.mark.parametrize(
    ("text", "code"), [(b"TRAC:DATA A,#9999999999", -223), (b"TRAC:DATA A,#5abc", -161)]
)
def test_bad_blocks_are_thrown_away_with_their_message(wire, text, code):
    wire.say(text)
    assert wire.errors() == [code]


def test_a_block_mark_from_outside_is_no_block(wire, box):
    wire.say("TRAC:DATA A,#@0")
    assert wire.errors() == [-161]
    assert box.data == b""


# ------------------------------------------------------------------ status


def test_power_on_sets_its_event_bit_once(wire):
    assert wire.ask("*ESR?") == "128"
    assert wire.ask("*ESR?") == "0"


@pytest.mark.parametrize(
    ("text", "bit"), [("FOO", 32), ("FREQ:CENT 1E99", 16), ("FREQ:CENT X", 32)]
)
def test_errors_set_their_event_bit_and_the_status_byte(wire, text, bit):
    wire.say("*CLS;*ESE 255")
    wire.say(text)
    assert wire.ask("*STB?") == "36"  # error available, event summary
    assert wire.ask("*ESR?") == str(bit)
    assert wire.ask("*STB?") == "4"
    wire.say("*CLS")
    assert wire.ask("*STB?") == "0"


def test_message_available_and_master_summary(wire):
    assert wire.ask("*CLS;*SRE 16;*IDN?;*STB?") == "MAKER,TOY,1,0.1;80"
    assert wire.ask("*SRE 255;*SRE?") == "191"  # bit 6 cannot be enabled


def test_error_queue_drains_one_at_a_time_and_overflows_at_its_end(wire):
    wire.say("FOO;:FREQ:CENT X;CENT 1E99")
    assert wire.ask("SYST:ERR:COUN?") == "3"
    assert wire.ask("SYST:ERR:NEXT?") == '-113,"Undefined header;FOO"'
    assert wire.ask(":SYSTEM:ERROR?") == '-104,"Data type error;X"'
    assert wire.errors() == [-222]
    for _ in range(30):
        wire.say("FOO")
    assert wire.errors() == [-113] * 19 + [-350]
    assert wire.ask("*ESR?") == "184"  # power on, command, execution, device error


def test_standard_registers(wire):
    assert wire.ask("STAT:OPER:PTR?;NTR?;ENAB?") == "32767;0;0"
    wire.say("STAT:OPER:NTR 8;PTR 0;ENAB 8;:SWE 3")
    assert wire.ask("STAT:OPER:COND?;:STAT:OPER?;*STB?") == "8;0;16"
    wire.clock.sleep(5)
    assert wire.ask("*STB?") == "128"  # the end of the sweep was latched while nobody looked
    assert wire.ask("STAT:OPER:EVEN?;COND?;:STAT:OPER?") == "8;0;0"
    assert wire.ask("STAT:PRES;:STAT:OPER:ENAB?;PTR?;:STAT:QUES:COND?") == "0;32767;0"


def test_opening_exchange_of_a_vendor_client(wire):
    """Rohde & Schwarz RsInstrument 1.131.0 opens like this and then watches the status byte."""
    for command in ("*CLS", "*ESE 1", "*SRE 0", "*CLS"):
        wire.say(command)
    assert wire.ask("*OPC?") == "1"
    assert wire.ask("*STB?") == "0"
    assert wire.ask("*IDN?") == "MAKER,TOY,1,0.1"
    wire.say("SWE 1.5;*OPC")
    assert wire.ask("*STB?") == "0"
    wire.clock.sleep(2)
    assert wire.ask("*STB?") == "32"
    assert wire.ask("*ESR?") == "1"
    assert wire.ask("*STB?") == "0"


def test_signal_generator_client_with_trailing_semicolons(wire, box):
    """pymeasure's Agilent8257D sends units in mixed case and ends with a semicolon."""
    wire.say(":FREQ:CENT 9.990000e+08 Hz;")
    wire.say(":OUTPUT ON;")
    assert (box.centre, box.on) == (9.99e8, True)
    assert wire.errors() == []


# ------------------------------------------------------------------ operations


def test_operation_complete_query_is_answered_when_the_operation_ends(wire):
    assert wire.ask("SWE 2;*OPC?", timeout=5) == "1"
    assert wire.clock.now() == pytest.approx(2.0 + 2e-4)


def test_impatient_client_gets_the_answer_later(wire):
    assert wire.ask("SWE 2;*OPC?", timeout=0.5) == ""
    assert wire.clock.now() == pytest.approx(0.5)
    assert wire.hear(5) == "1\n"
    assert wire.clock.now() == pytest.approx(2.0 + 2e-4)


def test_wait_holds_the_rest_of_the_message_and_later_messages(wire, box):
    wire.say("SWE 2;*WAI;:FREQ:CENT 9")
    wire.say("FREQ:CENT?")
    assert box.centre == 1e6
    assert wire.hear(5) == "+9.000000000000E+00\n"
    assert wire.clock.now() == pytest.approx(2.0 + 2e-4)


def test_wait_without_operation_does_nothing(wire):
    assert wire.ask("*WAI;*OPC?;*IDN?") == "1;MAKER,TOY,1,0.1"
    assert wire.clock.now() == pytest.approx(2e-4)


def test_a_handler_can_wait_for_its_own_operation(wire):
    assert wire.ask("READ?;:FREQ:CENT?", timeout=5) == "42;+1.000000000000E+06"
    assert wire.clock.now() == pytest.approx(2.0 + 2e-4)


def test_clear_and_reset_cancel_operation_complete(wire):
    wire.say("*CLS;:SWE 1;*OPC;*CLS")
    wire.clock.sleep(2)
    assert wire.ask("*ESR?") == "0"
    assert wire.ask(":SWE 100;*RST;*OPC?") == "1"


def test_latency_can_be_set_and_answers_keep_their_order(wire):
    wire.instrument.latency = 0.25
    wire.say("*IDN?\n*OPC?")
    assert wire.hear() == "MAKER,TOY,1,0.1\n1\n"
    assert wire.clock.now() == 0.25


def test_a_raw_socket_queues_messages(wire):
    wire.say("SWE 2;*OPC?")
    wire.say("*IDN?")
    assert wire.hear(5) + wire.hear(5) == "1\nMAKER,TOY,1,0.1\n"
    assert wire.errors() == []


def test_a_bus_interrupts_an_unread_answer(wire):
    wire.instrument.interrupts = True
    wire.say("SWE 2;*OPC?")
    assert wire.ask("*IDN?") == "MAKER,TOY,1,0.1"
    assert wire.clock.now() < 0.001
    wire.say("FREQ:CENT?")
    wire.say("FREQ:SPAN?")
    assert wire.hear() == "+1.000000000000E+00\n"
    assert wire.ask("SYST:ERR?") == '-410,"Query INTERRUPTED"'
    assert wire.ask("SYST:ERR?") == '-410,"Query INTERRUPTED"'
    assert wire.ask("*ESR?") == "132"


def test_connections_have_their_own_messages_and_share_the_status(wire):
    other = Wire(wire.instrument)
    other.clock = wire.clock
    other.link = Link(wire.instrument.connect(), wire.clock)
    wire.link.send(b"FREQ:CE")
    assert other.ask("*IDN?") == "MAKER,TOY,1,0.1"
    other.say("FOO")
    wire.link.send(b"NT?\n")
    assert wire.hear() == "+1.000000000000E+06\n"
    assert wire.errors() == [-113]


# ------------------------------------------------------------------ robustness


def test_an_endless_line_overruns_the_buffer_and_is_forgotten(wire):
    for _ in range(200):
        wire.link.send(b"A" * 1000)
    wire.say("")
    assert wire.errors() == [-363]
    assert wire.ask("*IDN?") == "MAKER,TOY,1,0.1"


def test_the_table_of_known_headers_does_not_grow_with_nonsense(wire):
    for i in range(100):
        wire.say(f"FOO{i}")
    assert not any("FOO" in header for header in Toy._found)


soup = st.one_of(
    st.binary(max_size=60),
    st.text("*:;,?#@ '\"()0123456789.eE+-AFNQRUCTMINX\n\r", max_size=40).map(str.encode),
    st.sampled_from(
        [
            b"FREQ:CENT",
            b"*OPC?",
            b"*IDN?;",
            b"TRAC:DATA?",
            b" #H",
            b"\n",
            b"'",
            b":OUTP ",
            b"*WAI\n",
        ]
    ),
)


@given(st.lists(soup, max_size=8))
@settings(max_examples=300, deadline=None)
def test_any_soup_leaves_the_instrument_alive(pieces):
    wire = Wire()
    for piece in pieces:
        wire.link.send(piece)
    wire.link.send(b"\n*CLS\n*IDN?\n")
    assert wire.hear(10).endswith("MAKER,TOY,1,0.1\n")
    wire.say("FREQ:CENT 5 KHZ")
    assert wire.ask("FREQ:CENT?") == "+5.000000000000E+03"


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_bytes_split_anywhere_mean_the_same(data):
    message = b"*CLS;:FREQ:CENT 2 MHZ;CENT?\r\nTRAC:DATA X,#14\n;\r\x00;"
    message += b":OUTP ON;:OUTP?\nFOO;*STB?\n"
    cuts = sorted(data.draw(st.sets(st.integers(0, len(message)), max_size=8)))
    wire = Wire()
    for start, stop in zip([0, *cuts], [*cuts, len(message)], strict=True):
        wire.link.send(message[start:stop])
    assert wire.hear() == "+2.000000000000E+06\n1\n4\n"
    assert wire.instrument.model.data == b"\n;\r\x00"
    assert wire.errors() == [-113]


@given(st.text(max_size=30))
def test_number_never_fails_otherwise_than_with_a_scpi_error(text):
    codes = range(-224, -103)
    try:
        value = number(text, "HZ")
    except ScpiError as error:
        value = codes.index(error.code)
    assert value == value
