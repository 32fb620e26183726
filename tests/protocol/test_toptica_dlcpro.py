"""DLC pro: driver and simulator, each against the vendor's bytes, then together."""

from __future__ import annotations

import itertools
import re
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Script, in_front_of
from scripted import scripted as a_driver

from drivers.toptica_dlcpro import TopticaDlcPro
from labctl.adapter import ByteAdapter
from labctl.clock import VirtualClock
from labctl.errors import IdentityMismatch, InstrumentError, RequestError, TransportTimeout
from simulated_instruments.protocol.decof import DecofError, Incomplete, Symbol, encode, parse
from simulated_instruments.toptica_dlcpro import SimTopticaDlcPro
from simulated_instruments.world import World

BANNER = b"Welcome\r\n\r\nDeCoF Command Line\r\n> "

scripted = partial(a_driver, TopticaDlcPro, name="laser", greeting=BANNER)


class Bench:
    """Driver and simulator on one virtual clock."""

    def __init__(self, seed: int = 1) -> None:
        self.world = World(seed)
        self.sim = SimTopticaDlcPro(self.world, "laser")
        self.laser: TopticaDlcPro = in_front_of(self.sim, TopticaDlcPro)
        self.clock = self.laser.adapter.clock


@pytest.fixture
def bench() -> Bench:
    return Bench()


def talk(text: bytes, sim: SimTopticaDlcPro | None = None) -> bytes:
    """What the simulator answers to some bytes, after its greeting."""
    sim = sim or SimTopticaDlcPro(World(1), "laser")
    endpoint = sim.connect("command")
    endpoint.feed(b"", 0.0)
    return b"".join(data for _, data in endpoint.feed(text, 0.0))


# -------------------------------------------------------------------- driver against vendor bytes


@pytest.mark.parametrize(
    ("attribute", "sent", "reply", "value"),
    [
        ("emitting", b"(param-ref 'emission)\n", b"#f\r\n> ", False),
        (
            "actual_wavelength",
            b"(param-ref 'laser1:ctl:wavelength-act)\n",
            b"1550.1195\r\n> ",
            1550.1195,
        ),
        ("actual_wavelength", b"(param-ref 'laser1:ctl:wavelength-act)\n", b"1e3\n> ", 1000.0),
        ("state", b"(param-ref 'laser1:ctl:state)\n", b"-8\r\n> ", -8),
        ("interlock_open", b"(param-ref 'interlock-open)\n", b"#t\r\n> ", True),
        ("serial_number", b"(param-ref 'serial-number)\n", b'"DLC PRO_020295"\r\n> ', None),
    ],
)
def test_driver_reads_vendor_bytes(attribute, sent, reply, value):
    laser, script = scripted((sent, reply))
    assert getattr(laser, attribute) == ("DLC PRO_020295" if value is None else value)
    assert not script.exchanges


@pytest.mark.parametrize(
    ("attribute", "value", "sent"),
    [
        ("current", 200, b"(param-set! 'laser1:dl:cc:current-set 200.0)\n"),
        ("piezo_voltage", 70.1, b"(param-set! 'laser1:dl:pc:voltage-set 70.1)\n"),
        ("piezo_voltage", 1e-5, b"(param-set! 'laser1:dl:pc:voltage-set 1.0e-05)\n"),
        ("piezo_voltage", 1 / 3, b"(param-set! 'laser1:dl:pc:voltage-set 0.3333333333333333)\n"),
        ("scan_enabled", True, b"(param-set! 'laser1:scan:enabled #t)\n"),
        ("label", "table 3", b'(param-set! \'system-label "table 3")\n'),
    ],
)
def test_driver_writes_vendor_bytes(attribute, value, sent):
    laser, script = scripted((sent, b"0\r\n> "))
    setattr(laser, attribute, value)
    assert not script.exchanges


