"""Simulated Swabian Instruments Pulse Streamer 8/2: JSON-RPC on port 8050, uploads on port 21328.

Messages are those that the maker's client (2.1.2) sends and expects from firmware 2.0. Clocks,
network settings and calibration are stored and have no effect; breakpoints are not simulated. The
error codes of the binary port are assumed (the client only tells 0 from others).
"""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from labctl.transport import Endpoint
from simulated_instruments.instrument import Port, SimulatedInstrument
from simulated_instruments.physics.pulse_streamer import (
    BOTH,
    REPEAT,
    STEP,
    Level,
    Pattern,
    PulseStreamerModel,
)
from simulated_instruments.protocol.framed import FrameBuffer
from simulated_instruments.protocol.http import HttpEndpoint, Reply
from simulated_instruments.world import World

__all__ = ["PulseStreamerModel", "SimPulseStreamer"]

SERIAL, FIRMWARE, HARDWARE = "00:26:32:f0:3b:29", "2.0.3", "1.3"
MOST_STEPS = 2_000_000
ANSWERING = 2e-3  # s
UPLOADING = 1e-9  # s per byte
PATH = "/json-rpc"
JSON = {"Content-Type": "application/json"}

MAGIC = 0x53504953
HEADER = struct.Struct("<4I2Q")  # magic, id, command, 0, length of what follows, 0
SEQUENCE = struct.Struct("<qQhhBBBBBBBBI")  # the stream's header has its last 8 bytes unused
STREAM, UPLOAD = 0x0, 0x100
ACCEPTED, BAD_COMMAND, BAD_SEQUENCE, TOO_LONG = range(4)
LONGEST = MOST_STEPS * STEP.itemsize + 3 * 32  # bytes that follow a header

PARSE, INVALID, NO_METHOD, BAD_PARAMS = -32700, -32600, -32601, -32602


class RpcError(Exception):
    """What a method raises to be answered with an error."""

    def __init__(self, code: int, message: str) -> None:
        self.code = code
        super().__init__(message)


