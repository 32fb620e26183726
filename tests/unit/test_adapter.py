"""The adapter must deliver the right answer to the right question, or an error; never another's."""

import logging

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labctl.adapter import ByteAdapter, Framing
from labctl.clock import VirtualClock
from labctl.errors import ConnectionLost, InstrumentError, TransportTimeout
from labctl.transport.link import Link
from simulated_instruments.faults import plan, wrap


class Lines:
    """An instrument: `N?` is answered with N, everything else is noted."""

    def __init__(self, said=None, ends=b"\n", answer=None, banner=b"", delay=0.0):
        self.said = [] if said is None else said
        self.ends = ends
        self.answer = answer or (lambda line: line[:-1] + ends if line.endswith(b"?") else b"")
        self.banner = banner
        self.delay = delay
        self.rest = b""

    def feed(self, data, now):
        replies = [(now, self.banner)] if self.banner else []
        self.banner = b""
        self.rest += data
        while b"\n" in self.rest:
            line, _, self.rest = self.rest.partition(b"\n")
            self.said.append(line)
            if answer := self.answer(line):
                replies.append((now + self.delay, answer))
        return replies


class Chopped:
    """A transport that returns what it received in pieces of given lengths."""

    def __init__(self, inner, lengths):
        self.inner = inner
        self.lengths = list(lengths)
        self.held = b""

    def send(self, data):
        self.inner.send(data)

    def receive(self, timeout):
        if not self.held:
            self.held = self.inner.receive(timeout)
        length = self.lengths.pop(0) if self.lengths else len(self.held)
        piece, self.held = self.held[:length], self.held[length:]
        return piece

    def close(self):
        self.inner.close()


def adapter(endpoint=None, lengths=(), clock=None, **framing):
    clock = clock or VirtualClock()
    endpoint = endpoint or Lines()
    return ByteAdapter(
        lambda: Chopped(Link(endpoint, clock), lengths) if lengths else Link(endpoint, clock),
        clock,
        name="dut",
        framing=Framing(**framing),
    )


# ---- framing


def test_query_sends_the_terminator_and_strips_it():
    device = Lines()
    assert adapter(device).query("42?") == "42"
    assert device.said == [b"42?"]


def test_pymeasures_four_methods():
    device = Lines()
    a = adapter(device)
    a.write("1?")
    assert a.read() == "1"
    a.write_bytes(b"2?\n")
    assert a.read_bytes(2) == b"2\n"
    a.write("3?")
    assert a.read_bytes(-1) == b"3\n"
    a.write("4?")
    assert a.read_bytes(-1, break_on_termchar=True) == b"4\n"
    assert a.discarded == 0


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r", b"\r\n> ", b";", b"\x03"])
def test_any_terminator(end):
    a = adapter(Lines(ends=end), read=end)
    assert [a.query(f"{n}?") for n in range(3)] == ["0", "1", "2"]


replies = st.lists(
    st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\n>"), max_size=20),
    min_size=1,
    max_size=6,
)


@given(replies, st.lists(st.integers(1, 7), max_size=60), st.sampled_from([b"\n", b"\r\n"]))
def test_any_split_of_the_bytes_gives_the_same_replies(texts, lengths, end):
    pending = [text.replace("\r", "") for text in texts]
    queue = iter(pending)
    a = adapter(Lines(answer=lambda _: next(queue).encode() + end), lengths, read=end)
    assert [a.query("NEXT?") for _ in pending] == pending
    assert a.discarded == 0


@given(replies, st.lists(st.integers(1, 5), max_size=60))
def test_any_split_with_a_prompt(texts, lengths):
    pending = [text.replace("\r", "") for text in texts]
    queue = iter(pending)
    a = adapter(
        Lines(answer=lambda _: next(queue).encode() + b"\r\n> ", banner=b"Hello\r\nthere\r\n> "),
        lengths,
        read=b"\r\n",
        prompt=b"> ",
        banner=b"there\r\n> ",
    )
    assert [a.query("(next)") for _ in pending] == pending
    assert a.discarded == 0