@pytest.mark.parametrize("reply", [b"#f", b"abc", b"", b'"1.0"', b"(1.0 2.0)"])
def test_driver_refuses_replies_of_the_wrong_type(reply):
    laser, _ = scripted((b"(param-ref 'laser1:ctl:wavelength-act)\n", reply + b"\r\n> "))
    with pytest.raises(InstrumentError, match=r"laser: .*wavelength-act"):
        _ = laser.actual_wavelength


def test_driver_reads_both_known_greetings():
    for greeting in (
        b"DLCpro firmware, version 1.3.1\r\nuptime: 1:02:03\r\n\r\nDecof Command Line\r\n> ",
        b"DeCoF Command Line\r\n> ",
    ):
        laser, _ = scripted((b"(param-ref 'emission)\n", b"#t\r\n> "), greeting=greeting)
        assert laser.emitting is True


def test_driver_surfaces_an_error_line():
    laser, _ = scripted((b"(param-ref 'laser1:ctl:state)\n", b"Error: -3 no such thing\r\n> "))
    with pytest.raises(
        InstrumentError, match=r"-3 no such thing.*does not know the name"
    ) as caught:
        _ = laser.state
    assert "\n" not in str(caught.value)


def test_driver_surfaces_negative_status_and_what_was_clipped():
    write = b"(param-set! 'laser1:dl:cc:current-set 900.0)\n"
    laser, _ = scripted((write, b"-11\r\n> "))
    with pytest.raises(InstrumentError, match="refused, status -11: the parameter can only be"):
        laser.current = 900.0
    laser, script = scripted(
        (write, b"some output\r\n1\r\n> "),
        (b"(param-ref 'laser1:dl:cc:current-set)\n", b"375.0\r\n> "),
    )
    with pytest.raises(InstrumentError, match=r"clipped to 375\.0"):
        laser.current = 900.0
    assert not script.exchanges


def test_driver_refuses_a_status_that_is_none():
    laser, _ = scripted((b"(param-set! 'laser1:scan:enabled #t)\n", b"ok\r\n> "))
    with pytest.raises(InstrumentError, match="not a status"):
        laser.scan_enabled = True


@pytest.mark.parametrize(
    ("attribute", "value"),
    [
        ("label", 'a "quoted" word'),
        ("label", "two\nlines"),
        ("label", "back\\slash"),
        ("piezo_voltage", float("nan")),
        ("piezo_voltage", float("inf")),
        ("current", "much"),
        ("scan_enabled", "perhaps"),
    ],
)
def test_driver_sends_nothing_that_cannot_be_right(attribute, value):
    laser, _ = scripted()  # any byte would fail
    with pytest.raises(RequestError, match=f"laser: .*{attribute}"):
        setattr(laser, attribute, value)


# -------------------------------------------------------------------- simulator, vendor bytes


def test_greeting_satisfies_both_known_clients():
    endpoint = SimTopticaDlcPro(World(1), "laser").connect()
    greeting = b"".join(data for _, data in endpoint.feed(b"", 0.0))
    assert greeting.endswith(b"DeCoF Command Line\r\n> ")
    assert greeting.count(b"\n> ") == 1
    assert endpoint.feed(b"", 1.0) == []