class SimPulseStreamer(SimulatedInstrument):
    """Both ports, in front of the outputs that the world may listen to."""

    PORTS: ClassVar[dict[str, Port]] = {
        "rpc": Port("http", default=8050),
        "binary": Port("pulsestreamer", default=21328),
    }

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: PulseStreamerModel = world.part(name, PulseStreamerModel)
        self.model.advance(world.now)
        self.underflow = 0
        self.clock = 0
        self.hostname = "pulsestreamer"
        self.square_wave = 0
        self.calibration = {
            "dc_offset_a0": 0, "dc_offset_a1": 0, "slope_a0": 1, "slope_a1": 1,
        }  # fmt: skip
        self._methods: dict[str, Callable[..., Any]] = {
            name.removeprefix("rpc_"): getattr(self, name)
            for name in dir(self)
            if name.startswith("rpc_")
        }

    def connect(self, port: str = "") -> Endpoint:
        if port in ("", "rpc"):
            return HttpEndpoint(self.world, self._handle)
        if port == "binary":
            return _BinaryEndpoint(self)
        raise ValueError(f"{self.name} has no port {port!r}, only {', '.join(self.PORTS)}")

    # ---------------------------------------------------------------- JSON-RPC

    def _handle(
        self, method: str, target: str, _: dict[str, str], body: bytes, now: float
    ) -> Reply:
        if target.partition("?")[0] != PATH:
            return ANSWERING, 404, {"Content-Type": "text/plain"}, b"not found\n"
        if method != "POST":
            return ANSWERING, 405, {"Allow": "POST"}, b""
        try:
            request = json.loads(body)
        except (ValueError, RecursionError):
            return self._reply(None, error=RpcError(PARSE, "Parse error"))
        if not isinstance(request, dict) or not isinstance(request.get("method"), str):
            return self._reply(None, error=RpcError(INVALID, "Invalid Request"))
        try:
            result = self._call(request["method"], request.get("params", []))
        except RpcError as error:
            return self._reply(request.get("id"), error=error)
        return self._reply(request.get("id"), result)

    def _reply(self, number: Any, result: Any = None, error: RpcError | None = None) -> Reply:
        answer: dict[str, Any] = {"jsonrpc": "2.0", "id": number}
        if error is None:
            answer["result"] = result
        else:
            answer["error"] = {"code": error.code, "message": str(error)}
        return ANSWERING, 200, JSON, json.dumps(answer).encode()

    def _call(self, name: str, params: Any) -> Any:
        method = self._methods.get(name)
        if method is None:
            raise RpcError(NO_METHOD, "Method not found")
        try:
            return method(**params) if isinstance(params, dict) else method(*params)
        except (TypeError, ValueError, KeyError, OverflowError):
            raise RpcError(BAD_PARAMS, "Invalid params") from None

    def rpc_getSerial(self, which: int = 1) -> str:
        return SERIAL

    def rpc_getFPGAID(self) -> str:
        return "03e5a34d16021085"

    def rpc_getFirmwareVersion(self) -> str:
        return FIRMWARE

    def rpc_getHardwareVersion(self) -> str:
        return HARDWARE

    def rpc_getTemperature(self) -> float:
        return 43.5

    def rpc_getSupplyState(self) -> int:
        return 0

    def rpc_reset(self) -> int:
        self.model.hold(Level())
        self.model.set_trigger(0, False)
        self.square_wave = self.clock = 0
        return 0

    def rpc_reboot(self) -> int:
        return self.rpc_reset()

    def rpc_constant(self, state: list[int]) -> int:
        self.model.hold(_level(*state[1:]))
        return 0

    def rpc_forceFinal(self) -> int:
        pattern = self.model.pattern
        if pattern is None:
            return 1
        self.model.hold(pattern.final)
        return 0

    def rpc_stream(self, steps: str, runs: int, final: list[int]) -> int:
        data = base64.b64decode(steps, validate=True)
        found = _steps(data, len(data) // STEP.itemsize)
        if len(data) % STEP.itemsize or found is None:
            raise RpcError(BAD_PARAMS, "Invalid params")
        self.model.stream(Pattern(found, _runs(runs), _level(*final[1:])))
        return 0

    def rpc_start(self, slot: int, count: int = -1) -> int:
        return 0 if self.model.play_slot(_one_of(slot, (0, 1)), int(count)) else 1

    def rpc_isReadyForData(self, slot: int) -> int:
        busy = self.model.state[0] == 2 and self.model.slot == _one_of(slot, (0, 1))
        return int(not busy)

    def rpc_isStreaming(self) -> int:
        return int(self.model.state == (2, 0))

    def rpc_hasFinished(self) -> int:
        self.model.advance(self.world.now)
        return int(self.model.finished)

    def rpc_hasSequence(self) -> int:
        return int(self.model.pattern is not None or any(self.model.slots))

    def rpc_startNow(self) -> int:
        return 0 if self.model.start_now() else 1

    def rpc_rearm(self) -> int:
        return int(self.model.rearm())

    def rpc_setTrigger(self, start: int, rearm: int) -> int:
        self.model.set_trigger(_one_of(start, range(BOTH + 1)), bool(_one_of(rearm, (0, 1))))
        return 0

    def rpc_getTriggerStart(self) -> int:
        return self.model.trigger_start

    def rpc_getTriggerRearm(self) -> int:
        return int(self.model.manual_rearm)

    def rpc_getStreamingState(self) -> dict[str, int]:
        state, condition = self.model.state
        return {"State": state, "StateCondition": condition}

    def rpc_getUnderflow(self) -> int:
        return self.underflow

    def rpc_getStatusRegister(self) -> int:
        return self.model.state[0]

    def rpc_selectClock(self, source: int) -> int:
        self.clock = _one_of(source, (0, 1, 2))
        return 0

    def rpc_getClock(self) -> int:
        return self.clock

    def rpc_setSquareWave125MHz(self, mask: int) -> int:
        self.square_wave = _one_of(mask, range(256))
        return 0

    def rpc_setHostname(self, name: str) -> int:
        self.hostname = str(name)
        return 0

    def rpc_getHostname(self) -> str:
        return self.hostname

    def rpc_setAnalogCalibration(self, o0: float, o1: float, s0: float, s1: float) -> int:
        numbers = (float(o0), float(o1), float(s0), float(s1))
        self.calibration = dict(zip(self.calibration, numbers, strict=True))
        return 0

    def rpc_getAnalogCalibration(self) -> dict[str, float]:
        return self.calibration

    # ---------------------------------------------------------------- uploads

    def load(self, command: int, payload: bytes) -> tuple[int, bytes]:
        """Status and what follows it, for a command of the binary port."""
        if command not in (STREAM, UPLOAD):
            return BAD_COMMAND, b""
        if len(payload) < 32 or len(payload) % 32:
            return BAD_SEQUENCE, b""
        runs, count, a0, a1, mask, *rest = SEQUENCE.unpack(payload[:32])
        steps = _steps(payload[32:], count)
        if count > MOST_STEPS:
            return TOO_LONG, b""
        if steps is None or runs < -1 or runs == 0:
            return BAD_SEQUENCE, b""
        final = Level(mask, a0, a1)
        if command == STREAM:
            self.model.stream(Pattern(steps, runs, final))
            return ACCEPTED, b""
        _, _, _, slot, following, when, on_nodata, _ = rest
        if slot > 1 or following > REPEAT or when > 1 or on_nodata > 2:
            return BAD_SEQUENCE, b""
        self.model.slots[slot] = Pattern(steps, runs, final, following)
        return ACCEPTED, struct.pack("<8i", *[0] * 8)


class _BinaryEndpoint:
    """One connection to the binary port; what is no command ends it."""

    def __init__(self, streamer: SimPulseStreamer) -> None:
        self._streamer = streamer
        self._frames = FrameBuffer(HEADER.size, _length)
        self.closed = False

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        self._streamer.world.advance(now)
        replies: list[tuple[float, bytes]] = []
        if self.closed:
            return replies
        try:
            for frame in self._frames.feed(data):
                _, number, command, *_ = HEADER.unpack(frame[: HEADER.size])
                status, more = self._streamer.load(command, frame[HEADER.size :])
                reply = HEADER.pack(MAGIC, number, status, 0, len(more), 0) + more
                replies.append((now + ANSWERING + UPLOADING * len(frame), reply))
        except ValueError:
            self.closed = True
        return replies


def _length(header: bytes) -> int:
    magic, _, _, _, length, _ = HEADER.unpack(header)
    if magic != MAGIC or length > LONGEST:
        raise ValueError("no command")
    return int(HEADER.size + length)


def _steps(data: bytes, count: int) -> NDArray[Any] | None:
    """The steps in an upload; None if there are none, too many, or fewer than it says."""
    if not 0 < count <= MOST_STEPS or len(data) < count * STEP.itemsize:
        return None
    return np.frombuffer(data, STEP, count).copy()


def _level(mask: int, a0: int, a1: int) -> Level:
    if not 0 <= mask < 256 or not max(abs(a0), abs(a1)) < 1 << 15:
        raise ValueError("no state of the outputs")
    return Level(int(mask), int(a0), int(a1))


def _runs(runs: int) -> int:
    if runs < -1 or runs == 0:
        raise ValueError("no number of runs")
    return int(runs)


def _one_of(value: int, known: Any) -> int:
    if value not in known:
        raise ValueError(f"{value!r} is not allowed")
    return int(value)
