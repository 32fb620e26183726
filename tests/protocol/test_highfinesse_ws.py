"""Wavelength meter: calls of the vendor's interface for driver and simulator, then together.

Function names, arguments and codes are those of the vendor's binding of 2024.
"""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import in_front_of, scripted

from drivers.highfinesse_library import FUNCTIONS
from drivers.highfinesse_ws import HighFinesseWs
from labctl.errors import InstrumentError, RequestError, TransportTimeout
from labctl.jsonline import encode
from simulated_instruments.highfinesse_ws import Light, SimHighFinesseWs, WavemeterModel
from simulated_instruments.world import World


def says(*exchanges):
    """Calls that the driver must make, and what they give."""
    lines = [
        (
            (json.dumps(call, separators=(",", ":")) + "\n").encode(),
            f'{{"result":{result}}}\n'.encode(),
        )
        for call, result in exchanges
    ]
    return scripted(HighFinesseWs, *lines)


# ---- the driver alone


def test_identity():
    meter, script = says(
        (["GetWLMCount", 0], 1),
        (["GetWLMVersion", 0], 8),
        (["GetWLMVersion", 1], 4711),
        (["GetWLMVersion", 2], 1),
        (["GetWLMVersion", 3], 2024),
    )
    assert meter.check_identity() == "HighFinesse WS8, serial 4711, revision 1.2024"
    assert not script.exchanges
    meter, _ = says((["GetWLMCount", 0], 0))
    with pytest.raises(InstrumentError, match=r"^it: no wavelength meter's program is running"):
        meter.identify()


def test_values_and_switches():
    meter, script = says(
        (["GetFrequencyNum", 2, 0.0], 193.4145),
        (["GetWavelengthNum", 1, 0.0], 1550.12),
        (["Operation", 2], 0),
        (["GetOperationState", 0], 2),
        (["SetDeviationMode", True], 0),
        (["GetDeviationMode", False], 1),
        (["SetExposureModeNum", 1, False], 0),
        (["SetExposureNum", 1, 1, 20], 0),
        (["GetTemperature", 0.0], -3.5),
        (["GetPIDCourseNum", 1], '[0,"= 193.4145"]'),
    )
    assert meter.channels[2].frequency == 193.4145
    assert meter.ch_1.wavelength == 1550.12
    meter.measuring = True
    assert meter.measuring is True
    meter.regulation = True
    assert meter.regulation is True
    meter.ch_1.exposure = 20
    assert meter.temperature == -3.5
    assert meter.ch_1.course == "= 193.4145"
    assert not script.exchanges


def test_regulation_is_set_with_the_numbers_of_the_interface():
    numbers = [1041, 1040, 1038, 1037, 1039, 1042, 1043, 1042, 1034, 1035, 1036]
    values = [
        (2, 0.0),
        (2, 0.0),
        (-1, 0.0),
        (0, 2.5),
        (-3, 0.0),
        (0, -10000.0),
        (0, 4000.0),
        (0, -4000.0),
        (0, 0.0),
        (0, 10.0),
        (0, 0.0),
    ]
    meter, script = says(
        *[(["SetPIDSetting", n, 1, *v], 0) for n, v in zip(numbers, values, strict=True)],
        (["SetPIDCourseNum", 1, "= 193.414500000"], 0),
        (["ClearPIDHistory", 1], 0),
    )
    meter.ch_1.regulate(193.4145, -2.5, limits=(-4000.0, 4000.0))
    assert not script.exchanges


@pytest.mark.parametrize(
    ("code", "why"),
    [
        (0, "no value yet"),
        (-1, "no signal; check laser"),
        (-3, "too low"),
        (-4, "too strong"),
        (-5, "start the wavelength meter's program"),
        (-6, "cannot do this"),
        (-99, "not explain"),
    ],
)
def test_every_code_that_is_no_value_is_an_error(code, why):
    meter, _ = says((["GetFrequencyNum", 1, 0.0], float(code)))
    with pytest.raises(InstrumentError, match=why) as caught:
        _ = meter.ch_1.frequency
    assert str(caught.value).startswith("it: instead of the frequency of channel 1 it gives")