@pytest.mark.parametrize(
    ("sent", "reply"),
    [
        (b"(param-ref 'emission)\n", b"#f\r\n> "),
        (b"(param-ref 'laser1:ctl:wavelength-act)\n", b"1550.12\r\n> "),
        (b"(param-gsv 'laser1:ctl:wavelength-set)\n", b"1550.12\r\n> "),
        (b"(param-set! 'laser1:ctl:wavelength-set 1551.0)\n", b"0\r\n> "),
        (b"`(,(param-ref 'laser1:ctl:state),(param-ref 'emission))\n", b"(0 #f)\r\n> "),
        (
            b"(+ (param-set! 'system-label \"a\")(param-set! 'laser1:dl:cc:current-set 200.0))\n",
            b"0\r\n> ",
        ),
        (b"(exec 'laser1:wide-scan:start)\n", b"()\r\n> "),
        (b'(exec \'change-ul 4 "")\n', b"4\r\n> "),
        (b'(exec \'change-ul 2 "wrong")\n', b"3\r\n> "),
        (b"(param-ref 'ul)\n", b"3\r\n> "),
        (b"(param-ref 'laser1:ctl:scan:speed)\n", b"Error: -3 unknown parameter\r\n> "),
        (b"(exec 'laser1:ctl:scan:start)\n", b"Error: -3 unknown command\r\n> "),
        (b"(param-ref 'laser1:recorder:state)\n", b"Error: -3 unknown parameter\r\n> "),
        (b"(param-set! 'laser1:ctl:wavelength-set 1551)\n", b"-4\r\n> "),
        (b"(param-set! 'laser1:ctl:wavelength-set '(1.0 2.0))\n", b"-4\r\n> "),
        (b"(param-set! 'laser1:ctl:wavelength-set 1700.0)\n", b"1\r\n> "),
        (b"(param-set! 'laser1:ctl:wavelength-act 1551.0)\n", b"-11\r\n> "),
        (b"(param-set! 'laser1:scan:output-channel 3)\n", b"-6\r\n> "),
        (b"(param-set! 'laser1:dl:cc:current-clip 100.0)\n", b"-2\r\n> "),
        (b"(exec 'laser1:ctl:motor:calibration:shift-wavelength 1550)\n", None),
        (b"(param-ref laser1:enabled)\n", None),
        (b"(nonsense 1)\n", None),
        (b"hello\n", None),
        (b"))\n", None),
        (b"(" * 200 + b"\n", None),
        (b"\n \n", b""),
    ],
)
def test_simulator_answers_vendor_bytes(sent, reply):
    answer = talk(sent)
    if reply is None:
        assert re.fullmatch(rb"Error: -1 [^\r\n]+\r\n> ", answer)
    else:
        assert answer == reply


def test_two_line_expression_waits_and_cancel_drops_it():
    endpoint = SimTopticaDlcPro(World(1), "laser").connect()
    endpoint.feed(b"", 0.0)
    assert endpoint.feed(b"(param-ref\n", 0.0) == []
    assert [data for _, data in endpoint.feed(b"'emission)\n", 0.0)] == [b"#f\r\n> "]
    assert endpoint.feed(b"(param-ref 'emission\n", 0.0) == []
    assert [data for _, data in endpoint.feed(b"\x12\x03", 0.0)] == [b"\r\n> "]
    assert [data for _, data in endpoint.feed(b"(param-ref 'ul)\n", 0.0)] == [b"3\r\n> "]


def test_two_expressions_in_one_go_give_two_prompts():
    assert talk(b"(param-ref 'emission)(param-ref 'ul)\n") == b"#f\r\n> 3\r\n> "


def test_strings_come_back_as_they_were_sent():
    sim = SimTopticaDlcPro(World(1), "laser")
    assert talk(b'(param-set! \'system-label "a \\"b\\" c")\n', sim) == b"0\r\n> "
    assert talk(b"(param-ref 'system-label)\n", sim) == b'"a \\"b\\" c"\r\n> '
    # a line end would allow a forged prompt inside a value
    assert talk(b'(param-set! \'system-label "x\n> ")\n', sim) == b"-6\r\n> "


def test_level_belongs_to_one_connection():
    sim = SimTopticaDlcPro(World(1), "laser")
    first, second = sim.connect(), sim.connect()
    for endpoint in (first, second):
        endpoint.feed(b"", 0.0)
    assert first.feed(b'(exec \'change-ul 2 "CAUTION")\n', 0.0)[0][1] == b"2\r\n> "
    clip = b"(param-set! 'laser1:dl:cc:current-clip 100.0)\n"
    assert second.feed(clip, 0.0)[0][1] == b"-2\r\n> "
    assert first.feed(clip, 0.0)[0][1] == b"0\r\n> "


def test_display_lists_a_branch():
    lines = talk(b"(param-disp 'laser1:dl:pc)\n").removesuffix(b"\r\n> ").split(b"\r\n")
    assert b"laser1:dl:pc:voltage-set = 70.0" in lines
    assert all(line.startswith(b"laser1:dl:pc") for line in lines)