def test_a_reply_may_consist_of_the_prompt_alone():
    a = adapter(Lines(answer=lambda _: b"> "), read=b"\r\n", prompt=b"> ")
    assert a.query("(exec 'x)") == ""
    assert a.query("(exec 'x)") == ""


def test_missing_greeting_is_named():
    with pytest.raises(TransportTimeout, match=r"^dut: the greeting did not come in 5 s"):
        adapter(banner=b"> ")


@pytest.mark.parametrize("address", ["serial:///dev/ttyACM0", "visa://ASRL/dev/ttyACM0::INSTR"])
@pytest.mark.parametrize("left", [b"", b"half an answer to somebody el"])
def test_a_serial_line_greets_nobody(address, left):
    clock, device = VirtualClock(), Lines(banner=left, ends=b"\r\n> ")
    a = ByteAdapter(
        lambda: Link(device, clock), clock, name="dut", address=address,
        framing=Framing(read=b"\n", prompt=b"> ", banner=b"there\r\n> "),
    )  # fmt: skip
    assert clock.now() == 0.0
    assert a.query("1?") == "1\r"
    assert a.discarded == 0


@given(st.binary(max_size=3000), st.lists(st.integers(1, 900), max_size=20), st.booleans())
def test_definite_blocks_hold_any_bytes(payload, lengths, plain):
    count = str(len(payload)).encode()
    block = b"#%d%b%b\n" % (len(count), count, payload)
    a = adapter(Lines(answer=lambda line: block if line == b"DATA?" else b"ok\n"), lengths)
    a.write("DATA?")
    if plain:
        assert a.read_bytes(-1) == block
    else:
        assert a.read_block() == payload
    assert a.query("NEXT?") == "ok"
    assert a.discarded == 0


@pytest.mark.parametrize("abandoned", [False, True])
def test_line_ends_inside_a_block_do_not_end_it(abandoned):
    """Neither for who reads it, nor for who waits until a late one is over."""
    block = b"#212ab\ncd\nef\ngh\n\n"

    class Slow(Lines):
        def feed(self, data, now):
            replies = super().feed(data, now)
            if replies and replies[0][1] == block:
                parts = (block[:1], block[1:3], block[3:7], block[7:])
                return [(now + 0.3 * (i + 1), part) for i, part in enumerate(parts)]
            return replies

    a = adapter(Slow(answer=lambda line: block if line == b"DATA?" else b"ok\n"), timeout=1.0)
    a.write("DATA?")
    if not abandoned:
        assert a.read_bytes(-1) == block
    assert a.query("NEXT?") == "ok"
    assert a.discarded == (len(block) if abandoned else 0)
    assert a.reconnects == 0


def test_indefinite_block():
    a = adapter(Lines(answer=lambda _: b"#0\x01\x02\x03\n"))
    a.write("DATA?")
    assert a.read_block() == b"\x01\x02\x03"


@pytest.mark.parametrize("bad", [b"12,13\n", b"#A12\n", b"#2x1abc\n", b"\n\n", b"#13abcX"])
def test_what_is_no_block_is_an_error_and_does_not_shift_the_next_answer(bad):
    a = adapter(Lines(answer=lambda line: bad if line == b"DATA?" else b"ok\n"))
    a.write("DATA?")
    with pytest.raises(InstrumentError, match=r"^dut: the answer to 'DATA\?' "):
        a.read_block()
    assert a.query("NEXT?") == "ok"


def test_pymeasures_binary_values_go_through():
    values = np.arange(5, dtype=">f4")
    sent = []
    a = adapter(Lines(sent, answer=lambda line: b"#220" + values.tobytes() + b"\n"))
    a.write("TRAC?")
    got = a.read_binary_values(header_bytes=4, termination_bytes=-1, dtype=">f4")
    np.testing.assert_array_equal(got, values)
    assert a.write_binary_values("WAVE ", [1, 2], termination="\n", datatype="b") == 11
    assert sent[-1] == b"WAVE #12\x01\x02"