def test_refused_settings_and_missing_weather():
    meter, _ = says((["Operation", 2], -1), (["GetPressure", 0.0], -1005.0))
    with pytest.raises(InstrumentError, match=r"^it: Operation\(2\) was refused \(-1\): no meter"):
        meter.measuring = True
    with pytest.raises(InstrumentError, match=r"pressure it gives that no meter is there"):
        _ = meter.pressure


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ((math.nan, 2.0), "frequency in THz"),
        ((1550.12, 2.0), "frequency in THz"),
        ((193.4, 0.0), "sensitivity"),
        ((193.4, math.nan), "sensitivity"),
    ],
)
def test_driver_refuses_a_regulation_that_cannot_work(arguments, complaint):
    meter, script = says()
    with pytest.raises(RequestError, match=complaint):
        meter.ch_1.regulate(*arguments)
    for wrong in ({"i": -1.0}, {"p": math.inf}, {"limits": (5.0, 5.0)}, {"limits": (0, 20_000)}):
        with pytest.raises(RequestError, match="of it channel 1 must"):
            meter.ch_1.regulate(193.4, 2.0, **wrong)
    assert not script.exchanges


# ---- the simulator alone


def calls(*said, sim=None, now=1.0):
    endpoint = (sim or SimHighFinesseWs(World(1), "meter")).connect()
    lines = b"".join(json.dumps(call).encode() + b"\n" for call in said)
    return [json.loads(reply) for _, reply in endpoint.feed(lines, now)]


def results(*said, **more):
    return [reply["result"] for reply in calls(*said, **more)]


def test_simulator_has_every_function_that_the_driver_may_call():
    sim = SimHighFinesseWs(World(1), "meter")
    for name in FUNCTIONS:
        [reply] = calls([name, *range(9)], sim=sim)
        assert "no function" not in reply.get("error", "")


def test_codes_without_a_program():
    sim = SimHighFinesseWs(World(1), "meter")
    sim.running = False
    assert results(
        ["GetWLMCount", 0],
        ["GetFrequencyNum", 1, 0.0],
        ["GetWLMVersion", 0],
        ["Operation", 2],
        ["SetPIDCourseNum", 1, "= 193.4"],
        ["GetTemperature", 0.0],
        ["Instantiate", -1, 0, 0, 0],
        ["GetOperationState", 0],
        sim=sim,
    ) == [0, -5, -5, -1, -1, -1005, 0, 0]
    assert results(["ControlWLMEx", 0x71, 0, 0, 20000, 0], ["GetWLMCount", 0], sim=sim) == [1, 1]


def test_codes_of_channels_and_values():
    assert results(
        ["GetFrequencyNum", 1, 0.0],
        ["GetFrequencyNum", 9, 0.0],
        ["GetExposureNum", 9, 1, 0],
        ["SetExposureNum", 1, 1, 0],
        ["SetExposureNum", 9, 1, 5],
        ["SetPIDCourseNum", 1, "sin(t)"],
        ["SetPIDCourseNum", 1, "193.4.5"],
        ["SetPIDSetting", 4242, 1, 0, 0.0],
        ["SetPIDSetting", 1041, 1, 3, 0.0],
        ["SetPIDSetting", 1042, 1, 0, 2e4],
        ["SetDeviationSignalNum", 1, 1e5],
        ["SetPIDSetting", 1038, 1, 0, 0.0],
        ["SetPIDSetting", 1037, 1, 0, 0.0],
        ["SetPIDSetting", 1060, 1, 0, 0.0],
        ["GetSwitcherSignalStates", 2],
        ["GetSwitcherSignalStates", 0],
    ) == [0, -6, -6, -3, -10, -3, -3, -6, -15, -3, -3, -3, -3, -3, [0, 0, 0], [-10, 0, 0]]


def test_settings_come_back():
    assert results(
        ["SetPIDSetting", 1034, 2, 0, 0.5],
        ["GetPIDSetting", 1034, 2],
        ["SetPIDSetting", 1038, 2, -1, 0.0],
        ["GetPIDSetting", 1038, 2],
        ["GetPIDSetting", 1041, 2],
        ["SetPIDCourseNum", 2, "= 193.4145"],
        ["GetPIDCourseNum", 2],
        ["GetPIDCourseNum", 3],
        ["SetPIDCourseNum", 3, "1550.12"],
        ["GetChannelsCount", 0],
        ["ConvertUnit", 193.4145, 2, 0],
        ["GetActiveChannel", 1, 0],
    ) == [
        0,
        [0, 0, 0.5],
        0,
        [0, -1, 0.0],
        [0, 2, 0.0],
        0,
        [0, "= 193.4145"],
        [0, "0"],
        0,
        8,
        pytest.approx(1550.0000, abs=1e-3),
        [1, 1],
    ]


