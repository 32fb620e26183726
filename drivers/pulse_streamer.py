"""Swabian Instruments Pulse Streamer 8/2: patterns on eight digital and two analogue outputs.

Address: `http://HOST:8050`; patterns go to port 21328 of the same host (bench file:
`ports = { binary = "tcp://HOST:21328" }` names another). Times are in ns, levels in V; analogue
outputs change every 8 ns only, so edges of theirs should be multiples of 8 ns.
"""

from __future__ import annotations

import bisect
import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from drivers._properties import within
from labctl.adapter import ByteAdapter, Framing
from labctl.errors import InstrumentError, RequestError
from labctl.http import HttpClient
from labctl.instrument import LabInstrument
from labctl.transport.opening import host_and_port

RPC_PORT, BINARY_PORT = 8050, 21328
DIGITAL, ANALOGUE = 8, 2  # outputs
MOST_STEPS = 2_000_000
LONGEST_STEP = 0xFFFFFFFF  # ns
FULL = 0x7FFF  # which is 1 V
UPLOAD_TIMEOUT = 30.0  # s

TRIGGERS = {"immediate": 0, "software": 1, "rising": 2, "falling": 3, "both": 4}
STATES = ("idle", "breakpoint", "streaming", "finished", "error")
WAITING = ("", "waiting for trigger", "waiting for rearm", "waiting for data", "waiting for start")
CLOCKS = {"internal": 0, "125 MHz": 1, "10 MHz": 2}

MAGIC = 0x53504953
HEADER = struct.Struct("<4I2Q")
SEQUENCE = struct.Struct("<qQhhBBBBQ")
STEP = np.dtype([("ns", "<u4"), ("mask", "u1"), ("a0", "<i2"), ("a1", "<i2")])


