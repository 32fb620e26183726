"""Simulated detector electronics: Single Quantum WebSQ with four nanowire detectors.

Control goes over TCP 12000: JSON objects come without anything between them, each answer ends with
byte 0x17, and whoever is connected hears of every change. Counts are pushed on TCP 12345, one line
for each measurement period. Source: the maker's client (2020). Assumed, because it does not say:
names of properties besides `value`, limits, and how long a bias search takes.
"""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Callable
from typing import Any, ClassVar, TypeAlias

from labctl.transport import Endpoint
from simulated_instruments.instrument import Port, SimulatedInstrument
from simulated_instruments.physics.snspd import SnspdModel
from simulated_instruments.world import World

__all__ = ["SimWebSq", "SnspdModel"]

END = b"\x17"
ANSWERING = 0.002  # s
EPOCH = 1_600_000_000.0  # s, unix time at the world's time 0
PERIODS = (10, 10_000)  # ms
BIAS = (0.0, 40.0)  # uA
TRIGGER = (0.0, 500.0)  # mV
STEP = 0.1  # uA, of a bias
SEARCH = 5.0  # s
LONGEST = 1 << 16  # characters of one message

Replies: TypeAlias = list[tuple[float, bytes]]


class Refused(ValueError):
    """A command that is not executed."""


class SimWebSq(SimulatedInstrument):
    """Labels and counts, in front of detectors that the world may have put there."""

    PORTS: ClassVar[dict[str, Port]] = {
        "control": Port("websq-json", default=12000),
        "counts": Port("websq-counts", default=12345),
    }

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: SnspdModel = world.part(name, lambda: SnspdModel(world.seed_of, name))
        self.period_ms = 100
        self.started = 0.0  # s, when the period was set
        self.targets = [100.0] * self.model.channels  # dark counts per second
        self.found = [0.0] * self.model.channels  # uA
        self._searching = False
        self._search_end = math.inf
        self.clients: list[ControlLine] = []

    def connect(self, port: str = "") -> Endpoint:
        if port in ("", "control"):
            self.clients.append(ControlLine(self))
            return self.clients[-1]
        if port == "counts":
            return CountsLine(self)
        raise ValueError(f"{self.name}: no port {port!r}; there are {', '.join(self.PORTS)}")

    # ------------------------------------------------- labels

    def labels(self) -> dict[str, dict[str, Any]]:
        """All properties of all labels."""
        model = self.model
        every = range(model.channels)
        return {
            "NumberOfDetectors": {"value": model.channels},
            "InptMeasurementPeriod": {
                "value": self.period_ms, "bounds": list(PERIODS), "units": "ms",
            },
            "BiasCurrent": {
                "value": [model.bias(i) for i in every], "bounds": list(BIAS), "units": "uA",
            },
            "TriggerLevel": {
                "value": [model.trigger(i) for i in every], "bounds": list(TRIGGER), "units": "mV",
            },
            "BiasVoltage": {"value": [round(model.voltage(i), 4) for i in every], "units": "V"},
            "DetectorEnable": {"value": model.enabled},
            "DarkCountsAutoIV": {"value": self.targets, "units": "1/s"},
            "StartAutoIV": {"value": self._searching},
            "BiasCurrentAutoIV": {"value": self.found, "units": "uA"},
        }  # fmt: skip

    def tell(self, *labels: str) -> None:
        """Let every client know what has changed."""
        known = self.labels()
        for label in labels:
            message = encode(label, known[label]["value"])
            for client in self.clients:
                client.outbox.append(message)

    # ------------------------------------------------- commands

    def execute(self, message: dict[str, Any]) -> None:
        """Execute a command; changes are told to every client."""
        commands: dict[str, Callable[[Any], tuple[str, ...]]] = {
            "SetMeasurementPeriod": self._set_period,
            "SetAllBiasCurrents": self._set_bias,
            "SetAllTriggerLevels": self._set_trigger,
            "DetectorEnable": self._enable,
            "DarkCountsAutoIV": self._set_targets,
            "AutoCaliBiasCurrents": self._search,
        }
        name = message["command"]
        if name not in commands:
            raise Refused(f"unknown command {str(name)[:40]}")
        self.tell(*commands[name](message.get("value")))

    def _set_period(self, value: Any) -> tuple[str, ...]:
        (period,) = _numbers([value], 1, PERIODS, "measurement period")
        self.period_ms = round(period)
        self.started = self.world.now
        return ("InptMeasurementPeriod",)

    def _set_bias(self, value: Any) -> tuple[str, ...]:
        for i, bias in enumerate(_numbers(value, self.model.channels, BIAS, "bias current")):
            self.model.set_bias(i, round(round(bias / STEP) * STEP, 6))
        return ("BiasCurrent",)

    def _set_trigger(self, value: Any) -> tuple[str, ...]:
        for i, level in enumerate(_numbers(value, self.model.channels, TRIGGER, "trigger level")):
            self.model.set_trigger(i, level)
        return ("TriggerLevel",)

    def _enable(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, bool):
            raise Refused("DetectorEnable takes true or false")
        self.model.enable(value)
        return ("DetectorEnable",)

    def _set_targets(self, value: Any) -> tuple[str, ...]:
        self.targets = _numbers(value, self.model.channels, (0.1, 1e6), "dark counts")
        return ("DarkCountsAutoIV",)

    def _search(self, value: Any) -> tuple[str, ...]:
        if not isinstance(value, bool):
            raise Refused("AutoCaliBiasCurrents takes true or false")
        if value and not self.model.enabled:
            raise Refused("the detectors are disabled")
        self._searching = value
        self._search_end = self.world.now + SEARCH if value else math.inf
        return ("StartAutoIV",)

    def settle(self, now: float) -> None:
        """End a bias search that is due: set the bias where the counts are those wanted.

        It cannot tell dark counts from light.
        """
        if not self._searching or now < self._search_end:
            return
        self._searching, model = False, self.model
        for i in range(model.channels):
            light = model.photon_rate(i, self._search_end)
            wire, level = model.wires[i], model.trigger(i)

            def excess(bias: float, i: int = i, light: float = light) -> float:
                counts = light * model.wires[i].efficiency(bias) + model.wires[i].darks(bias)
                return counts - self.targets[i]

            low, high = level / wire.mv_per_ua, wire.switching_ua - STEP
            while high - low > STEP / 10:
                middle = (low + high) / 2
                low, high = (low, middle) if excess(middle) > 0 else (middle, high)
            self.found[i] = round(math.floor(low / STEP) * STEP, 6)
            model.set_bias(i, self.found[i])
        self.tell("BiasCurrentAutoIV", "BiasCurrent", "StartAutoIV")

    @property
    def next_event(self) -> float:
        """When something happens that clients must hear of (s)."""
        return self._search_end if self._searching else math.inf


