"""Qontrol modules: lines as the vendor's client expects and sends them, then driver and simulator.

Lines, units and codes: the vendor's Python client 1.1.20.
"""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import in_front_of, scripted, simulated

from drivers.qontrol import QontrolInputs, QontrolOutputs
from labctl.errors import IdentityMismatch, InstrumentError, RequestError, TransportTimeout
from simulated_instruments.faults import plan
from simulated_instruments.qontrol import (
    PhaseShifterModel,
    PhotodiodesModel,
    SimQontrolInputs,
    SimQontrolOutputs,
)
from simulated_instruments.world import World

CHAIN = ((b"nup=0\n", b"OK\n"), (b"nupall?\n", b"Q8iv-0001:0\nQ8iv-00A2:1\n"))


# ---- the driver alone


def test_driver_reads_what_modules_say():
    chip, script = scripted(
        QontrolOutputs,
        (b"id?\n", b"Q8iv-0001\n"),
        *CHAIN,
        (b"V3?\n", b"+4.2000 V\n"),
        (b"I3?\n", b"+8.4000 mA\n"),
        (b"Vall?\n", b"".join(b"+%d.0000 V\n" % n for n in range(16))),
        (b"vfull?\n", b"+12.000 V\n"),
        (b"V15=4.2\n", b"OK\n"),
    )
    assert chip.check_identity() == "Q8iv-0001"
    assert chip.modules == ["Q8iv-0001", "Q8iv-00A2"]
    assert chip.channel_count == 16
    assert chip.voltage(3) == 4.2
    assert chip.current(3) == 8.4
    assert chip.voltages == [float(n) for n in range(16)]
    chip.set_voltage(15, 4.2)
    assert not script.exchanges


def test_driver_sets_all_channels_module_by_module():
    chip, script = scripted(
        QontrolOutputs,
        (b"vfull?\n", b"+12.000 V\n"),
        *CHAIN,
        (b"VVEC0=0,1,2,3,4,5,6,7\n", b"OK\n"),
        (b"VVEC8=8,9,10,11,11.5,0,0,0\n", b"OK\n"),
    )
    chip.voltages = [*range(12), 11.5, 0, 0, 0]
    assert not script.exchanges


def test_photocurrents_come_in_any_unit():
    inputs, _ = scripted(
        QontrolInputs,
        (b"nup=0\n", b"OK\n"),
        (b"nupall?\n", b"S8i-0002:0\n"),
        (b"Iall?\n", b"+1.5 nA\n-2.5 uA\n+0.25 mA\n0.001 A\n+0 uA\n+1 uA\n+1 uA\n+1 uA\n"),
    )
    currents = inputs.currents
    assert currents[:5] == pytest.approx([1.5e-6, -2.5e-3, 0.25, 1.0, 0.0])


def test_a_refusal_names_command_code_and_reason():
    chip, _ = scripted(QontrolOutputs, *CHAIN, (b"V2=99\n", b"E11:02\n"), (b"V2?\n", b"E12:02\n"))
    assert chip.channel_count == 16
    with pytest.raises(
        InstrumentError, match=r"^it: 'V2=99' was refused with E11:02, it does not take this value$"
    ):
        chip.order("V2=99")
    with pytest.raises(InstrumentError, match=r"'V2\?' was refused with E12:02"):
        chip.voltage(2)


def test_complaints_that_come_by_themselves_do_not_disturb_answers_and_are_not_lost():
    chip, script = scripted(
        QontrolOutputs,
        *CHAIN,
        (b"V2?\n", b"E02:05\n+1.0000 V\n"),
        (b"V2?\n", b"+1.0000 V\n"),
    )
    assert chip.channel_count == 16
    assert chip.voltage(2) == 1.0
    with pytest.raises(
        InstrumentError, match="it: channel 5 reports E02:05, over-current: the out"
    ):
        chip.voltage(2)
    script.waiting = b"E01:03\nE90:00\n"
    assert [text[:34] for text in chip.check_errors()] == [
        "it: channel 3 reports E01:03, over",
        "it: channel 0 reports E90:00, it w",
    ]
    assert chip.check_errors() == []
    assert chip.voltage(2) == 1.0


def test_a_serial_error_makes_the_driver_repeat():
    chip, script = scripted(
        QontrolOutputs, (b"id?\n", b"E15:00\n"), (b"id?\n", b"E15:00\n"), (b"id?\n", b"Q8iv-0001\n")
    )
    assert chip.identify() == "Q8iv-0001"
    chip, script = scripted(QontrolOutputs, *[(b"id?\n", b"E15:00\n")] * 3)
    with pytest.raises(InstrumentError, match="E15:00, a serial error; check the line"):
        chip.identify()
    assert not script.exchanges