@dataclass
class PulsePattern:
    """Pulses on the outputs, in one run of a given length (ns); everything else is low.

    `pattern.pulse(0, start=0, width=36)` adds a digital pulse, `pattern.level(1, 100, 48, 0.5)` an
    analogue one. Pulses on one output must not overlap, and must end within the run.
    """

    length: int
    _digital: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    _analogue: dict[int, list[tuple[int, int, float]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.length = _whole(self.length, "length of a pattern")
        if not 1 <= self.length <= MOST_STEPS * LONGEST_STEP:
            raise RequestError(
                f"the length of a pattern must be positive and at most {MOST_STEPS * LONGEST_STEP} "
                f"ns, got {self.length} ns"
            )

    def pulse(self, channel: int, start: int, width: int) -> PulsePattern:
        """Set a digital output for `width` ns from `start` ns on."""
        if channel not in range(DIGITAL):
            raise RequestError(f"digital outputs are 0 to {DIGITAL - 1}, got {channel!r}")
        begin, end = self._interval(start, width, f"on digital output {channel}")
        _insert(self._digital.setdefault(channel, []), (begin, end), f"digital output {channel}")
        return self

    def level(self, channel: int, start: int, width: int, volts: float) -> PulsePattern:
        """Put an analogue output to `volts` for `width` ns from `start` ns on."""
        if channel not in range(ANALOGUE):
            raise RequestError(f"analogue outputs are 0 and 1, got {channel!r}")
        level = within(volts, (-1.0, 1.0), f"level in V of analogue output {channel}")
        begin, end = self._interval(start, width, f"on analogue output {channel}")
        others = self._analogue.setdefault(channel, [])
        _insert(others, (begin, end, level), f"analogue output {channel}")
        return self

    def pulses(self, channel: int) -> list[tuple[int, int]]:
        """Start and end (ns) of the pulses on a digital output, in order of time."""
        return list(self._digital.get(channel, []))

    def steps(self) -> NDArray[Any]:
        """The pattern as the instrument takes it: durations (ns) and levels.

        Raises:
            RequestError: it has more steps than fit into the memory.
        """
        digital = {n: np.array(pulses) for n, pulses in self._digital.items()}
        analogue = {n: np.array([p[:2] for p in pulses]) for n, pulses in self._analogue.items()}
        ends = [pulses.ravel() for pulses in (*digital.values(), *analogue.values())]
        edges = np.unique(np.concatenate([np.array([0, self.length]), *ends]).astype(np.int64))
        steps = np.zeros(edges.size - 1, STEP)
        for channel, pulses in digital.items():
            bits = np.full(len(pulses), 1 << channel)
            steps["mask"] |= _held(edges, pulses, bits).astype(np.uint8)
        for output, pulses in analogue.items():
            volts = np.array([level for _, _, level in self._analogue[output]])
            steps[f"a{output}"] = _held(edges, pulses, np.rint(FULL * volts).astype(np.int64))
        durations = np.diff(edges)
        parts = -(-durations // LONGEST_STEP)
        if parts.sum() > MOST_STEPS:
            raise RequestError(
                f"the pattern has {parts.sum()} steps, but the memory takes {MOST_STEPS}; "
                "repeat a shorter one"
            )
        if parts.max() > 1:  # a step is at most 4.29 s long
            steps = np.repeat(steps, parts)
            last = np.cumsum(parts) - 1
            split = np.full(steps.size, LONGEST_STEP, dtype=np.int64)
            split[last] = durations - (parts - 1) * LONGEST_STEP
            durations = split
        steps["ns"] = durations
        return steps

    def _interval(self, start: int, width: int, where: str) -> tuple[int, int]:
        begin, wide = _whole(start, f"start {where}"), _whole(width, f"width {where}")
        if wide < 1 or begin < 0 or begin + wide > self.length:
            raise RequestError(
                f"a pulse {where} from {begin} to {begin + wide} ns does not fit into a pattern "
                f"of {self.length} ns"
            )
        return begin, begin + wide


def _whole(value: Any, what: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number):
        raise RequestError(f"the {what} must be a number of ns, got {value!r}")
    if not math.isfinite(value) or value != round(value):
        raise RequestError(f"the {what} must be whole ns, got {value!r}")
    return round(float(value)) if isinstance(value, float) else int(value)


def _insert(others: list[Any], pulse: tuple[Any, ...], where: str) -> None:
    """Put a pulse among the others of its output, in order of time."""
    place = bisect.bisect_left(others, pulse)
    for other in others[max(place - 1, 0) : place + 1]:
        if pulse[0] < other[1] and other[0] < pulse[1]:
            raise RequestError(
                f"a pulse on {where} from {pulse[0]} to {pulse[1]} ns overlaps with that from "
                f"{other[0]} to {other[1]} ns"
            )
    others.insert(place, pulse)


def _held(edges: NDArray[np.int64], pulses: NDArray[Any], values: NDArray[Any]) -> NDArray[Any]:
    """The value of the pulse that each step belongs to; 0 outside of pulses."""
    changes = np.zeros(edges.size, dtype=np.int64)
    np.add.at(changes, np.searchsorted(edges, pulses[:, 0]), values)
    np.add.at(changes, np.searchsorted(edges, pulses[:, 1]), -values)
    return np.cumsum(changes)[:-1]


class PulseStreamer(LabInstrument):
    """The generator."""

    FRAMING = Framing(write=b"", read=b"", timeout=5.0)
    IDENTITY = r"^Pulse Streamer"
    SETTINGS = ("trigger", "rearm_by_hand", "clock_source", "state", "underflow")

    def __init__(self, adapter: Any, name: str = "pulses", **kwargs: Any) -> None:
        super().__init__(adapter, name, **kwargs)
        self._http = HttpClient(self.adapter)
        self._binary: ByteAdapter | None = None
        self._number = 0

    # ---------------------------------------------------------------- what it is

    def identify(self) -> str:
        """Kind, serial number and firmware."""
        serial, firmware = self.call("getSerial"), self.call("getFirmwareVersion")
        return f"Pulse Streamer 8/2, serial {serial}, firmware {firmware}"

    @property
    def state(self) -> str:
        """Get "idle", "streaming", "finished" or "error", and what it waits for (str)."""
        answer = self.call("getStreamingState")
        try:
            state, condition = STATES[answer["State"]], WAITING[answer["StateCondition"]]
        except (TypeError, KeyError, IndexError):
            raise self._nonsense("getStreamingState", repr(answer), "a state") from None
        return f"{state}, {condition}" if condition else state

    @property
    def underflow(self) -> bool:
        """Get whether it could not keep up with the pattern (bool)."""
        return bool(self.call("getUnderflow"))

    @property
    def temperature(self) -> float:
        """Get the temperature of the electronics in degC (float)."""
        return float(self.call("getTemperature"))

    # ---------------------------------------------------------------- settings

    @property
    def trigger(self) -> str:
        """Control what starts a pattern: "immediate", "software", "rising", "falling", "both"."""
        return self._word("getTriggerStart", TRIGGERS)

    @trigger.setter
    def trigger(self, source: str) -> None:
        self._set_trigger(source, self.rearm_by_hand)

    @property
    def rearm_by_hand(self) -> bool:
        """Control whether a pattern that is over waits for `rearm` instead of the next trigger."""
        return bool(self.call("getTriggerRearm"))

    @rearm_by_hand.setter
    def rearm_by_hand(self, by_hand: bool) -> None:
        self._set_trigger(self.trigger, by_hand)

    def _set_trigger(self, source: str, by_hand: bool) -> None:
        if source not in TRIGGERS:
            raise RequestError(
                f"{self.name}: the trigger must be one of {', '.join(TRIGGERS)}, got {source!r}"
            )
        self._order("setTrigger", TRIGGERS[source], int(bool(by_hand)))

    @property
    def clock_source(self) -> str:
        """Control the clock: "internal", "125 MHz" or "10 MHz" from outside (str)."""
        return self._word("getClock", CLOCKS)

    @clock_source.setter
    def clock_source(self, source: str) -> None:
        if source not in CLOCKS:
            raise RequestError(
                f"{self.name}: the clock must be one of {', '.join(CLOCKS)}, got {source!r}"
            )
        self._order("selectClock", CLOCKS[source])

    # ---------------------------------------------------------------- playing

    def pattern(self, length: int) -> PulsePattern:
        """Return an empty pattern of `length` ns, for `play`."""
        return PulsePattern(length)

    def play(
        self,
        pattern: PulsePattern,
        runs: int = -1,
        final: tuple[Sequence[int], float, float] = ((), 0.0, 0.0),
    ) -> None:
        """Upload a pattern; it begins with the trigger that is set.

        Args:
            pattern: what to play.
            runs: how often, for one trigger; -1: for ever.
            final: digital outputs that are high afterwards, and the analogue levels in V.

        Raises:
            RequestError: it does not fit; nothing was sent.
            InstrumentError: the instrument refused it.
        """
        if isinstance(runs, bool) or not isinstance(runs, int) or (runs < 1 and runs != -1):
            raise RequestError(f"{self.name}: runs must be positive, or -1, got {runs!r}")
        steps = pattern.steps()
        mask, a0, a1 = self._level(*final)
        data = steps.tobytes()
        data += bytes(32 - len(data) % 32)  # a whole block more where it fits already
        payload = SEQUENCE.pack(runs, steps.size, a0, a1, mask, 0, 0, 0, 0) + data
        self._send(0x0, payload)

    def constant(self, high: Sequence[int] = (), a0: float = 0.0, a1: float = 0.0) -> None:
        """Stop playing; leave digital outputs `high` and analogue levels (V)."""
        self._order("constant", [0, *self._level(high, a0, a1)])

    def stop(self) -> None:
        """Stop playing; all outputs go to 0."""
        self.constant()

    def start(self) -> None:
        """Give the software's trigger."""
        if self.call("startNow"):
            raise InstrumentError(
                f"{self.name}: nothing waits for the software's trigger ({self.state}); set "
                "trigger = 'software' and play a pattern first"
            )

    def rearm(self) -> None:
        """Make a pattern that is over ready for another trigger."""
        if not self.call("rearm"):
            raise InstrumentError(f"{self.name}: no pattern is over ({self.state}); play one first")

    def make_safe(self) -> None:
        """All outputs to 0."""
        self.constant()

    def _level(self, high: Sequence[int], a0: float, a1: float) -> tuple[int, int, int]:
        if not all(channel in range(DIGITAL) for channel in high):
            raise RequestError(
                f"{self.name}: digital outputs are 0 to {DIGITAL - 1}, got {list(high)!r}"
            )
        first, second = (
            round(FULL * within(volts, (-1.0, 1.0), f"analogue level in V of {self.name}"))
            for volts in (a0, a1)
        )
        return sum(1 << channel for channel in set(high)), first, second

    # ---------------------------------------------------------------- exchanges

    def call(self, method: str, *params: Any) -> Any:
        """Call a method of the JSON-RPC interface and return its result."""
        with self.transaction():
            self._number += 1
            request: dict[str, Any] = {"jsonrpc": "2.0", "method": method, "id": self._number}
            if params:
                request["params"] = list(params)
            response = self._http.post_json("/json-rpc", request)
            answer = response.json() if response.status == 200 else None
            if not isinstance(answer, Mapping) or answer.get("id") != self._number:
                shown = f"{response.status} {response.text}"
                raise self._nonsense(method, shown, "an answer to this call")
        if (error := answer.get("error")) is not None:
            why = error.get("message", error) if isinstance(error, Mapping) else error
            raise InstrumentError(f"{self.name}: {method} was refused: {why}")
        return answer.get("result")

    def _order(self, method: str, *params: Any) -> None:
        """Call a method that answers 0 if all is well."""
        result = self.call(method, *params)
        if result not in (0, None):
            raise InstrumentError(f"{self.name}: {method} failed and gave {result!r}")

    def _word(self, method: str, words: Mapping[str, int]) -> str:
        code = self.call(method)
        for word, number in words.items():
            if number == code:
                return word
        raise self._nonsense(method, repr(code), f"one of {', '.join(words)}")

    def _send(self, command: int, payload: bytes) -> None:
        """One command to the binary port, and its confirmation."""
        binary = self._port()
        with binary.transaction():
            self._number += 1
            header = HEADER.pack(MAGIC, self._number, command, 0, len(payload), 0)
            try:
                binary.write_bytes(header + payload)
                reply = binary.read_bytes(HEADER.size, timeout=UPLOAD_TIMEOUT)
            except BaseException:  # the answer must not meet the next question
                binary.close()
                raise
        magic, number, status, *_ = HEADER.unpack(reply)
        if magic != MAGIC or number != self._number:
            binary.close()
            raise self._nonsense("an upload", repr(reply), "its confirmation")
        if status:
            raise InstrumentError(
                f"{self.name}: the pattern was refused (code {status}); what was played before "
                "goes on"
            )

    def _port(self) -> ByteAdapter:
        """The connection for uploads, opened with the first."""
        if self._binary is None:
            adapter = self.adapter
            if not isinstance(adapter, ByteAdapter):
                raise RequestError(f"{self.name}: give an address, http://HOST:8050")
            address = adapter.address or "http://pulsestreamer"
            host = host_and_port(address, RPC_PORT)[0]
            framing = Framing(write=b"", read=b"", timeout=UPLOAD_TIMEOUT)
            self._binary = adapter.port("binary", f"tcp://{host}:{BINARY_PORT}", framing)
        return self._binary
