"""The time port: clients that step the server's clock ask here, one JSON object per line.

Question: `{"id": any, "do": VERB, "sent": [[CLIENT, SERVER, COUNT], ...], ...}`. A connection is
named by its TCP port at the client and at the server. `sent` lists what was sent since the last
question, in order; the simulators get exactly those messages before anything else happens.

| verb | more | what happens |
| --- | --- | --- |
| `now` | | nothing |
| `attach` | `connection` | this connection, which must not be open yet, will be a stepped one |
| `move` | `to` (s) | time moves to `to`, never backwards |
| `receive` | `connection`, `timeout` (s) | time moves until bytes are due, at most by `timeout`; \
null: only what is due of the replies already known |
| `detach` | `connection` | nothing more; it is about to close |

Answer: `{"id": same, "now": s, "pace": number}`, for `receive` also `"expect"`: all bytes that the
server has ever sent on that connection. A question that cannot be answered gives `"error"`.
Only a server of pace 0 lets its time be moved; `now` is always answered.
"""

from __future__ import annotations

import json
import math
import selectors
from collections import deque
from collections.abc import Callable
from typing import Any

from labctl.clock import VirtualClock
from simulated_instruments.serving.connection import SteppedConnection
from simulated_instruments.serving.pace import Now
from simulated_instruments.serving.wire import Stream, Wire

#: Bytes of one question, and questions that one client may have open.
LINE_LIMIT = 1 << 20
QUESTION_LIMIT = 1000

Key = tuple[int, int]  # TCP port at the client, TCP port at the server


class TimePort:
    """Answers questions in the order of their arrival, each as soon as its bytes are here.

    Args:
        clock: the server's; a `VirtualClock` if clients may move it.
        pace: of the server.
        before_move: takes in what free clients have sent, so that it counts as sent before.
        after_move: sends what is due to free clients; returns when the next reply to one is due.
    """

    def __init__(
        self,
        clock: Now,
        pace: float,
        before_move: Callable[[], None],
        after_move: Callable[[], float],
    ) -> None:
        self._clock = clock
        self._pace = pace
        self._before_move = before_move
        self._after_move = after_move
        self._questions: deque[tuple[_Asker, dict[str, Any]]] = deque()
        self._expected: dict[Key, _Asker] = {}
        self._stepped: dict[Key, SteppedConnection] = {}
        self.askers: set[_Asker] = set()

    def accept(self, selector: selectors.BaseSelector, stream: Stream) -> None:
        """Serve a new client of the time port."""
        self.askers.add(_Asker(selector, stream, self))

    def claim(self, key: Key) -> bool:
        """Whether the connection that just arrived was announced as a stepped one."""
        return self._expected.pop(key, None) is not None

    def add(self, key: Key, connection: SteppedConnection) -> None:
        """Take a stepped connection."""
        self._stepped[key] = connection

    def remove(self, key: Key) -> None:
        """Forget a connection that was closed."""
        self._stepped.pop(key, None)

    def close(self) -> None:
        """Close all connections."""
        for wire in [c.wire for c in self._stepped.values()] + [a.wire for a in self.askers]:
            wire.close()

    def work(self) -> None:
        """Answer what can be answered now."""
        while self._questions:
            asker, question = self._questions[0]
            if asker.wire.open:
                try:
                    answer = self._answer(question)
                except (KeyError, TypeError, ValueError, OverflowError) as error:
                    answer = {"error": f"{type(error).__name__}: {error}"}
                if answer is None:
                    return
                answer |= {"id": question.get("id"), "now": self._clock.now(), "pace": self._pace}
                asker.wire.write(json.dumps(answer).encode() + b"\n")
            asker.unanswered -= 1
            self._questions.popleft()

    def ask(self, asker: _Asker, line: bytes) -> None:
        """Queue a question; a line that is none is an empty question and gets an error."""
        try:
            question = json.loads(line)
        except (ValueError, RecursionError):
            question = None
        self._questions.append((asker, question if isinstance(question, dict) else {}))

    def gone(self, asker: _Asker) -> None:
        """Forget a client and what it announced."""
        self.askers.discard(asker)
        self._expected = {k: v for k, v in self._expected.items() if v is not asker}

    def _answer(self, question: dict[str, Any]) -> dict[str, Any] | None:
        """The answer to the first question of the queue, or None while its bytes are on the way."""
        verb = question.get("do")
        if verb == "now":
            return {}
        clock = self._clock
        if not isinstance(clock, VirtualClock):
            return {"error": f"time moves by itself here, at pace {self._pace:g}"}
        if not self._consume(question.setdefault("sent", [])):
            return None
        match verb:
            case "attach":
                client, server = question["connection"]
                self._expected[int(client), int(server)] = self._questions[0][0]
                return {}
            case "detach":
                return {}
            case "move":
                when = float(question["to"])
                if not math.isfinite(when):
                    raise ValueError(f"cannot move to {when}")
                self._move(clock, when)
                return {}
            case "receive":
                client, server = question["connection"]
                if (client, server) in self._expected:
                    return None
                connection = self._stepped.get((client, server))
                if connection is None:
                    return {"error": f"connection {client} -> {server} is closed"}
                timeout = question["timeout"]
                if timeout is not None and not 0 <= float(timeout) < math.inf:
                    raise ValueError(f"cannot wait for {timeout} s")
                self._before_move()
                connection.receive(timeout)
                self._after_move()
                if not connection.wire.open:
                    return {"error": f"connection {client} -> {server} is closed"}
                return {"expect": connection.promised}
        return {"error": f"cannot do {verb!r}"}

    def _move(self, clock: VirtualClock, when: float) -> None:
        """Move time, stopping at what free clients are owed on the way."""
        self._before_move()
        while clock.now() < (due := self._after_move()) <= when:
            clock.move_to(due)
        clock.move_to(when)
        self._after_move()

    def _consume(self, sent: list[Any]) -> bool:
        """Feed the named messages in order; False if one has not arrived completely yet."""
        while sent:
            client, server, count = sent[0]
            if count < 0:
                raise ValueError(f"cannot have sent {count} bytes")
            connection = self._stepped.get((client, server))
            if (client, server) in self._expected:
                return False
            if connection is not None:  # what was sent to a closed connection is lost
                if not connection.holds(count):
                    return False
                connection.consume(count)
            del sent[0]
        return True


class _Asker:
    """One client of the time port."""

    def __init__(self, selector: selectors.BaseSelector, stream: Stream, port: TimePort) -> None:
        self._port = port
        self._line = bytearray()
        self.unanswered = 0
        self.wire = Wire(selector, stream, self._take, self._end, limit=LINE_LIMIT)

    def _take(self, data: bytes) -> None:
        *lines, rest = (self._line + data).split(b"\n")
        self._line = rest
        for line in lines:
            self._port.ask(self, bytes(line))
        self.unanswered += len(lines)
        if len(rest) > LINE_LIMIT or self.unanswered > QUESTION_LIMIT:
            self.wire.close()

    def _end(self) -> None:
        if self.wire.open:
            self.wire.close()
        else:
            self._port.gone(self)