def test_answers_that_make_no_sense():
    chip, _ = scripted(
        QontrolOutputs, *CHAIN, (b"V2?\n", b"+1.0 kV\n"), (b"V1=1\n", b"+1.0000 V\n")
    )
    assert chip.channel_count == 16
    with pytest.raises(InstrumentError, match=r"^it: 'V2\?' was answered with '\+1.0 kV'"):
        chip.voltage(2)
    with pytest.raises(InstrumentError, match=r"^it: 'V1=1' was answered with .*not with OK"):
        chip.order("V1=1")


# ---- the simulator alone


def replies(*lines, sim=None, now=1.0):
    endpoint = (sim or SimQontrolOutputs(World(1), "phases")).connect()
    return [reply for line in lines for _, reply in endpoint.feed(line, now) if reply]


def test_simulator_speaks_as_the_client_expects():
    assert replies(
        b"id?\n",
        b"nup=0\n",
        b"nupall?\n",
        b"vfull?\n",
        b"ifull?\n",
        b"nchan?\n",
        b"V3=4.2\n",
        b"V3?\n",
        b"VMAX3?\n",
    ) == [
        b"Q8iv-0001\n",
        b"OK\n",
        b"Q8iv-0001:0\n",
        b"+12.000 V\n",
        b"+24.000 mA\n",
        b"8\n",
        b"OK\n",
        b"+4.2000 V\n",
        b"+12.0000 V\n",
    ]
    confirmed, *volts = replies(b"VVEC2=1.0,2.0\nVall?\n")
    assert confirmed == b"OK\n"
    assert [float(v.removesuffix(b" V\n")) for v in volts] == pytest.approx(
        [0, 0, 1, 2, 0, 0, 0, 0], abs=2e-4
    )
    assert float(replies(b"I3=8\n", b"I3?\n")[1].split()[0]) == pytest.approx(8.0, abs=1e-3)
    assert replies(b"QUIET=1\nV1=3\nV1?\n") == [b"+3.0000 V\n"]


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        (b"V2=12.1", b"E11:02"),
        (b"V2=-1", b"E11:02"),
        (b"V2=nan", b"E11:02"),
        (b"V2=much", b"E11:02"),
        (b"V2=", b"E11:02"),
        (b"V8=1", b"E12:08"),
        (b"V8?", b"E12:08"),
        (b"VVEC6=1,2,3", b"E12:08"),
        (b"VVEC6=1,99", b"E11:07"),
        (b"FOO?", b"E10:00"),
        (b"FOO2?", b"E10:02"),
        (b"V2", b"E10:00"),
        (b"\xff\xfe", b"E10:00"),
    ],
)
def test_simulator_refuses_and_changes_nothing(wrong, code):
    answers = replies(wrong + b"\n", b"Vall?\n")
    assert answers[0] == code + b"\n"
    assert set(answers[1:]) == {b"+0.0000 V\n"}


def test_too_much_current_shuts_the_output_off_a_little_later():
    sim = SimQontrolOutputs(World(1), "phases")
    endpoint = sim.connect()
    assert replies(b"IMAX2=5\n", sim=sim) == [b"OK\n"]
    said = endpoint.feed(b"V2=4\n", 2.0)
    assert said[0][1] == b"OK\n"
    [(_, complaint)] = endpoint.feed(b"", said[-1][0])
    assert complaint == b"E02:02\n"
    assert replies(b"V2?\n", sim=sim, now=3.0)[-1] == b"+0.0000 V\n"
    assert replies(b"VMAX1=3\nV1=3.5\nV1?\n", sim=sim, now=3.0)[-1] == b"+0.0000 V\n"


def test_inputs_of_several_modules():
    world = World(1)
    world.parts["diodes"] = PhotodiodesModel(
        world.seed_of, "diodes", 16, lambda channel, t: 1e-3 * channel * t, noise_ma=0.0
    )
    sim = SimQontrolInputs(world, "diodes")
    assert replies(b"nupall?\n", b"I15?\n", b"I3=1\n", b"GAIN3=2\n", b"GAIN3?\n", sim=sim) == [
        b"S8i-0001:0\n",
        b"S8i-0002:1\n",
        b"+15.000000 uA\n",
        b"E13:00\n",
        b"OK\n",
        b"2\n",
    ]
    assert in_front_of(sim, QontrolInputs).currents == pytest.approx(
        [1e-3 * n * world.now for n in range(16)], rel=1e-2, abs=1e-6
    )


@given(
    st.binary(max_size=40)
    | st.from_regex(r"[A-Za-z]{1,4}\d{0,3}[?=][\d.,e-]{0,9}\n", fullmatch=True).map(str.encode)
)
def test_simulator_survives_anything(junk):
    endpoint = SimQontrolOutputs(World(1), "phases").connect()
    endpoint.feed(junk, 0.0)
    endpoint.feed(b"\nQUIET=0\n", 1.0)
    assert endpoint.feed(b"id?\n", 2.0)[-1][1] == b"Q8iv-0001\n"


# ---- together


