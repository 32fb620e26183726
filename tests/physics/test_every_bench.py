"""One long step of time equals many short ones, for everything that every instrument can tell.

All instruments of a bench are set in motion: lasers tune and scan, a chip goes to another
temperature, filters move, sweeps, readings, counters and recordings are under way. Two equal worlds
then let the same time pass, one in a single step, the other in many. After that every property and
all data must be the same to the last bit.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from traffic import drivers, names_of, open_driver, read, readable, simulators

from drivers.pulse_streamer import PulsePattern
from labctl.bench import Bench
from labctl.benchloading import shipped_benches
from labctl.clock import VirtualClock
from labctl.transport.link import Link
from simulated_instruments.physics.decoy_bb84 import Link as DecoyLink
from simulated_instruments.physics.qkd_boards import ReceiverModel, TransmitterModel
from simulated_instruments.world import World

#: Stretches of time (s) between two looks at everything.
STRETCHES = (0.0137, 0.61, 23.0, 400.0)
#: Where 1e6 photons per second are drawn one by one.
SHORT = (0.0137, 0.11, 0.2)


def _tec(tec: Any) -> None:
    tec.target, tec.output = tec.target + 1.5, True


def _dlc(laser: Any) -> None:
    laser.emission = True
    laser.piezo_voltage = 78.5  # beyond a mode's end
    laser.start_wide_scan(1548.0, 1552.0, 0.05)


def _rf(source: Any) -> None:
    low, high = (max(pair) if n == 0 else min(pair) for n, pair in enumerate(
        zip(source._range("frequency"), source._modulator["frequency"], strict=True)))  # fmt: skip
    source.frequency, source.power, source.output = (low + high) / 2, 0.0, True


def _smb(source: Any) -> None:
    source.frequency, source.power, source.output = 10e6, 0.0, True


def _edfa(amplifier: Any) -> None:
    amplifier.write(":DRIV:ACC:STAT:CH1 1;")
    amplifier.clock.sleep(1.0)
    amplifier.write(":DRIV:MCTRL 1")


def _shaper(shaper: Any) -> None:
    middle = float(np.mean(shaper.grid))
    shaper.set_band(middle, 0.5, port=1)
    shaper.load(verify=False)


def _lock(lock: Any) -> None:
    lock.registers.write(0x40300000, 10)
    lock.registers.write(0x40300004, 1)
    lock.p, lock.i = 0.01, -60.0


def _esa(analyser: Any) -> None:
    analyser.configure_zero_span(5e5, 1e5, 100.0, 0.5, 101)
    analyser.trace_type, analyser.average_count = "AVER", 7
    analyser.continuous = True


def _meter(meter: Any) -> None:
    meter.averaging = 250
    meter.write("INIT")


def _itla(laser: Any) -> None:
    laser.emission = True
    laser.mode = "whisper"
    laser.write_register(0x62, 6000)


def _wavemeter(meter: Any) -> None:
    meter.measuring = True
    meter.channels_in_use = [1, 2]
    meter.ch_1.regulate(meter.ch_1.next_frequency(), 2.0, i=10.0)
    meter.regulation = True


def _voa(voa: Any) -> None:
    for channel in getattr(voa, "channels", {}).values() or [voa]:
        channel.output = True
        channel.write(f"{channel._prefix}:ATT 25" if hasattr(channel, "_prefix") else ":INP:ATT 25")


def _voas(voas: Any) -> None:
    for n in range(1, 5):
        voas.write(f":OUTP{n}:STAT ON;:INP{n}:ATT {5 * n}")


def _heaters(heaters: Any) -> None:
    heaters.voltages = [0.5 * n for n in range(heaters.channel_count)]


def _detectors(detectors: Any) -> None:
    count = len(detectors.bias_currents)
    detectors.bias_currents = (19.6, 20.5, 16.0, 17.0)[:count]
    detectors.period = 0.05


def _tagger(tagger: Any) -> None:
    tagger.write("INPU1:COUN:MODE ACCU;RESE;:INPU2:COUN:MODE CYCL;INTE 300;RESE")
    tagger.write("HIST1:REF:LINK INPU1;:HIST1:STOP:LINK INPU2;:HIST1:BWID 1000;BCOU 100")
    tagger.write("REC:TRIG:ARM:MODE MANU;:REC:ENAB ON;:REC:NUM 0;:REC:DUR 3000000000000;:REC:PLAY")


def _bridge(bridge: Any) -> None:
    bridge.look_at(6)
    bridge.hold(0.08)


def _magnet(magnet: Any) -> None:
    magnet.rate_t_per_s, magnet.target_t = 0.0005, 0.11
    magnet.ramp()


def _piezos(piezos: Any) -> None:
    piezos.hold(1, 60.0)
    piezos.hold(3, 20.0)


def _vna(vna: Any) -> None:
    vna.write("SENS1:FREQ:STAR 9.97E9;STOP 10.03E9;:SENS1:SWE:POIN 51;:SENS1:BWID 100")
    vna.write("OUTP 1;:INIT1:CONT OFF;:SENS1:SWE:MODE SING")


def _digitiser(board: Any) -> None:
    board.configure(1024)
    board.write("ACQ:START")
    board.write("ACQ:TRig NOW")


def _aom(aom: Any) -> None:
    for line in (aom.line_1, aom.line_2):
        line.frequency, line.power, line.output = 105.0, 18.0, True


def _delays(delays: Any) -> None:
    delays.rate, delays.trigger = 500.0, "internal"
    delays.pulse("AB", 100e-9, 36e-9)


def _pulses(pulser: Any) -> None:
    pulser.trigger = "rising"
    pattern = PulsePattern(1000).pulse(0, 100, 40).level(0, 96, 40, 0.5).level(1, 304, 48, 0.8)
    pulser.play(pattern, runs=1)


def _pulses_at_once(pulser: Any) -> None:
    pulser.trigger = "immediate"
    pulser.play(PulsePattern(1000).pulse(0, 100, 40), runs=300_000, final=([2], 0.0, 0.5))


def _switch(switch: Any) -> None:
    switch.write(":ROUT1:CHAN1 A,3")


def _osa(osa: Any) -> None:
    osa.centre, osa.span, osa.resolution, osa.sensitivity = 1556.0, 20.0, 0.1, "HIGH1"
    osa.write(":INIT:SMOD 1;:INIT")


def _transmitter(board: Any) -> None:
    board.write("RNG:TEST ON;:RNG:SOUR SEED,C0FFEE;:RUN:STAR")


def _receiver(board: Any) -> None:
    board.tracking = True
    board.write("RUN:STAR")


def _santec(laser: Any) -> None:
    laser.emission, laser.power = True, 3.0
    laser.sweep(1545.0, 1555.0, 1)


MOTION: dict[str, Callable[[Any], None]] = {
    "AaMpds": _aom, "Agilent8156A": _voa, "Agilent8257D": _rf, "AmonicsEdfa": _edfa,
    "Ami430": _magnet, "Anc300": _piezos, "Dg645": _delays, "FsvAnalyser": _esa,
    "HighFinesseWs": _wavemeter, "Id900": _tagger, "Itla": _itla, "KeysightN7764A": _voas,
    "KeysightPna": _vna, "KeysightSwitch": _switch, "LakeShore372": _bridge,
    "MeerstetterTec": _tec, "PulseStreamer": _pulses, "QkdReceiver": _receiver,
    "QkdTransmitter": _transmitter, "QontrolOutputs": _heaters, "RedPitayaDigitiser": _digitiser,
    "RedPitayaLock": _lock, "RohdeSchwarzGenerator": _smb, "SantecTsl": _santec,
    "SpectrumAnalyser": _esa, "ThorlabsPm100": _meter, "TopticaDlcPro": _dlc, "WaveShaper": _shaper,
    "WebSq": _detectors, "YokogawaAq6370": _osa,
}  # fmt: skip
#: What a simulator on its own does instead, because nobody triggers it.
ALONE = {"PulseStreamer": _pulses_at_once}
#: Nothing of what they tell changes by itself, if nothing else is in their world.
STILL = {
    "AaMpds", "Agilent8156A", "Agilent8257D", "Anc300", "Dg645", "KeysightN7764A",
    "KeysightSwitch", "PicoQuantTagger", "QkdReceiver", "QkdTransmitter", "QontrolOutputs",
    "RohdeSchwarzGenerator", "SwabianTimeTagger", "WaveShaper",
}  # fmt: skip
#: Nothing to set: they show what there is.
AT_REST = {"Bluefors", "QontrolInputs", "PicoQuantTagger", "SwabianTimeTagger"}

#: Data that are no property, by driver.
DATA: dict[str, Callable[[Any], Any]] = {
    "SpectrumAnalyser": lambda o: o.trace("REAL,64"),
    "FsvAnalyser": lambda o: o.trace(),
    "Id900": lambda o: o.ask("INPU1:COUN?;:INPU2:COUN?;:STAR:COUN?;:HIST1:DATA?;:REC:NUM?"),
    "WebSq": lambda o: o.counts(1),
    "KeysightPna": lambda o: o.ask("FORM ASC;:CALC1:MEAS1:DATA:SDATA?"),
    "RedPitayaDigitiser": lambda o: o.ask("ACQ:DATA:FORMAT ASCII;:ACQ:SOUR1:DATA:Old:N? 50"),
    "YokogawaAq6370": lambda o: o.ask(":FORM ASCII;:TRAC:Y? TRA"),
    "LakeShore372": lambda o: [o.ask(f"RDGR? {n}") for n in range(1, 9)],
    "QkdReceiver": lambda o: o.ask("STAT:BLOC? 0,1000"),
    "Bluefors": lambda o: [o.temperature("t4k"), o.pressure("p1")],
    "RedPitayaLock": lambda o: [o.registers.read(0x403A0010 + 0x10000 * n) for n in range(4)],
    "Anc300": lambda o: [o.voltage(n) for n in range(1, 5)],
}


def plain(value: Any) -> Any:
    """A value that can be compared with ==, to the last bit."""
    if isinstance(value, Exception):
        return f"{type(value).__name__}: {value}"
    if isinstance(value, np.ndarray):
        return value.tobytes()
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return repr(value)


class Twin:
    """Instruments of one world, their simulators, and what they can tell."""

    def __init__(self, world: Any, clock: Any, instruments: dict[str, Any], kinds: dict[str, str]):
        self.world, self.clock, self.instruments = world, clock, instruments
        self._names = {
            name: [
                attribute
                for attribute in names_of(instrument)
                if attribute in readable(kinds[name]) and attribute != "complete"  # which waits
            ]
            for name, instrument in instruments.items()
        }
        for instrument in instruments.values():
            kind = type(instrument).__name__
            motion = (ALONE if len(instruments) == 1 else MOTION).get(kind, MOTION.get(kind))
            if motion is not None:
                motion(instrument)
            else:
                assert kind in AT_REST

    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name, instrument in self.instruments.items():
            for attribute in self._names[name]:
                found[f"{name}.{attribute}"] = plain(read(instrument, attribute))
            if (data := DATA.get(type(instrument).__name__)) is not None:
                found[f"{name} data"] = plain(data(instrument))
        return found


def compared(one: Twin, other: Twin, stretches: tuple[float, ...] = STRETCHES) -> None:
    """Let both worlds go through the same time, one in long steps, the other in short ones."""
    rng = np.random.default_rng(8)
    before, moved = one.told(), set()
    assert before == other.told()
    for stretch in stretches:
        now = other.clock.now()
        assert one.clock.now() == now
        for step in np.sort(rng.uniform(0.0, stretch, 40)):
            other.world.advance(now + float(step))
        for twin in (one, other):
            twin.clock.sleep(stretch)
        once, often = one.told(), other.told()
        assert once == often
        moved |= {name for name, value in once.items() if before[name] != value}
        before = once
    kinds = {type(instrument).__name__ for instrument in one.instruments.values()}
    assert len(moved) > len(one.instruments) / 4 or kinds <= STILL  # there is something to compare


@pytest.mark.parametrize("name", sorted(shipped_benches()))
def test_one_long_step_equals_many_short_ones(name):
    twins = []
    for _ in range(2):
        bench = Bench.open(name, "sim", seed=11)
        kinds = {
            n: entry.simulator.partition(":")[2] for n, entry in bench.file.instruments.items()
        }
        twins.append(Twin(bench.world, bench.clock, bench.instruments, kinds))
    compared(*twins, SHORT if name == "entanglement-network" else STRETCHES)


@pytest.mark.parametrize("kind", simulators())
def test_and_for_an_instrument_on_its_own(kind):
    twins = []
    for _ in range(2):
        world, clock = World(12), VirtualClock()
        simulator = simulators()[kind](world, "it")
        instrument = open_driver(
            simulator, drivers()[kind], lambda port, s=simulator, c=clock: Link(s.connect(port), c),
            clock,
        )  # fmt: skip
        twins.append(Twin(world, clock, {"it": instrument}, {"it": kind}))
    compared(*twins)


def test_and_for_boards_that_have_light():
    """A key is made: photons, clicks and blocks of seconds."""
    twins = []
    for _ in range(2):
        world, clock = World(13), VirtualClock()
        sender = TransmitterModel(world.seed_of, "tx", lambda channel: 1e-5)

        def link(t: float, sender: Any = sender) -> DecoyLink:
            levels = sender.levels if sender.sending else (0.0, 0.0, 0.0)
            return DecoyLink(levels, sender.weights, sender.basis, 0.5, eta=2e-3)

        world.parts["tx"] = sender
        world.parts["rx"] = ReceiverModel(world.seed_of, "rx", 2, sender, link)
        kinds = {"tx": "SimQkdTransmitter", "rx": "SimQkdReceiver"}
        boards = {}
        for name, kind in kinds.items():
            board = simulators()[kind](world, name)
            boards[name] = open_driver(
                board, drivers()[kind], lambda port, b=board, c=clock: Link(b.connect(port), c),
                clock,
            )  # fmt: skip
        boards["tx"].output = True
        twins.append(Twin(world, clock, boards, kinds))
        assert boards["rx"].state == "RUN"
    compared(*twins)
