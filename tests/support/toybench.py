"""A bench of one toy thermometer, its simulator and its procedures: the framework without physics.

The modules are named in bench files as "toybench:Thermometer" and so on.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import numpy as np
from pymeasure.experiment import FloatParameter, IntegerParameter, Procedure
from pymeasure.instruments import Instrument

from labctl.instrument import LabInstrument
from labctl.parameters import integer, number
from labctl.procedure import LabProcedure, Point, Result, Row, RunData
from simulated_instruments.instrument import Port, SimulatedInstrument
from simulated_instruments.world import World, WorldParameter

BENCH = """\
[bench]
title = "Toy bench"
mode = "sim"

[world]
class = "toybench:ToyWorld"

[instruments.thermometer]
driver = "toybench:Thermometer"
address = "tcp://127.0.0.1:9"
simulator = "toybench:SimThermometer"
"""


class ToyWorld(World):
    """Temperature rises linearly; each reading has noise of its own."""

    PARAMETERS = (
        WorldParameter("start", 20.0, "K", "temperature at time 0", "assumed", 0, 1000),
        WorldParameter("rate", 0.1, "K/s", "how fast it rises", "assumed"),
    )

    def __init__(self, seed: int = 0, **values: float) -> None:
        super().__init__(seed, **values)
        self.readings = 0

    def read(self) -> float:
        self.readings += 1
        noise = self.rng(f"reading.{self.readings}").normal(0.0, 0.01)
        return self.values["start"] + self.values["rate"] * self.now + noise


class ToyEndpoint:
    def __init__(self, simulator: SimThermometer) -> None:
        self.simulator = simulator
        self.buffer = b""

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        self.simulator.world.advance(now)
        self.buffer += data
        replies = []
        while b"\n" in self.buffer:
            line, _, self.buffer = self.buffer.partition(b"\n")
            if (answer := self.simulator.answer(line.decode())) is not None:
                replies.append((now + 1e-3, answer.encode() + b"\n"))
        return replies


class SimThermometer(SimulatedInstrument):
    PORTS = {"main": Port("toy")}

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.heater = 0

    def connect(self, port: str = "") -> ToyEndpoint:
        return ToyEndpoint(self)

    def answer(self, line: str) -> str | None:
        if line == "*IDN?":
            return "TOY,THERMOMETER,1,1.0"
        if line == "TEMP?":
            return f"{self.world.read():.9f}"
        if line.startswith("HEAT "):
            self.heater = int(line[5:])
        elif line == "HEAT?":
            return str(self.heater)
        return None


class Thermometer(LabInstrument):
    """A thermometer with a heater."""

    IDENTITY = "TOY,THERMOMETER"
    SETTINGS = ("heater",)

    temperature = Instrument.measurement("TEMP?", """Get the temperature in K (float).""")
    heater = Instrument.control("HEAT?", "HEAT %d", """Control the heater (int).""", cast=int)

    def make_safe(self) -> None:
        self.heater = 0
        self.ask("HEAT?")  # it has arrived when this is answered


class HastyThermometer(Thermometer):
    """Believes that what was sent has arrived."""

    def make_safe(self) -> None:
        self.heater = 0


class PlainThermometer(Instrument):
    """A driver as anybody writes it for pymeasure; knows nothing of labctl."""

    def __init__(self, adapter, name="plain thermometer", **options):
        super().__init__(adapter, name, includeSCPI=True, **options)

    temperature = Instrument.measurement("TEMP?", """Get the temperature in K (float).""")

    def shutdown(self):
        self.write("HEAT 0")
        super().shutdown()


class Watch(LabProcedure):
    """Read the temperature now and then."""

    steps: int = integer("Steps", 10, minimum=1, meaning="readings")
    pause: float = number("Pause", 1.0, unit="s", minimum=0, meaning="time between readings")
    kill_at: int = integer("Kill at", -1, meaning="die like kill -9 at this point")
    fail_at: int = integer("Fail at", -1, meaning="raise at this point")

    INSTRUMENTS = ("thermometer",)
    DATA_COLUMNS = ["index", "step", "temperature (K)", "draw"]
    TRACES = ("trace (K)",)
    RESULTS = (Result("mean", "K", "mean temperature"), Result("warm", "", "above 20 K"))

    def startup(self) -> None:
        self.thermometer = self.bench["thermometer"]
        self.thermometer.heater = 3

    def points(self) -> Iterator[Point]:
        for step in range(self.steps):
            yield {"step": step}

    def measure_point(self, point: Point) -> Row:
        if point["step"] == self.kill_at:
            os._exit(9)
        if point["step"] == self.fail_at:
            raise ZeroDivisionError("the procedure is broken")
        self.bench.clock.sleep(self.pause)
        value = self.thermometer.temperature
        self.show("temperature", value, "K")
        return {
            "temperature (K)": value,
            "draw": float(self.rng.random()),
            "trace (K)": value + np.arange(5.0),
        }

    def analyse(self, data: RunData) -> dict:
        values = data["temperature (K)"]
        sigma = float(values.std() / np.sqrt(len(values)))
        return {
            "mean": (float(values.mean()), sigma),
            "warm": bool(values.mean() > 20),
            "sorted": np.sort(values),
        }

    def figures(self, data: RunData) -> dict:
        from matplotlib.figure import Figure

        figure = Figure()
        axes = figure.add_subplot()
        axes.plot(data["index"], data["temperature (K)"])
        axes.set_ylabel("temperature (K)")
        return {"temperature": figure}

    def shutdown(self) -> None:
        self.thermometer.heater = 1


class Clicks(Watch):
    """Record time tags at each step."""

    def measure_point(self, point: Point) -> Row:
        for _ in range(3):
            times = np.sort(self.rng.integers(0, 10**12, 50))
            channels = self.rng.integers(0, 4, 50).astype(np.uint8)
            self.record_tags("alice", {"channel": channels, "time (ps)": times})
        return super().measure_point(point)

    def analyse(self, data: RunData) -> dict:
        clicks = [len(data.tags("alice", row)["channel"]) for row in range(len(data))]
        return {"clicks": int(sum(clicks)), "last": int(data.tags("alice")["time (ps)"][-1])}


class Ramp(Procedure):
    """A procedure as anybody writes it for pymeasure; knows nothing of labctl."""

    steps = IntegerParameter("Steps", default=5)
    slope = FloatParameter("Slope", units="V", default=0.1)
    DATA_COLUMNS = ["step", "level (V)"]

    def startup(self):
        self.started = True

    def execute(self):
        for step in range(self.steps):
            self.emit("results", {"step": step, "level (V)": step * self.slope})
            self.emit("progress", 100 * step / self.steps)
            if self.should_stop():
                break

    def shutdown(self):
        self.started = False
