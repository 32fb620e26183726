"""A bench with the instruments around pair sources, and a procedure that asks each of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from labctl.parameters import integer
from labctl.procedure import LabProcedure

BENCH = """
[bench]
title = "Light"
mode = "sim"
procedures = ["lightbench"]

[instruments.voa]
driver = "drivers.agilent_voa:Agilent8156A"
address = "tcp://voa.bench.example:5025"
simulator = "simulated_instruments.agilent_voa:SimAgilent8156A"

[instruments.voas]
driver = "drivers.agilent_voa:KeysightN7764A"
address = "tcp://voas.bench.example:5025"
simulator = "simulated_instruments.agilent_voa:SimKeysightN7764A"

[instruments.wavemeter]
driver = "drivers.highfinesse_ws:HighFinesseWs"
address = "lib://drivers.highfinesse_library:WlmData"
simulator = "simulated_instruments.highfinesse_ws:SimHighFinesseWs"

[instruments.phases]
driver = "drivers.qontrol:QontrolOutputs"
address = "serial:///dev/ttyUSB0?baudrate=115200"
simulator = "simulated_instruments.qontrol:SimQontrolOutputs"
settings = { maximum_voltage = 8.0 }

[instruments.photodiodes]
driver = "drivers.qontrol:QontrolInputs"
address = "serial:///dev/ttyUSB1?baudrate=115200"
simulator = "simulated_instruments.qontrol:SimQontrolInputs"

[instruments.pulses]
driver = "drivers.pulse_streamer:PulseStreamer"
address = "http://pulses.bench.example:8050"
simulator = "simulated_instruments.pulse_streamer:SimPulseStreamer"

[instruments.delays]
driver = "drivers.srs_dg645:Dg645"
address = "tcp://delays.bench.example:5025"
simulator = "simulated_instruments.srs_dg645:SimDg645"

[instruments.aom]
driver = "drivers.aa_mpds:AaMpds"
address = "serial:///dev/ttyUSB2?baudrate=57600"
simulator = "simulated_instruments.aa_mpds:SimMpds"

[instruments.osa]
driver = "drivers.yokogawa_aq6370:YokogawaAq6370"
address = "tcp://osa.bench.example:10001"
simulator = "simulated_instruments.yokogawa_aq6370:SimYokogawaAq6370"

[[interlocks]]
read = "phases.power"
max = 900.0
unit = "mW"
period = 5.0
"""

NAMES = (
    "voa", "voas", "wavemeter", "phases", "photodiodes", "pulses", "delays", "aom", "osa",
)  # fmt: skip


COLUMNS = (
    "voa (dB)", "voas (dB)", "frequency (THz)", "phases (mW)", "photocurrent (mA)", "state",
    "delay (s)", "aom (dBm)", "osa (nm)", "osa (dBm)",
)  # fmt: skip


def ask(bench: Any, index: int) -> dict[str, Any]:
    """Set and read a little of everything; plain numbers."""
    from drivers.pulse_streamer import PulsePattern

    voa, voas, meter, phases = (bench[n] for n in ("voa", "voas", "wavemeter", "phases"))
    pulses, delays, aom, osa = (bench[n] for n in ("pulses", "delays", "aom", "osa"))
    voa.output, voa.attenuation = True, 3.0 * index
    voas.ch_3.attenuation = 2.0 + index
    meter.measuring = True
    meter.clock.sleep(0.1)
    phases.set_voltage(index % 8, 4.0)
    pattern = PulsePattern(1000).pulse(0, 10 * index, 36).level(0, 0, 500, 0.5)
    pulses.play(pattern)
    delays.rate, delays.trigger = 500.0, "internal"
    delays.pulse("AB", 1e-7 * (index + 1), 36e-9)
    aom.line_1.power = 10.0 + 0.1 * index
    osa.centre, osa.span, osa.points = 1550.0 + index, 10.0, 201
    osa.single()
    wavelengths, levels = osa.trace()
    values = (
        voa.attenuation, voas.ch_3.attenuation, meter.ch_1.next_frequency(), phases.power,
        bench["photodiodes"].current(2), pulses.state, delays.delay("A")[1], aom.line_1.power,
        float(wavelengths[-1]), float(levels.max()),
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


class Ask(LabProcedure):
    """Ask everything, point by point."""

    INSTRUMENTS = NAMES
    DATA_COLUMNS = ["index", "step", *COLUMNS]
    steps: int = integer("Steps", 3, minimum=1)

    def points(self) -> Iterator[dict[str, Any]]:
        yield from ({"step": step} for step in range(self.steps))

    def measure_point(self, point: dict[str, Any]) -> dict[str, Any]:
        return ask(self.bench, point["step"])