def encode(label: str, value: Any) -> bytes:
    return json.dumps({"label": label, "value": value}).encode() + END


def _numbers(value: Any, count: int, limits: tuple[float, float], what: str) -> list[float]:
    """Numbers within limits, one for each detector."""
    if not isinstance(value, list) or len(value) != count:
        raise Refused(f"{what}: {count} numbers are needed")
    for number in value:
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise Refused(f"{what}: {str(number)[:20]} is no number")
        if not limits[0] <= number <= limits[1]:
            raise Refused(f"{what}: {number} is not from {limits[0]:g} to {limits[1]:g}")
    return [float(number) for number in value]


class ControlLine:
    """One client of the control port."""

    def __init__(self, electronics: SimWebSq) -> None:
        self.outbox: list[bytes] = []
        self._electronics = electronics
        self._text = ""
        self._characters = codecs.getincrementaldecoder("utf-8")("replace")
        self._decoder = json.JSONDecoder()

    def feed(self, data: bytes, now: float) -> Replies:
        electronics = self._electronics
        electronics.world.advance(now)
        electronics.settle(now)
        self._text = (self._text + self._characters.decode(data)).lstrip()
        while self._text:
            try:
                message, end = self._decoder.raw_decode(self._text)
            except (ValueError, RecursionError):
                if self._text[0] == "{" and len(self._text) <= LONGEST:
                    break  # the rest is still to come
                self._refuse("that is no JSON object")
                self._text = ""
                break
            self._text = self._text[end:].lstrip()
            self._act(message)
        replies: Replies = [(now + ANSWERING, message) for message in self.outbox]
        self.outbox = []
        if electronics.next_event < math.inf:
            replies.append((max(electronics.next_event, now + ANSWERING), b""))
        return replies

    def _act(self, message: Any) -> None:
        if not isinstance(message, dict):
            self._refuse("that is no JSON object")
        elif "request" in message:
            labels = self._electronics.labels()
            wanted = message["request"]
            if wanted == "labelProps":
                self.outbox += [encode(label, value) for label, value in labels.items()]
            elif wanted in labels:
                self.outbox.append(encode(wanted, labels[wanted]))
            else:
                self._refuse(f"unknown label {str(wanted)[:40]}")
        elif "command" in message:
            try:
                self._electronics.execute(message)
            except (Refused, TypeError) as error:
                self._refuse(str(error))
        else:
            self._refuse("neither a request nor a command")

    def _refuse(self, why: str) -> None:
        self.outbox.append(encode("ErrorMessage", why))

    def close(self) -> None:
        """The client is gone."""
        if self in self._electronics.clients:
            self._electronics.clients.remove(self)


class CountsLine:
    """One client of the counts port: a line for each measurement period that ends."""

    def __init__(self, electronics: SimWebSq) -> None:
        self._electronics = electronics
        self._sent = -1.0  # s, end of the last period that was sent; below 0: none

    def feed(self, data: bytes, now: float) -> Replies:
        electronics = self._electronics
        electronics.world.advance(now)
        electronics.settle(now)
        if self._sent < 0.0:
            self._sent = now
        period = electronics.period_ms * 1e-3
        start = electronics.started
        replies: Replies = []
        number = math.floor((self._sent - start) / period + 1e-9) + 1
        while (end := start + number * period) <= now:
            if end > self._sent:
                replies.append((end, self._line(number, end, period)))
            number += 1
        if replies:
            self._sent = replies[-1][0]
        replies.append((end, b""))
        return replies

    def _line(self, number: int, end: float, period: float) -> bytes:
        model = self._electronics.model
        # The number of a period is that since time 0: a change of the period begins no new series.
        key = round(end / period * 1e3)
        counts = [model.counts(i, end - period, period, key) for i in range(model.channels)]
        return f"{EPOCH + end:.6f},{','.join(map(str, counts))}\n".encode()
