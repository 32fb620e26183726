"""Simulated time taggers whose makers publish a library and no wire: Swabian and PicoQuant.

What answers are the calls of our own small classes around those libraries (identify, inputs,
threshold, set_threshold, delay, set_delay, start, read, stop): what goes on between library and
device is private.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from labctl.transport import Endpoint
from simulated_instruments.instrument import Port, SimulatedInstrument
from simulated_instruments.physics.tagger import PS, Ints, TaggerModel
from simulated_instruments.protocol.calls import CallEndpoint
from simulated_instruments.world import World

__all__ = ["SimPicoQuant", "SimSwabian", "TaggerModel"]

LATENCY = 1e-4  # s of a call


class SimTagLibrary(SimulatedInstrument):
    """One device behind its library, in front of a model that the world may have put there."""

    PORTS: ClassVar[dict[str, Port]] = {"main": Port("calls")}
    NAME: ClassVar[str]
    #: Channel number of the model's start input.
    REFERENCE: ClassVar[int]
    #: Whether tags count from the begin of a recording, or from the world's time 0.
    RESTARTS: ClassVar[bool]

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: TaggerModel = world.part(name, lambda: TaggerModel(world.seed_of, name))
        self.serial = world.seed_of(f"{name}.serial") % 9000 + 1000
        self._delays: dict[int, int] = {}
        self._wanted: list[int] = []
        self._start, self._end, self._seen = 0, 0, 0  # ps
        self._found: list[tuple[Ints, Ints]] = []
        self._lost: dict[int, int] = {}
        self.model.wanted = lambda: self._seen < self._end
        self.model.listeners.append(self._look)

    def connect(self, port: str = "") -> Endpoint:
        if port not in ("", *self.PORTS):
            raise ValueError(f"{self.name} has no port {port!r}, only {', '.join(self.PORTS)}")
        names = ("identify", "inputs", "threshold", "set_threshold", "delay", "set_delay")
        functions: dict[str, Callable[..., Any]] = {
            name: getattr(self, name) for name in (*names, "start", "read", "stop")
        }
        return CallEndpoint(self.world, functions, LATENCY)

    # ------------------------------------------------- what can be called

    def identify(self) -> str:
        return f"{self.NAME}, {self.serial}"

    def inputs(self) -> list[int]:
        return list(range(1, len(self.model.inputs) + 1))

    def _number(self, channel: int) -> int:
        if channel != self.REFERENCE and channel not in self.inputs():
            raise ValueError(f"there is no channel {channel}")
        return channel

    def threshold(self, channel: int) -> float:
        n = self._number(channel)
        return 0.1 if n == self.REFERENCE else self.model.inputs[n - 1].threshold_v

    def set_threshold(self, channel: int, volts: float) -> None:
        if self._number(channel) != self.REFERENCE:
            self.model.catch_up()
            self.model.inputs[channel - 1].threshold_v = float(volts)

    def delay(self, channel: int) -> int:
        return self._delays.get(self._number(channel), 0)

    def set_delay(self, channel: int, picoseconds: int) -> None:
        self.model.catch_up()
        self._delays[self._number(channel)] = int(picoseconds)

    def start(self, channels: list[int], seconds: float) -> None:
        self.model.catch_up()
        self._wanted = [self._number(int(channel)) for channel in channels]
        self._found, self._lost = [], {}
        self._start = self._seen = round(self.world.now * PS)
        self._end = self._start + round(seconds * PS) if seconds else 1 << 62
        self.model.wake()

    def read(self) -> dict[str, Any]:
        self.model.catch_up()
        found, self._found = self._found, []
        lost, self._lost = self._lost, {}
        nothing = np.empty(0, dtype=np.int64)
        times = np.concatenate([times for times, _ in found] or [nothing])
        channels = np.concatenate([channels for _, channels in found] or [nothing])
        return {
            "times": times - (self._start if self.RESTARTS else 0),
            "channels": channels.astype(np.int16),
            "lost": [[channel, count] for channel, count in lost.items()],
            "running": self._seen < self._end,
        }

    def stop(self) -> None:
        self.model.catch_up()
        self._end = min(self._end, self._seen)

    # ------------------------------------------------- tags

    def _look(self, known: int) -> None:
        """Take the events before `known` (ps), shifted by the delays of their channels."""
        shifts = [self._delays.get(n, 0) for n in self._wanted]
        self.model.keep_ps = 2 * max([abs(shift) for shift in shifts] or [0])
        low, high = self._seen, min(known + min([0, *shifts]), self._end)
        if high <= low:
            return
        self._seen = high
        times = [self._events(n, low, high) for n in self._wanted]
        masks = self.model.buffer.passes(times, high)
        for i, mask in enumerate(masks):
            if mask is not None:
                n = self._wanted[i]
                self._lost[n] = self._lost.get(n, 0) + int((~mask).sum())
                times[i] = times[i][mask]
        merged = np.concatenate(times)
        numbers = np.repeat(np.array(self._wanted, dtype=np.int64), [len(t) for t in times])
        order = np.argsort(merged, kind="stable")
        self._found.append((merged[order], numbers[order]))

    def _events(self, n: int, low: int, high: int) -> Ints:
        shift = self._delays.get(n, 0)
        if n == self.REFERENCE:
            return self.model.edges(low - shift, high - shift) + shift
        return self.model.events(n - 1, low - shift, high - shift) + shift


class SimSwabian(SimTagLibrary):
    """A Time Tagger Ultra; the model's start input is at channel 8."""

    NAME, REFERENCE, RESTARTS = "Swabian Time Tagger Ultra", 8, False


class SimPicoQuant(SimTagLibrary):
    """A MultiHarp 150; the model's start input is the sync input, channel 0."""

    NAME, REFERENCE, RESTARTS = "PicoQuant MultiHarp 150", 0, True