def test_silence_ends_a_reply_without_terminator():
    a = adapter(Lines(answer=lambda _: b"\x01\x02"), read=b"")
    assert a.query("x") == "\x01\x02"
    a.write_bytes(b"x\n")
    assert a.read_bytes(-1) == b"\x01\x02"


def test_undecodable_reply_shows_the_bytes():
    a = adapter(Lines(answer=lambda line: b"\xff\xfe1\n" if line == b"BAD?" else b"ok\n"))
    with pytest.raises(InstrumentError, match=r"'BAD\?' is not utf-8 text: '\\xff\\xfe1'"):
        a.query("BAD?")
    assert a.query("GOOD?") == "ok"
    assert adapter(Lines(answer=lambda _: b"\xb5m\n"), encoding="latin-1").query("U?") == "µm"


# ---- timeouts and recovery


def test_timeout_names_instrument_command_and_remedy_in_one_line():
    a = adapter(Lines(answer=lambda _: b"half"), timeout=2.0)
    with pytest.raises(TransportTimeout) as caught:
        a.query("MEAS:" + "X" * 200 + "?")
    text = str(caught.value)
    assert text.startswith("dut: the answer to 'MEAS:XXX")
    assert "(206 characters) did not come in 2 s (only 'half'); check" in text
    assert "\n" not in text
    assert len(text) < 250
    assert a.clock.now() == 2.0


def test_a_longer_timeout_for_one_query():
    a = adapter(Lines(delay=8.0), timeout=1.0)
    assert a.query("7?", timeout=10.0) == "7"
    with pytest.raises(TransportTimeout):
        a.query("8?")


def test_a_reply_cannot_trickle_for_ever():
    class Babbler:
        def feed(self, data, now):
            return [(now + 0.5 + 0.5 * i, b".") for i in range(100_000)] if data else []

    a = adapter(Babbler(), timeout=1.0)
    with pytest.raises(TransportTimeout, match="did not come in 20 s"):
        a.query("SAY?")


FAULTS = {
    "drop": {"drop": 3},
    "late": {"late": 3, "late_by": 1.5},
    "very late": {"late": 3, "late_by": 30.0},
    "double": {"double": 3},
    "garble": {"garble": 3},
    "truncate": {"truncate": 3},
    "split": {"split": 3, "split_by": 0.01},
    "disconnect": {"disconnect": 3},
    "hang": {"hang": 3},
}
HARMLESS = ("double", "split")


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("style", ["query", "write and read", "block"])
def test_one_fault_costs_one_answer_and_never_shifts_another(fault, style):
    """Every query gets its own answer or an error, and all but the faulty one an answer."""

    def answer(line):
        number = b"value%04d" % int(line[:-1])
        return b"#19" + number + b"\n" if style == "block" else number + b"\n"

    clock, faults = VirtualClock(), plan(FAULTS[fault], seed=1)
    a = ByteAdapter(
        lambda: Link(wrap(Lines(answer=answer), faults), clock),
        clock,
        name="dut",
        framing=Framing(timeout=1.0),
    )
    failed, errors = [], []
    for n in range(8):
        try:
            if style == "query":
                got = a.query(f"{n}?")
            else:
                a.write(f"{n}?")
                got = a.read() if style == "write and read" else a.read_block().decode()
        except (TransportTimeout, ConnectionLost, InstrumentError) as error:
            failed.append(n)
            errors.append(str(error))
        else:
            assert got == f"value{n:04d}"
    assert failed == ([] if fault in HARMLESS else [2])
    assert all(text.startswith("dut: ") and "\n" not in text for text in errors)
    if fault.startswith(("late", "double")):
        assert a.discarded > 0
    if fault in ("drop", "very late", "hang", "disconnect"):
        assert a.reconnects == 1


