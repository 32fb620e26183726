"""One connection to a SCPI instrument: messages out of bytes, answers in their order and time."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, Protocol

from simulated_instruments.protocol import scpi_syntax as syntax
from simulated_instruments.protocol.scpi_status import ScpiError, Status
from simulated_instruments.protocol.scpi_syntax import Parameter
from simulated_instruments.protocol.scpi_table import AfterPending, Command, Reply
from simulated_instruments.world import World

#: Bytes of one message without its blocks, beyond which the input buffer overruns.
MESSAGE_LIMIT = 1 << 16
#: Longest block (bytes) that is accepted.
BLOCK_LIMIT = 1 << 26


class Interpreter(Protocol):
    """What a connection needs of its instrument; `scpi.ScpiInstrument` has it."""

    TERMINATOR: ClassVar[bytes]
    takes_blocks: ClassVar[bool]
    world: World
    status: Status
    latency: float  # s
    interrupts: bool

    def find(self, header: str) -> tuple[Command, tuple[str, ...]]: ...
    def refresh(self) -> None: ...
    def pending_until(self) -> float: ...
    def number_text(self, value: float) -> str: ...


class ScpiEndpoint:
    """One connection: cuts messages out of the byte stream, executes them and queues answers.

    Nobody can ask a stream for an answer that was not requested, so -420 does not occur here.
    """

    _BLOCK_START = re.compile(r"(?:[^\"'#]|\"[^\"]*\"|'[^']*'|#(?![1-9]))*#(?=[1-9])")

    def __init__(self, instrument: Interpreter) -> None:
        self._instrument = instrument
        self._buffer = bytearray()
        self._needed = 0  # bytes of the buffer before it makes sense to look again
        self._blocks: list[bytes] = []  # payloads cut out of the message that is arriving
        self._skipping = False  # an overlong message is thrown away up to its end
        self._message_blocks: list[bytes] = []
        self._units: deque[str] = deque()
        self._path = ""
        self._later: AfterPending | None = None
        self._replies: list[bytes] = []
        self._output: deque[tuple[float, bytes]] = deque()
        self._last_due = 0.0
        self._wake = math.inf  # when to be fed again without new bytes

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        """Take bytes that arrive at `now`; return replies as (due time, bytes), in order."""
        instrument = self._instrument
        instrument.world.advance(now)
        instrument.refresh()
        if data:
            self._buffer += data
            if instrument.interrupts and (self._later or self._last_due > now):
                self._interrupt()
        self._wake = math.inf
        self._run(now)
        ready = []
        while self._output and (self._output[0][0] <= now or not instrument.interrupts):
            ready.append(self._output.popleft())
        if self._output:  # kept back, because a new message would cancel it
            self._wake = min(self._wake, self._output[0][0])
        return [*ready, (self._wake, b"")] if self._wake < math.inf else ready

    # ------------------------------------------------- message exchange

    def _run(self, now: float) -> None:
        """Execute what can be executed now."""
        while True:
            if self._later is not None:
                end = self._instrument.pending_until()
                if end > now:
                    self._wake = end
                    return
                then, self._later = self._later.then, None
                self._attempt(then)
            elif self._units:
                self._attempt(partial(self._execute, self._units.popleft()))
            elif self._replies:
                self._last_due = max(self._last_due, now + self._instrument.latency)
                text = b";".join(self._replies) + self._instrument.TERMINATOR
                self._output.append((self._last_due, text))
                self._replies.clear()
            else:
                message = self._next_message()
                if message is None:
                    return
                self._units.extend(u for u in syntax.split_list(message, ";") if u)
                self._path = ""

    def _attempt(self, action: Callable[[], Any]) -> None:
        """Do it, take its reply, and queue what it complains about."""
        try:
            reply = action()
        except ScpiError as error:
            self._instrument.status.push(error.code, error.detail)
        except ValueError as error:
            self._instrument.status.push(-222, str(error))
        else:
            if isinstance(reply, AfterPending):
                self._later = reply
            elif reply is not None:
                self._replies.append(_encode(reply, self._instrument.number_text))
        self._instrument.refresh()

    def _execute(self, unit: str) -> Any:
        header, data, self._path = syntax.split_header(unit, self._path)
        instrument = self._instrument
        if header == ":*STB?":  # the only one that must know the output queue
            unread = self._replies or (instrument.interrupts and self._output)
            return instrument.status.byte(bool(unread))
        command, suffixes = instrument.find(header)
        parameters = [self._parameter(p) for p in syntax.split_list(data, ",")] if data else []
        if len(parameters) < command.least:
            raise ScpiError(-109, header[1:])
        if len(parameters) > command.most:
            raise ScpiError(-108, header[1:])
        return command.handler(instrument, *(int(s or 1) for s in suffixes), *parameters)

    def _parameter(self, text: str) -> Parameter:
        if not text:
            raise ScpiError(-109)
        if text.startswith("#@"):
            index = text[2:]
            if not index.isdecimal() or int(index) >= len(self._message_blocks):
                raise ScpiError(-161)
            return self._message_blocks[int(index)]
        return text

    def _interrupt(self) -> None:
        self._units.clear()
        self._replies.clear()
        self._output.clear()
        self._later = None
        self._last_due = 0.0
        self._instrument.status.push(-410)

    # ------------------------------------------------- cutting the stream

    def _next_message(self) -> str | None:
        """Take the next complete message out of the buffer; its blocks become `#@0`, `#@1`..."""
        buffer = self._buffer
        if not buffer or len(buffer) < self._needed:
            return None
        end = buffer.find(b"\n")
        if self._skipping:
            del buffer[: end + 1 if end >= 0 else len(buffer)]
            self._skipping = end < 0
            return None if self._skipping else ""
        if self._instrument.takes_blocks and b"#" in buffer:
            try:
                if not self._cut_blocks():
                    return None
            except ScpiError as error:
                self._instrument.status.push(error.code, error.detail)
                self._skipping = True
                return ""
            end = buffer.find(b"\n")
        if end < 0:
            if len(buffer) > MESSAGE_LIMIT:
                self._instrument.status.push(-363)
                buffer.clear()
                self._skipping = True
            return None
        message = buffer[:end].decode("latin-1").strip("\r\n\t \0")
        del buffer[: end + 1]
        self._message_blocks, self._blocks, self._needed = self._blocks, [], 0
        return message

    def _cut_blocks(self) -> bool:
        """Replace the blocks of the first message by marks; False while one is incomplete."""
        buffer = self._buffer
        while (start := self._find_block()) >= 0:
            span = syntax.block_end(buffer, start, BLOCK_LIMIT)
            if span is None or span[1] > len(buffer):
                self._needed = span[1] if span else 0
                return False
            self._blocks.append(bytes(buffer[span[0] : span[1]]))
            buffer[start : span[1]] = b"#@%d" % (len(self._blocks) - 1)
            self._needed = 0
        return True

    def _find_block(self) -> int:
        """Where a block begins in the first message, in a command that takes one; -1 if nowhere."""
        end = self._buffer.find(b"\n")
        line = self._buffer[: end if end >= 0 else len(self._buffer)].decode("latin-1")
        start, path = 0, ""
        while start < len(line):
            stop = syntax.find_end(line, ";", start)
            unit = line[start:stop]
            try:
                header, _, path = syntax.split_header(unit.strip(), path)
                takes_block = self._instrument.find(header)[0].block
            except ScpiError:
                takes_block = False
            if takes_block and (match := self._BLOCK_START.match(unit)):
                return start + match.end() - 1
            start = stop + 1
        return -1


def _encode(reply: Reply, number_text: Callable[[float], str]) -> bytes:
    if isinstance(reply, bytes):
        return reply
    if isinstance(reply, float):
        return number_text(reply).encode()
    return (str(int(reply)) if isinstance(reply, int) else str(reply)).encode("latin-1", "replace")