def test_a_value_is_given_once_in_single_mode():
    sim = SimHighFinesseWs(World(1), "meter")
    endpoint = sim.connect()
    other = sim.connect()

    def ask(end, now, *call):
        [(_, reply)] = end.feed(json.dumps(call).encode() + b"\n", now)
        return json.loads(reply)["result"]

    ask(endpoint, 0.0, "Operation", 2)
    ask(endpoint, 0.0, "Instantiate", 0, 1, 0, 0)
    assert ask(endpoint, 0.005, "GetFrequencyNum", 1, 0.0) == 0
    first = ask(endpoint, 0.0101, "GetFrequencyNum", 1, 0.0)
    assert first == pytest.approx(193.4, abs=2e-5)
    assert ask(endpoint, 0.015, "GetFrequencyNum", 1, 0.0) == 0
    assert ask(other, 0.015, "GetFrequencyNum", 1, 0.0) == first
    assert ask(endpoint, 0.0201, "GetFrequencyNum", 1, 0.0) not in (0, first)


@given(
    st.sampled_from(sorted(FUNCTIONS)),
    st.lists(st.integers(-3, 2000) | st.floats() | st.text(max_size=9), max_size=5),
)
def test_simulator_survives_anything(name, arguments):
    [reply] = calls([name, *arguments])
    assert reply.keys() in ({"result"}, {"error"})


# ---- together


def bench(**lights):
    world = World(3)
    sources = {
        1: Light(lambda t: 193.4e12 + 1e6 * t, hz_per_v=2e9),
        2: Light(lambda t: 194.6e12 + 0.0 * t, power_uw=lambda t: 0.5 + 0.0 * t),
    }
    world.parts["meter"] = WavemeterModel(world.seed_of, "meter", sources)
    sim = SimHighFinesseWs(world, "meter")
    return in_front_of(sim, HighFinesseWs), sim


def test_driver_and_simulator():
    meter, sim = bench()
    meter.check_identity()
    with pytest.raises(InstrumentError, match="no value yet"):
        _ = meter.ch_1.frequency
    with pytest.raises(TransportTimeout, match="no new value on channel 1 in 1 s"):
        meter.ch_1.next_frequency(timeout=1.0)
    meter.measuring = True
    meter.channels_in_use = [1, 2]
    values = [meter.ch_1.next_frequency() for _ in range(4)]
    assert len(set(values)) == 4
    assert max(abs(value - 193.4) for value in values) < 2e-5
    with pytest.raises(InstrumentError, match="no signal"):
        _ = meter.channels[2].frequency
    meter.ch_1.deviation = 1000.0
    meter.clock.sleep(0.1)
    assert meter.ch_1.frequency == pytest.approx(193.402, abs=2e-5)
    meter.ch_1.regulate(193.401, 2.0, i=10.0)
    meter.regulation = True
    with pytest.raises(RequestError, match="switch it off first"):
        meter.ch_1.deviation = 0.0
    meter.clock.sleep(5.0)
    assert meter.ch_1.frequency == pytest.approx(193.401, abs=2e-6)
    encode(meter.snapshot())  # it goes into the journal of a run
    assert meter.snapshot()["courses"] == {"1": "= 193.401000000", "2": "0"}
    held = meter.ch_1.deviation
    meter.make_safe()
    meter.clock.sleep(5.0)
    assert meter.ch_1.deviation == pytest.approx(held, abs=5.0)
    assert not sim.model.regulating
    meter.ch_1.release()
    assert meter.ch_1.course == "= 0"


def test_wrong_requests_are_one_line():
    meter, _ = bench()
    for act, complaint in (
        (lambda: setattr(meter, "channels_in_use", []), "channels in use must be from 1 to 8"),
        (lambda: setattr(meter, "channels_in_use", [1, 9]), r"got \[1, 9\]"),
        (lambda: setattr(meter.ch_1, "exposure", 5000), "out of range"),
        (lambda: setattr(meter.ch_1, "deviation", 1e5), "out of range"),
    ):
        with pytest.raises((RequestError, InstrumentError), match=complaint) as caught:
            act()
        assert "\n" not in str(caught.value)
        assert str(caught.value).startswith("meter")
    assert meter.channels_in_use == [1]