@pytest.mark.parametrize("name", sorted(SimTopticaDlcPro(World(1), "laser").tree.parameters))
def test_every_parameter_reads_with_its_type(name):
    kind = SimTopticaDlcPro(World(1), "laser").tree.parameters[name].kind
    answer = talk(f"(param-ref '{name})\n".encode()).removesuffix(b"\r\n> ")
    (value,) = parse(answer.decode())
    assert type(value) is kind


def test_answers_are_due_one_after_the_other():
    endpoint = SimTopticaDlcPro(World(1), "laser").connect()
    endpoint.feed(b"", 0.0)
    dues = [due for due, _ in endpoint.feed(b"(param-ref 'ul)\n" * 3, 1.0)]
    assert dues == pytest.approx([1.002, 1.004, 1.006])


# -------------------------------------------------------------------- monitoring line


def monitored(polls: list[float]) -> bytes:
    """All bytes of one history, collected at other times."""
    world = World(7)
    sim = SimTopticaDlcPro(world, "laser")
    line, command = sim.connect("monitor"), sim.connect()
    out = line.feed(b"(add 'laser1:ctl:wavelength-act 100 0.05)\n", 0.0)
    moved = False
    for t in polls:
        if t >= 0.25 and not moved:
            command.feed(b"(param-set! 'laser1:ctl:wavelength-set 1551.12)\n", 0.25)
            moved = True
        out += line.feed(b"", t)
    return b"".join(data for _, data in out)


def test_monitor_pushes_the_present_value_then_changes():
    lines = monitored([0.1, 0.25, 0.5, 2.0]).split(b"\r\n")
    assert lines[0] == b"(2026-01-01T00:00:00.000Z 'laser1:ctl:wavelength-act 1550.12)"
    assert lines[1].startswith(b"(2026-01-01T00:00:00.300Z 'laser1:ctl:wavelength-act 1550.6")
    values = [float(line.rstrip(b")").rsplit(b" ", 1)[1]) for line in lines[:-1]]
    assert all(abs(a - b) >= 0.05 for a, b in itertools.pairwise(values))
    assert lines[-1] == b""


def test_monitor_does_not_depend_on_when_it_is_read():
    reference = monitored([0.25, 2.0])
    assert monitored([i / 100 for i in range(201)]) == reference


def test_monitor_errors_and_remove():
    sim = SimTopticaDlcPro(World(1), "laser")
    line = sim.connect("monitor")
    assert line.feed(b"(add 'nope)\n", 1.0) == [
        (1.0, b"(Error: -3 (2026-01-01T00:00:01.000Z 'nope) unknown parameter)\r\n")
    ]
    assert line.feed(b"(remove 'uptime)\n", 1.0) == []
    assert len(line.feed(b"(add 'uptime)\n", 1.0)) == 1
    assert len(line.feed(b"", 4.0)) == 3
    assert line.feed(b"(remove 'uptime)\n", 4.0) == []
    assert line.feed(b"", 9.0) == []
    assert line.feed(b'(change-ul 4 "")\n', 9.0) == []
    for bad in (b"(add 'uptime -1)\n", b"(add uptime)\n", b"(add 'uptime\n", b"x\n", b")\n"):
        assert b"(Error: -1 " in b"".join(data for _, data in line.feed(bad, 9.0))


# -------------------------------------------------------------------- S-expressions

names = st.from_regex(r"[a-z][a-z0-9:!-]{0,12}", fullmatch=True).map(Symbol)
atoms = (
    st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="latin-1"), max_size=20)
    | st.binary(max_size=12)
    | names
)
trees = st.recursive(atoms, lambda inner: st.lists(inner, max_size=4).map(tuple), max_leaves=12)