@given(
    st.dictionaries(
        st.sampled_from(["drop", "garble", "late", "double", "truncate", "split", "hang"]),
        st.sampled_from([0.05, 0.2]),
        min_size=1,
    ),
    st.integers(0, 2**32),
)
def test_no_mixture_of_faults_shifts_an_answer(table, seed):
    clock, faults = VirtualClock(), plan({**table, "late_by": 1.3}, seed)
    a = ByteAdapter(
        lambda: Link(wrap(Lines(), faults), clock), clock, name="dut", framing=Framing(timeout=1.0)
    )
    right = 0
    for n in range(1000, 1060):
        try:
            assert a.query(f"{n}?") == str(n)
            right += 1
        except (TransportTimeout, ConnectionLost, InstrumentError):
            pass
    assert right >= 1


def test_without_recovery_the_late_answer_would_shift_all_later_ones():
    """The fault that the adapter is there for does what we say it does."""
    clock = VirtualClock()
    link = Link(wrap(Lines(), plan({"late": 1, "late_by": 1.5})), clock)
    got = []
    for n in range(3):
        link.send(b"%d?\n" % n)
        got.append(link.receive(1.0))
    assert got == [b"", b"0\n1\n", b"2\n"]


def test_an_abandoned_answer_is_thrown_away_with_a_warning(caplog):
    a = adapter()
    a.write("1?")
    with caplog.at_level(logging.WARNING):
        assert a.query("2?") == "2"
    assert a.discarded == 2
    assert "dut: discarded 2 stray bytes '1\\n' after '1?'" in caplog.text


def test_a_question_mark_in_quotes_asks_nothing():
    a = adapter(Lines(answer=lambda line: b"7\n" if line == b"X?" else b""))
    a.write("DISP:TEXT 'ready?'")
    assert a.query("X?") == "7"
    assert a.clock.now() == 0.0


def test_a_question_mark_in_a_data_block_asks_nothing():
    a = adapter(Lines(answer=lambda line: b"7\n" if line == b"X?" else b""))
    a.write_binary_values("WAVE ", [63, 63], termination="\n", datatype="B")
    a.write_bytes(b"\x01?\n")
    assert a.query("X?") == "7"
    assert a.clock.now() == 0.0


def test_an_instrument_that_never_stops_is_given_up():
    """Neither reading nor discarding takes for ever."""

    class Stream(Lines):
        def feed(self, data, now):
            if not data:
                return []
            return [*super().feed(data, now), *((now + 0.01 * i, b".") for i in range(100_000))]

    a = adapter(Stream(answer=lambda line: b""), timeout=1.0)
    with pytest.raises(TransportTimeout, match="in 20 s"):
        a.query("1?")
    with pytest.raises(TransportTimeout, match="in 20 s"):
        a.query("2?")
    assert a.reconnects == 1
    silent = adapter(Stream(answer=lambda line: b""), timeout=1.0, read=b"")
    with pytest.raises(TransportTimeout, match="in 20 s"):
        silent.query("1?")


def test_an_interrupted_query_does_not_shift_the_next():
    class Interrupted(Link):
        often = 1

        def receive(self, timeout):
            if timeout and self.often:
                self.often -= 1
                raise KeyboardInterrupt
            return super().receive(timeout)

    clock = VirtualClock()
    a = ByteAdapter(lambda: Interrupted(Lines(delay=0.5), clock), clock, name="dut")
    with pytest.raises(KeyboardInterrupt):
        a.query("1?")
    assert a.query("2?") == "2"
    assert a.discarded == 2


def test_pushed_data_are_not_stray_if_the_framing_says_so():
    class Pushing(Lines):
        def feed(self, data, now):
            return [*super().feed(data, now), *([(now, b"push\n")] if data else [])]

    a = adapter(Pushing(), unasked=True)
    a.write("add x")
    a.write("add y")
    assert [a.read(), a.read()] == ["push", "push"]
    assert a.discarded == 0


