"""A measurement that takes real time, so that somebody can pause, stop or kill it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

import toybench

from labctl.errors import InstrumentError
from labctl.live import Curve, HeatMap
from labctl.parameters import boolean, choice, integer, number
from labctl.procedure import Point, Row


class Patient(toybench.Watch):
    """Temperature on a grid of places."""

    steps: int = integer("Steps", 2000, minimum=1, meaning="points")
    across: int = integer("Across", 4, minimum=1, maximum=500, meaning="places along x")
    level: float = number(
        "Level", 0.5, unit="V", minimum=-1, maximum=2, meaning="of the heater's supply"
    )
    shape: str = choice("Shape", "round", ["round", "square"])
    fast: bool = boolean("Fast", False, meaning="do not wait between points")
    wait: float = number("Wait", 20.0, unit="ms", minimum=0, maximum=10_000, meaning="real time")
    hang_at: int = integer("Hang at", -1, meaning="stop answering at this point")
    complain_at: int = integer("Complain at", -1, meaning="the instrument complains at this point")

    DATA_COLUMNS = ["index", "step", "x (mm)", "y (mm)", "temperature (K)", "error (K)", "kind"]
    LIVE = (
        Curve("Temperature", "step", "temperature (K)", error="error (K)"),
        HeatMap("Map", "x (mm)", "y (mm)", "temperature (K)"),
    )

    def points(self) -> Iterator[Point]:
        for step in range(self.steps):
            yield {"step": step, "x (mm)": 0.5 * (step % self.across),
                   "y (mm)": float(step // self.across)}  # fmt: skip

    def measure_point(self, point: Point) -> Row:
        if point["step"] == self.complain_at:
            raise InstrumentError(
                "thermometer: TEMP? was answered 'E12', not a number; check the sensor"
            )
        while point["step"] == self.hang_at:
            time.sleep(0.1)  # a driver call that never comes back
        if not self.fast:
            time.sleep(self.wait / 1000)
        row = super().measure_point(point)
        kind = "even" if point["step"] % 2 == 0 else "odd"
        return {**row, "error (K)": 0.01, "kind": kind, "process": os.getpid()}