def same(a, b) -> bool:
    if type(a) is tuple and type(b) is tuple:
        return len(a) == len(b) and all(same(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and a == b


@given(trees)
def test_what_is_written_reads_back(tree):
    (node,) = parse(encode(tree))
    assert same(node, tree)


@given(trees.filter(lambda tree: isinstance(tree, tuple)), st.data())
def test_no_beginning_of_a_list_is_taken_for_an_expression(tree, data):
    text = encode(tree)
    cut = data.draw(st.integers(1, len(text) - 1))
    with pytest.raises((Incomplete, DecofError)):
        parse(text[:cut])


@settings(max_examples=200)
@given(st.binary(max_size=60))
def test_any_bytes_leave_the_simulator_usable(data):
    endpoint = SimTopticaDlcPro(World(1), "laser").connect()
    endpoint.feed(b"", 0.0)
    endpoint.feed(data, 0.0)
    endpoint.feed(b"\x03", 0.0)
    replies = endpoint.feed(b"(param-ref 'ul)\n", 0.0)
    assert re.fullmatch(rb"[34]\r\n> ", replies[-1][1])


@pytest.mark.parametrize("text", ["#x", "&***", ")", "9" * 25, "(a . #q)"])
def test_text_that_cannot_be_read_is_an_error(text):
    with pytest.raises(DecofError):
        parse(text)


# -------------------------------------------------------------------- driver and simulator


def test_identity_and_wrong_identity(bench):
    assert re.fullmatch(r"DLC pro, DLC PRO_\d{6}, firmware 3.3.3", bench.laser.check_identity())
    laser, _ = scripted(
        (b"(param-ref 'system-type)\n", b'"iChrome CLE"\r\n> '),
        (b"(param-ref 'serial-number)\n", b'"1"\r\n> '),
        (b"(param-ref 'fw-ver)\n", b'"1.0"\r\n> '),
    )
    with pytest.raises(IdentityMismatch):
        laser.check_identity()


def test_tune_waits_for_the_motor(bench):
    laser = bench.laser
    begun = bench.clock.now()
    laser.wavelength = 1551.0
    assert (laser.state, laser.state_text) == (1, "approaching set wavelength")
    laser.tune(1551.0)
    assert laser.state == 0
    assert laser.actual_wavelength == pytest.approx(1551.0, abs=2e-4)
    assert 0.3 < bench.clock.now() - begun < 1.5
    with pytest.raises(TransportTimeout, match="still in state 1"):
        laser.tune(1600.0, timeout=1.0)


def test_tune_refuses_what_cannot_end(bench):
    with pytest.raises(RequestError, match=r"1700 nm is outside 1510 to 1630 nm"):
        bench.laser.tune(1700)
    with pytest.raises(RequestError, match="nan"):
        bench.laser.tune(float("nan"))
    bench.laser.ask("(param-set! 'laser1:ctl:remote-control:enabled #t)")
    with pytest.raises(InstrumentError, match="state 6"):
        bench.laser.tune(1551.0, timeout=5.0)


def test_emission_is_verified_and_explained(bench):
    laser, model = bench.laser, bench.sim.model
    laser.emission = True
    assert laser.emission is True
    assert laser.power == pytest.approx(20.0, rel=0.02)
    laser.make_safe()
    assert not model.emitting
    assert laser.power == 0.0
    model.interlock_open = model.frontkey_locked = True
    with pytest.raises(InstrumentError, match="the interlock is open, the front key is locked"):
        laser.emission = True
    model.interlock_open = model.frontkey_locked = False
    assert not model.emitting  # closing the interlock must not start the laser
    model.button_enabled = False
    with pytest.raises(InstrumentError, match="the emission button is off"):
        laser.emission = True


def test_emission_that_does_not_stop_is_an_error():
    off = (b"(param-set! 'laser1:dl:cc:enabled #f)\n", b"0\r\n> ")
    on = (b"(param-ref 'emission)\n", b"#t\r\n> ")
    laser, _ = scripted(off, *[on] * 100)
    with pytest.raises(InstrumentError, match="cannot be switched off: emission continues"):
        laser.make_safe()


def test_clipping_is_an_error_and_names_the_value(bench):
    with pytest.raises(InstrumentError, match=r"current-set 1000.0\) was clipped to 375.0"):
        bench.laser.current = 1000
    with pytest.raises(InstrumentError, match=r"clipped to 140.0"):
        bench.laser.piezo_voltage = 141


def test_piezo_shifts_the_light(bench):
    bench.clock.sleep(1.0)
    before = bench.sim.model.frequency_hz(bench.clock.now())
    bench.laser.shift_frequency(5.0)
    bench.clock.sleep(0.02)
    shift = bench.sim.model.frequency_hz(bench.clock.now()) - before
    assert shift == pytest.approx(5e9, rel=0.06)  # hysteresis
    assert bench.laser.actual_piezo_voltage == 72.5


def test_wide_scan_passes_all_states(bench):
    laser = bench.laser
    laser.start_wide_scan(1549.0, 1551.0, 2.0)
    seen = []
    for _ in range(60):
        if laser.state not in seen[-1:]:
            seen.append(laser.state)
        bench.clock.sleep(0.05)
    assert seen == [2, 3, 0]
    assert laser.wide_scan_progress == 100
    assert laser.actual_wavelength == 1551.0
    laser.start_wide_scan(1549.0, 1551.0, 2.0)
    bench.clock.sleep(1.2)
    laser.stop_wide_scan()
    held = laser.actual_wavelength
    bench.clock.sleep(1.0)
    assert laser.actual_wavelength == held != 1551.0


def test_snapshot_holds_the_settings(bench):
    shot = bench.laser.snapshot()
    assert shot["wavelength"] == 1550.12
    assert shot["emission"] is False
    assert shot["current"] == 300.0
    assert set(shot) == set(TopticaDlcPro.SETTINGS)


def test_scan_edges_follow_offset_and_amplitude():
    sim = SimTopticaDlcPro(World(1), "laser")
    assert talk(b"(param-set! 'laser1:scan:start 60.0)\n", sim) == b"0\r\n> "
    assert talk(b"(param-ref 'laser1:scan:end)\n", sim) == b"70.5\r\n> "
    assert talk(b"(param-ref 'laser1:scan:amplitude)\n", sim) == b"10.5\r\n> "
    assert talk(b"(param-set! 'laser1:scan:start 80.0)\n", sim) == b"-6\r\n> "


def test_optimisation_runs_its_time(bench):
    laser = bench.laser
    laser.execute("laser1:ctl:optimization:smile")
    assert laser.state == -1
    bench.clock.sleep(30.0)
    assert laser.ask("(param-ref 'laser1:ctl:optimization:progress)") == "50"
    bench.clock.sleep(31.0)
    assert laser.state == 0


def test_wavelength_calibration_shifts_the_scale_only(bench):
    before = bench.sim.model.coarse_nm(0.0)
    bench.laser.execute("laser1:ctl:motor:calibration:shift-wavelength", "1550.5")
    assert bench.laser.actual_wavelength == 1550.5
    assert bench.sim.model.coarse_nm(bench.clock.now()) == before
    bench.laser.tune(1550.6)
    assert bench.sim.model.coarse_nm(bench.clock.now()) == pytest.approx(before + 0.1, abs=1e-4)


def test_settings_of_the_bench_file_are_checked():
    with pytest.raises(RequestError, match="piezo_gain"):
        TopticaDlcPro(ByteAdapter(Script, VirtualClock(), name="laser"), piezo_gain=0.0)
    with pytest.raises(RequestError, match="no setting 'colour'"):
        TopticaDlcPro(ByteAdapter(Script, VirtualClock(), name="laser"), colour="red")


def test_a_closed_monitor_leaves_the_world():
    world = World(1)
    sim = SimTopticaDlcPro(world, "laser")
    line, other = sim.connect("monitor"), sim.connect("monitor")
    assert line in world.parts.values()
    line.close()
    assert line not in world.parts.values()
    assert other in world.parts.values()
    with pytest.raises(ValueError, match="laser: no port 'usb'"):
        sim.connect("usb")