# ---- lost connections


class Flaky:
    """Opens connections; `refuse` of them are refused, `die_after` sends they break."""

    def __init__(self, clock, refuse=(), die_after=()):
        self.clock = clock
        self.refuse = list(refuse)
        self.die_after = list(die_after)
        self.said = []
        self.opened = 0

    def __call__(self):
        self.opened += 1
        if self.opened in self.refuse:
            raise ConnectionLost("no connection to 10.0.0.5:5025 (refused)")
        link = Link(Lines(self.said), self.clock)
        left = self.die_after.pop(0) if self.die_after else 10**9
        send = link.send

        def sending(data):
            nonlocal left
            left -= 1
            if left < 0:
                raise ConnectionLost("the connection to 10.0.0.5:5025 broke")
            send(data)

        link.send = sending
        return link


def flaky(**kwargs):
    clock = VirtualClock()
    opener = Flaky(clock, **kwargs)
    return opener, lambda **framing: ByteAdapter(
        opener, clock, name="dut", framing=Framing(**framing)
    )


def test_a_query_that_was_not_sent_is_sent_again():
    opener, make = flaky(die_after=[2], refuse=[2, 3])
    a = make()
    assert [a.query(f"{n}?") for n in range(4)] == ["0", "1", "2", "3"]
    assert a.reconnects == 1
    assert opener.said == [b"0?", b"1?", b"2?", b"3?"]
    assert a.clock.now() == pytest.approx(1.25)  # backed off twice


def test_a_command_is_never_sent_twice():
    opener, make = flaky(die_after=[1])
    a = make()
    a.write("OUTP ON")
    with pytest.raises(ConnectionLost, match=r"while sending 'OUTP OFF\\n', which may or may not"):
        a.write("OUTP OFF")
    assert a.query("1?") == "1"
    assert opener.said == [b"OUTP ON", b"1?"]


def test_reconnecting_is_bounded():
    opener, make = flaky(die_after=[0], refuse=range(2, 100))
    a = make()
    with pytest.raises(ConnectionLost, match=r"^dut: no connection to .* \(tried 3 times\)$"):
        a.query("1?")
    assert opener.opened == 4


def test_reconnecting_can_be_forbidden():
    opener, make = flaky(die_after=[0])
    a = make(reconnect=0)
    with pytest.raises(ConnectionLost, match="the connection is lost; open the bench again"):
        a.query("1?")
    assert opener.opened == 1


def test_a_connection_that_the_instrument_closed_while_idle_is_opened_before_speaking():
    clock, said = VirtualClock(), []

    class Closing(Lines):
        closed = False

    devices = []

    def opened():
        devices.append(Closing(said))
        return Link(devices[-1], clock)

    a = ByteAdapter(opened, clock, name="dut")
    a.write("OUTP ON")
    devices[0].closed = True
    a.write("OUTP OFF")  # a command, too: nothing of it had been sent
    assert said == [b"OUTP ON", b"OUTP OFF"]
    assert a.reconnects == 1


def test_refused_at_opening_is_one_line_with_the_name():
    _, make = flaky(refuse=[1])
    with pytest.raises(ConnectionLost, match=r"^dut: no connection to 10.0.0.5:5025 \(refused\)$"):
        make()


def test_a_bus_that_can_clear_is_cleared_instead_of_waiting():
    clock = VirtualClock()
    link = Link(wrap(Lines(), plan({"drop": 1})), clock)
    cleared = []
    link.clear = lambda: cleared.append(clock.now())
    a = ByteAdapter(lambda: link, clock, name="dut", framing=Framing(timeout=1.0))
    with pytest.raises(TransportTimeout):
        a.query("1?")
    assert a.query("2?") == "2"
    assert cleared == [1.0]
    assert a.reconnects == 0
