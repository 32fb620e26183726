"""Detector electronics WebSQ: messages of the maker's client, and the driver through the wire."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import scripted

from drivers.websq import WebSq
from labctl import benchfile
from labctl.adapter import ByteAdapter
from labctl.bench import Bench
from labctl.clock import VirtualClock
from labctl.errors import (
    IdentityMismatch,
    InstrumentError,
    LabError,
    RequestError,
    TransportError,
    TransportTimeout,
)
from labctl.transport.link import Link
from labctl.transport.replaying import Transcript
from labctl.transport.wirelog import WireLog
from simulated_instruments import faults
from simulated_instruments.physics.snspd import SnspdModel
from simulated_instruments.websq import SimWebSq
from simulated_instruments.world import World


class Setup:
    """Simulated electronics on a virtual clock with light at its detectors."""

    def __init__(self, rate=1e5, plan=None):
        self.world, self.clock, self.rate = World(), VirtualClock(), rate
        self.model = SnspdModel(
            self.world.seed_of, "detectors", photon_rate=lambda i, t: self.rate * (i + 1)
        )
        self.world.parts["detectors"] = self.model
        self.simulator = SimWebSq(self.world, "detectors")
        self.plan = faults.plan(plan or {})

    def opener(self, port, usual=""):
        return lambda: Link(faults.wrap(self.simulator.connect(port), self.plan), self.clock)

    def driver(self, **options):
        adapter = ByteAdapter(
            self.opener(""), self.clock, name="detectors", framing=WebSq.FRAMING,
            open_port=self.opener,
        )  # fmt: skip
        return WebSq(adapter, "detectors", **options)

    def say(self, *parts, endpoint=None):
        """Messages that answer some bytes."""
        endpoint = endpoint or self.simulator.connect("control")
        found = b""
        for part in parts:
            found += b"".join(reply for _, reply in endpoint.feed(part, self.clock.now()))
        assert found == b"" or found.endswith(b"\x17")
        return [json.loads(message) for message in found.split(b"\x17")[:-1]]


# ------------------------------------------------------------------ messages


def test_all_labels_are_told_as_the_maker_s_client_asks_for_them():
    # first bytes that the client sends, twice
    first = bytes.fromhex("7b2272657175657374223a20226c6162656c50726f7073222c")
    message = b'{"request": "labelProps", "value": "None"}'
    assert message.startswith(first)
    told = Setup().say(message + message)
    labels = {m["label"]: m["value"] for m in told}
    assert len(told) == 2 * len(labels)
    assert labels["NumberOfDetectors"]["value"] == 4
    for needed in ("InptMeasurementPeriod", "BiasCurrent", "TriggerLevel", "BiasVoltage",
                   "StartAutoIV", "BiasCurrentAutoIV"):  # fmt: skip
        assert "value" in labels[needed]


def test_changes_are_told_to_every_client():
    setup = Setup()
    other, own = setup.simulator.connect("control"), setup.simulator.connect("control")
    sets = (
        b'{"command": "SetAllTriggerLevels", "label": "TriggerLevel", "value": [20.0, 21, 22, 23]}'
    )
    expected = [{"label": "TriggerLevel", "value": [20.0, 21.0, 22.0, 23.0]}]
    assert setup.say(sets, endpoint=own) == expected
    assert setup.say(b"", endpoint=other) == expected
    other.close()
    setup.say(sets, endpoint=own)
    assert other.outbox == []


@pytest.mark.parametrize(
    ("message", "why"),
    [
        (b"hello", "no JSON object"),
        (b"[1]", "no JSON object"),
        (b"{}", "neither a request nor a command"),
        (b'{"request": "Nothing"}', "unknown label"),
        (b'{"command": "Explode"}', "unknown command"),
        (b'{"command": ["x"]}', "unhashable"),
        (b'{"command": "SetAllBiasCurrents", "value": [1, 2]}', "4 numbers"),
        (b'{"command": "SetAllBiasCurrents", "value": [1, 2, 3, 99]}', "from 0 to 40"),
        (b'{"command": "SetAllBiasCurrents", "value": [1, 2, 3, true]}', "no number"),
        (b'{"command": "SetMeasurementPeriod", "value": 0}', "from 10 to 10000"),
        (b'{"command": "DetectorEnable", "value": 1}', "true or false"),
    ],
)
def test_what_it_refuses_is_an_error_label(message, why):
    (told,) = Setup().say(message)
    assert "Error" in told["label"]
    assert why in told["value"]


@settings(max_examples=50)
@given(st.lists(st.integers(1, 30), min_size=1, max_size=20))
def test_commands_may_be_glued_and_cut_anywhere(sizes):
    setup = Setup()
    wire = b'{"request": "BiasVoltage"}{"request":"StartAutoIV"} {"request": "NumberOfDetectors"}'
    parts, place, turn = [], 0, 0
    while place < len(wire):
        parts.append(wire[place : place + sizes[turn % len(sizes)]])
        place += len(parts[-1])
        turn += 1
    told = setup.say(*parts)
    assert [m["label"] for m in told] == ["BiasVoltage", "StartAutoIV", "NumberOfDetectors"]


def test_a_character_may_be_cut():
    told = Setup().say(*(bytes([byte]) for byte in '{"request": "µA"}'.encode()))
    assert [message["value"] for message in told] == ["unknown label µA"]


def test_driver_speaks_as_the_maker_s_client():
    def told(label: str, value: str) -> bytes:
        return f'{{"label": "{label}", "value": {{"value": {value}}}}}\x17'.encode()

    websq, script = scripted(
        WebSq,
        (b'{"request": "NumberOfDetectors"}', told("NumberOfDetectors", "4")),
        (b'{"request": "BiasVoltage"}', told("BiasVoltage", "[0.0, 0.8, 0.0, 0.0]")),
        (b'{"request": "InptMeasurementPeriod"}', told("InptMeasurementPeriod", "100")),
        (
            b'{"command": "SetMeasurementPeriod", "label": "InptMeasurementPeriod", "value": 10}',
            b'{"label": "InptMeasurementPeriod", "value": 10}\x17',  # all clients are told
        ),
        (b'{"request": "InptMeasurementPeriod"}', told("InptMeasurementPeriod", "10")),
        (b'{"request": "BiasCurrent"}', told("BiasCurrent", "[0, 0, 0, 0]")),
        (
            (
                b'{"command": "SetAllBiasCurrents", "label": "BiasCurrent", '
                b'"value": [12.0, 8.0, 3.0, 8.0]}'
            ),
            b'{"label": "BiasCurrent", "value": [12.0, 8.0, 3.0, 8.0]}\x17',
        ),
        (b'{"request": "BiasCurrent"}', told("BiasCurrent", "[12.0, 8.0, 3.0, 8.0]")),
        (b'{"request": "TriggerLevel"}', told("TriggerLevel", "[0, 0, 0, 0]")),
        (
            (
                b'{"command": "SetAllTriggerLevels", "label": "TriggerLevel", '
                b'"value": [20.0, 20.0, 20.0, 20.0]}'
            ),
            b"",
        ),
        (b'{"request": "TriggerLevel"}', told("TriggerLevel", "[20.0, 20.0, 20.0, 20.0]")),
        (b'{"request": "NumberOfDetectors"}', told("NumberOfDetectors", "4")),
        # later versions of the client name the label here, earlier ones do not
        (
            (
                b'{"command": "DarkCountsAutoIV", "label": "DarkCountsAutoIV", '
                b'"value": [100, 100, 100, 100]}'
            ),
            b"",
        ),
        (b'{"request": "NumberOfDetectors"}', told("NumberOfDetectors", "4")),
        (b'{"command": "AutoCaliBiasCurrents", "value": true}', b""),
        (b'{"request": "StartAutoIV"}', told("StartAutoIV", "true")),
        (b'{"request": "StartAutoIV"}', told("StartAutoIV", "false")),
        (b'{"request": "BiasCurrentAutoIV"}', told("BiasCurrentAutoIV", "[15.1, 15, 15, 16]")),
        (
            b'{"command": "DetectorEnable", "label": "DetectorEnable", "value": true}',
            b'{"label": "DetectorEnable", "value": true}\x17',
        ),
        (b'{"request": "DetectorEnable"}', told("DetectorEnable", "true")),
    )
    assert websq.identify() == "WebSQ, 4 detectors"
    assert websq.latched == (2,)
    websq.period = 0.01
    websq.bias_currents = (12, 8, 3, 8)
    websq.trigger_levels = (20, 20, 20, 20)
    assert websq.auto_bias(100) == (15.1, 15.0, 15.0, 16.0)
    websq.enabled = True
    assert not script.exchanges


@given(st.binary(max_size=200))
def test_nonsense_never_breaks_the_server(noise):
    setup = Setup()
    endpoint = setup.simulator.connect("control")
    endpoint.feed(noise, 0.0)
    endpoint.feed(b"\n", 0.0)


def test_counts_are_lines_one_at_the_end_of_each_period():
    setup = Setup()
    endpoint = setup.simulator.connect("counts")
    assert endpoint.feed(b"", 0.0) == [(pytest.approx(0.1), b"")]
    replies = endpoint.feed(b"", 0.35)
    assert [due for due, _ in replies] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    lines = [line for _, line in replies[:-1]]
    assert replies[-1][1] == b""  # to be fed again when the next line is due
    times = [float(line.split(b",")[0]) for line in lines]
    assert np.diff(times) == pytest.approx([0.1, 0.1], abs=1e-5)  # of a double at 1.6e9
    assert all(line.endswith(b"\n") and line.count(b",") == 4 for line in lines)


def test_counts_do_not_depend_on_when_they_are_fetched():
    def lines(looks):
        endpoint, found = Setup().simulator.connect("counts"), []
        for now in looks:
            found += [reply for reply in endpoint.feed(b"", now) if reply[1]]
        return found

    assert lines([0.0, 5.0]) == lines(np.linspace(0, 5, 173))


# ------------------------------------------------------------------ driver


def test_identity_and_settings():
    detectors = Setup().driver()
    assert detectors.check_identity() == "WebSQ, 4 detectors"
    detectors.bias_currents = (12.0, 8.04, 3.0, 16.0)
    detectors.trigger_levels = [23.0, 24.0, 25.0, 26.0]
    detectors.period = 0.02
    detectors.enabled = False
    assert detectors.snapshot() == {
        "bias_currents": (12.0, 8.0, 3.0, 16.0),  # steps of 0.1
        "trigger_levels": (23.0, 24.0, 25.0, 26.0),
        "period": 0.02,
        "enabled": False,
    }


def test_wrong_requests_are_refused():
    setup = Setup()
    detectors = setup.driver()
    for wrong in (
        lambda: setattr(detectors, "bias_currents", (1, 2, 3)),
        lambda: setattr(detectors, "bias_currents", (1, 2, 3, 41)),
        lambda: setattr(detectors, "bias_currents", (1, 2, 3, float("nan"))),
        lambda: setattr(detectors, "bias_currents", 5.0),
        lambda: setattr(detectors, "trigger_levels", (0, 0, 0, -1)),
        lambda: setattr(detectors, "period", 100.0),
        lambda: setattr(detectors, "enabled", "on"),
        lambda: detectors.auto_bias(0.0),
        lambda: detectors.counts(0),
        lambda: detectors.count_rates(float("nan")),
        lambda: WebSq(detectors.adapter, "detectors", latch_voltage=-1.0),
    ):
        with pytest.raises((RequestError, ValueError)):
            wrong()
    assert detectors.bias_currents == (16.0, 16.0, 16.0, 16.0)


def test_what_the_instrument_refuses_is_one_line():
    setup = Setup()
    detectors = setup.driver()
    with pytest.raises(InstrumentError, match=r"^detectors: the instrument reports 'unknown comm"):
        detectors.command("Explode", "BiasCurrent", 1)
    assert detectors.bias_currents == (16.0, 16.0, 16.0, 16.0)


def test_another_instrument_is_noticed():
    setup = Setup()
    setup.simulator.labels = lambda: {"NumberOfDetectors": {"value": None}}
    with pytest.raises(IdentityMismatch, match="no WebSQ"):
        setup.driver().check_identity()


def test_count_rates_follow_light_efficiency_and_darks():
    setup = Setup()
    detectors = setup.driver()
    rates = detectors.count_rates(20.0)
    for i, rate in enumerate(rates):
        clicks = 1e5 * (i + 1) * 0.883812 + 17.776
        expected = clicks / (1 + clicks * 40e-9)
        assert rate == pytest.approx(expected, abs=4 * np.sqrt(expected / 20))
    detectors.enabled = False
    assert detectors.count_rates(0.5) == (0.0, 0.0, 0.0, 0.0)


def test_counts_of_whole_periods():
    setup = Setup()
    detectors = setup.driver()
    detectors.period = 0.01
    before = setup.clock.now()
    counts = detectors.counts(30)
    assert counts.shape == (30, 4)
    assert setup.clock.now() - before == pytest.approx(0.31, abs=0.03)
    assert counts[:, 0].mean() == pytest.approx(884, abs=25)


def test_a_latched_detector_is_told_and_brought_back():
    setup = Setup()
    detectors = setup.driver()
    detectors.bias_currents = (16, 16, 20.4, 16)
    assert detectors.latched == (3,)
    assert detectors.latched_count == 1
    assert detectors.count_rates(0.5)[2] == 0.0
    with pytest.raises(InstrumentError, match="detectors: detector 3 has latched and gives no"):
        detectors.check_latched()
    with pytest.raises(InstrumentError, match="detector 3 has latched"):  # at once again
        detectors.unlatch()
    detectors.bias_currents = (16, 16, 16, 16)
    assert detectors.latched == (3,)
    assert detectors.unlatch() == (3,)
    assert detectors.latched == ()
    assert detectors.bias_currents == (16, 16, 16, 16)
    assert detectors.count_rates(0.5)[2] > 1e5


def test_auto_bias_finds_the_dark_counts_in_the_dark_only():
    setup = Setup(rate=0.0)
    detectors = setup.driver()
    before = setup.clock.now()
    found = detectors.auto_bias(100.0)
    assert setup.clock.now() - before > 1.0
    assert found == detectors.bias_currents
    # 10 * 10^(I - 18) + 20 eta = 100: 18.9 with steps of 0.1
    assert found == (18.9, 18.9, 18.9, 18.9)
    assert detectors.count_rates(20.0)[0] == pytest.approx(97, abs=4 * np.sqrt(97 / 20) + 1)
    setup.rate = 1e4
    assert max(detectors.auto_bias(100.0)) < 10.0  # light taken for dark counts


def test_a_search_that_does_not_end_is_stopped():
    setup = Setup(rate=0.0)
    detectors = setup.driver()
    with pytest.raises(InstrumentError, match="bias search did not end in 2 s and was stopped"):
        detectors.auto_bias(100.0, timeout=2.0)
    assert detectors.label("StartAutoIV") is False


# ------------------------------------------------------------------ bench: record, replay, faults

BENCH = """
[bench]
[instruments.detectors]
driver = "drivers.websq:WebSq"
address = "tcp://websq.example:12000"
simulator = "simulated_instruments.websq:SimWebSq"
"""


def measure(bench):
    detectors = bench["detectors"]
    detectors.bias_currents = (15, 16, 17, 20.2)
    latched = detectors.unlatch.__self__.latched
    detectors.period = 0.05
    return latched, detectors.counts(4).tolist(), detectors.snapshot(), bench.clock.now()


def test_a_recording_replays(tmp_path):
    file = benchfile.parse(BENCH, tmp_path / "bench.toml")
    log = WireLog(tmp_path / "wire.jsonl")
    with Bench.open(file, "sim", seed=2, record=log) as bench:
        first = measure(bench)
    log.close()
    replayed = Bench.open(file, "replay", replay=Transcript(tmp_path / "wire.jsonl"))
    assert measure(replayed) == first


def stubborn(bench):
    """Settings and counts, asked again as often as it takes, and when that was."""
    failures = []
    for _ in range(9):
        try:
            bench["detectors"].trigger_levels = (21, 22, 23, 24)
            return bench["detectors"].counts(2).tolist(), failures, bench.clock.now()
        except LabError as error:
            failures.append(str(error))
    return None, failures, bench.clock.now()


@pytest.mark.parametrize("kind", sorted(faults.KINDS))
def test_a_recording_of_a_bad_line_replays(tmp_path, kind):
    text = BENCH + f"faults = {{ {kind} = [2, 5, 9] }}\n"
    file = benchfile.parse(text, tmp_path / "bench.toml")
    log = WireLog(tmp_path / "wire.jsonl")
    with Bench.open(file, "sim", seed=4, record=log) as bench:
        first = stubborn(bench)
    log.close()
    replayed = Bench.open(file, "replay", replay=Transcript(tmp_path / "wire.jsonl"))
    assert stubborn(replayed) == first
    assert first[0] is not None


@pytest.mark.parametrize("kind", sorted(faults.KINDS))
@pytest.mark.parametrize("reply", [1, 2, 3, 4, 5, 6])
def test_a_bad_line_is_an_error_or_does_no_harm(kind, reply):
    setup = Setup(plan={kind: [reply]})
    detectors = setup.driver()
    told = ""
    try:
        detectors.bias_currents = (10, 11, 12, 13)
        detectors.trigger_levels = (20, 21, 22, 23)
    except LabError as error:
        told = str(error)
    assert told == "" or told.startswith("detectors")
    assert "\n" not in told
    biases = detectors.bias_currents
    assert biases == tuple(setup.model.bias(i) for i in range(4))
    assert told or biases == (10, 11, 12, 13)


def test_no_counts_is_a_clear_line():
    setup = Setup(plan={"hang": [3]})
    with pytest.raises(TransportTimeout, match="detectors: no counts came for"):
        setup.driver().counts(2)


def test_a_lost_counts_connection_is_an_error():
    setup = Setup(plan={"disconnect": [4]})
    with pytest.raises(TransportError, match="detectors"):
        setup.driver().counts(5)