def test_driver_and_simulator():
    chip, sim = simulated(SimQontrolOutputs, QontrolOutputs)
    chip.check_identity()
    chip.voltages = [0.5 * n for n in range(8)]
    assert chip.voltages == pytest.approx([0.5 * n for n in range(8)], abs=2e-4)
    expected = 1e3 * 3.5 / sim.model.resistance_ohm[7]
    assert chip.current(7) == pytest.approx(expected, abs=1e-3)
    assert chip.power == pytest.approx(sum(0.25 * n * n / 0.5 for n in range(8)), rel=0.1)
    assert chip.snapshot()["modules"] == ["Q8iv-0001"]
    started = chip.clock.now()
    chip.ramp(7, 0.5, rate=1.0)
    assert chip.clock.now() - started == pytest.approx(3.0, abs=0.3)
    assert chip.voltage(7) == pytest.approx(0.5, abs=2e-4)
    chip.make_safe()
    assert set(chip.voltages) == {0.0}


def test_wrong_requests_are_refused_before_anything_is_sent():
    chip, _ = simulated(SimQontrolOutputs, QontrolOutputs, maximum_voltage=5.0)
    for act, complaint in (
        (lambda: chip.set_voltage(0, 5.1), "voltage in V of it must be from 0 to 5"),
        (lambda: chip.set_voltage(0, math.nan), "from 0 to 5, got nan"),
        (lambda: chip.set_voltage(8, 1.0), "channel 8 does not exist; there are 0 to 7"),
        (lambda: chip.set_voltage(True, 1.0), "channel True does not exist"),
        (lambda: chip.ramp(0, 1.0, 0.0), "rate in V/s must be positive"),
        (lambda: setattr(chip, "voltages", [1.0] * 7 + [6.0]), "from 0 to 5, got 6"),
        (lambda: setattr(chip, "voltages", [1.0]), "8 voltages are needed, got 1"),
    ):
        with pytest.raises(RequestError, match=complaint) as caught:
            act()
        assert "\n" not in str(caught.value)
    assert set(chip.voltages) == {0.0}
    with pytest.raises(RequestError, match="must be positive"):
        simulated(SimQontrolOutputs, QontrolOutputs, maximum_voltage=-1.0)


def test_a_lost_answer_does_not_shift_the_next():
    chip, _ = simulated(SimQontrolOutputs, QontrolOutputs, plan({"late": [4], "late_by": 1.5}))
    assert chip.channel_count == 8  # two answers
    chip.order("V1=1")
    with pytest.raises(TransportTimeout, match=r"V1\?"):
        chip.voltage(1)
    assert chip.voltage(2) == 0.0
    assert chip.voltage(1) == pytest.approx(1.0, abs=2e-4)


def test_outputs_are_not_inputs():
    with pytest.raises(IdentityMismatch, match="diodes"):
        in_front_of(SimQontrolInputs(World(1), "diodes"), QontrolOutputs).check_identity()


# ---- the model


def test_phases_follow_the_heat():
    model = PhaseShifterModel(World(2).seed_of, crosstalk=0.0, tau=0.5)
    volts = math.sqrt(30e-3 * 500.0)
    model.advance(1.0)
    model.set_volts({3: volts})
    full = model.phase(3, 1e3)
    assert full == pytest.approx(math.pi, rel=0.2)  # 2 % of spread, twice
    assert model.phase(3, 1.0) == 0.0
    assert model.phase(3, 1.5) == pytest.approx(full * (1 - math.exp(-1)))
    assert model.phase(2, 1e3) == 0.0
    model.advance(1.5)
    model.set_volts({3: 0.0})
    assert model.phase(3, 1.5) == pytest.approx(full * (1 - math.exp(-1)))
    assert model.phase(3, 2.0) == pytest.approx(full * (1 - math.exp(-1)) * math.exp(-1))
    assert model.phase(3, 1.25) == pytest.approx(full * (1 - math.exp(-0.5)))


def test_neighbours_are_warmed():
    model = PhaseShifterModel(World(2).seed_of, crosstalk=0.1)
    model.set_volts({4: 3.0})
    phases = [model.phase(channel, 10.0) for channel in range(8)]
    assert phases[5] / phases[4] == pytest.approx(0.1, rel=0.2)
    assert phases[2] / phases[4] == pytest.approx(0.01, rel=0.2)
    model.set_volts({4: 6.0})
    assert model.phase(4, 10.0) == pytest.approx(4 * phases[4])


def test_neighbours_of_the_assumed_chip_get_2_percent():
    ratios = []
    for seed in range(10):
        model = PhaseShifterModel(World(seed).seed_of)
        model.set_volts({4: 3.0})
        ratios += [model.phase(n, 10.0) / model.phase(4, 10.0) for n in (3, 5)]
    assert sum(ratios) / 20 == pytest.approx(0.02, rel=0.04)  # P_pi of each differs by 2 %
