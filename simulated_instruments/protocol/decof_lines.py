"""The two connections of a DeCoF controller: command line and monitoring line, without I/O."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from simulated_instruments.protocol.decof import (
    SYNTAX,
    UNKNOWN,
    DecofError,
    Incomplete,
    Symbol,
    encode,
    parse,
)
from simulated_instruments.protocol.decof_tree import Session, Tree
from simulated_instruments.world import World

PROMPT = "\r\n> "
CANCEL = "\x03"
ECHO_OFF = "\x12"
LONGEST = 1 << 20  # characters of one unfinished expression
REPLY_TIME = 2e-3  # s from request to answer
INTERVAL = 0.1  # s between two looks at a subscribed value, unless told otherwise
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)  # virtual second 0, so that a seed fixes all bytes

Replies = list[tuple[float, bytes]]


def timestamp(t: float) -> str:
    """ISO time with milliseconds of the virtual second `t`."""
    return (EPOCH + timedelta(milliseconds=round(t * 1e3))).strftime("%Y-%m-%dT%H:%M:%S.%f")[
        :-3
    ] + "Z"


class CommandLine:
    """One client on the command line: banner and prompt, then one answer per expression."""

    def __init__(self, world: World, tree: Tree, banner: tuple[str, ...]) -> None:
        self._world = world
        self._session = Session(tree)
        self._greeting = "\r\n".join((*banner, "DeCoF Command Line")) + PROMPT
        self._pending = ""
        self._free_at = 0.0  # s, when the answer under way is out

    def feed(self, data: bytes, now: float) -> Replies:
        """Take characters, return the answers of all expressions that they complete."""
        self._world.advance(now)
        replies: Replies = []
        if self._greeting:
            replies.append((now, self._greeting.encode()))
            self._greeting = ""
        if data:
            # Latin-1 keeps every byte apart, so that a character cut in two survives.
            text = data.decode("latin-1").replace(ECHO_OFF, "")
            while CANCEL in text:
                _, text = text.split(CANCEL, 1)
                self._pending = ""
                replies.append((now, PROMPT.encode()))
            self._pending += text
            if "\n" in text:
                replies += self._answers(now)
            elif len(self._pending) > LONGEST:
                self._pending = ""
                replies.append((now, f"Error: {SYNTAX} line too long{PROMPT}".encode()))
        return replies

    def _answers(self, now: float) -> Replies:
        """Evaluate what is complete up to the last line end; keep what is not."""
        cut = self._pending.rindex("\n") + 1
        lines, rest = self._pending[:cut], self._pending[cut:]
        try:
            nodes = parse(lines)
        except Incomplete:
            if len(self._pending) <= LONGEST:
                return []
            nodes = (DecofError(SYNTAX, "line too long"),)
        except DecofError as error:
            nodes = (error,)
        self._pending = rest
        replies: Replies = []
        for node in nodes:
            try:
                if isinstance(node, DecofError):
                    raise node
                text = encode(self._session.evaluate(node, now))
            except DecofError as error:
                text = str(error)
            self._free_at = max(now, self._free_at) + REPLY_TIME
            replies.append((self._free_at, (text + PROMPT).encode("latin-1")))
        return replies


@dataclass
class _Subscription:
    """One watched value of one client."""

    name: str
    read: Callable[[float], Any]
    interval: float  # s
    threshold: float
    begun: float  # s, when it was added
    sent: Any
    looks: int = 1  # the number of the next look

    @property
    def due(self) -> float:
        """Time (s) of the next look; a product, so that it does not drift."""
        return self.begun + self.looks * self.interval


class MonitorLine:
    """One client on the monitoring line: pushes values when they change; no prompt.

    Values are looked at on a fixed grid of times from the `add` on, before anything else changes
    the world, so what is sent does not depend on when the client reads. `forget` takes the line
    out of the world when the client is gone.
    """

    def __init__(self, world: World, tree: Tree, forget: Callable[[], Any]) -> None:
        self._world = world
        self._session = Session(tree)
        self._forget = forget
        self._pending = ""
        self._watched: dict[str, _Subscription] = {}
        self._out: Replies = []

    def feed(self, data: bytes, now: float) -> Replies:
        """Take subscriptions; return what was pushed up to `now`."""
        self._world.advance(now)
        self._pending += data.decode("latin-1")
        if len(self._pending) > LONGEST:
            self._pending = ""
        while "\n" in self._pending:
            line, self._pending = self._pending.split("\n", 1)
            self._line(line, now)
        out, self._out = self._out, []
        return out

    def close(self) -> None:
        """End all subscriptions: nobody listens any more."""
        self._forget()

    def advance(self, now: float) -> None:
        """Look at every value that is due up to `now` (s), in order of time."""
        while self._watched:
            next_one = min(self._watched.values(), key=lambda watched: watched.due)
            if next_one.due > now:
                return
            due = next_one.due
            next_one.looks += 1
            value = next_one.read(due)
            if _changed(value, next_one.sent, next_one.threshold):
                next_one.sent = value
                self._push(next_one.name, value, due)

    def _line(self, line: str, now: float) -> None:
        try:
            for node in parse(line):
                self._act(node, now)
        except Incomplete:
            self._error(DecofError(SYNTAX, "incomplete expression"), "", now)
        except DecofError as error:
            self._error(error, "", now)

    def _act(self, node: Any, now: float) -> None:
        match node:
            case (Symbol("add"), (Symbol("quote"), Symbol() as name), *limits):
                self._add(str(name), limits, now)
            case (Symbol("remove"), (Symbol("quote"), Symbol() as name)):
                self._watched.pop(name, None)
            case (Symbol("change-ul"), level, password):
                self._session.change_level([level, password])
            case _:
                raise DecofError(SYNTAX, "unknown operation")

    def _add(self, name: str, limits: list[Any], now: float) -> None:
        numbers = all(type(limit) in (int, float) and limit >= 0 for limit in limits)
        if len(limits) > 2 or not numbers:
            self._error(DecofError(SYNTAX, "interval and threshold must be numbers"), name, now)
            return
        interval = limits[0] * 1e-3 if limits and limits[0] > 0 else INTERVAL
        threshold = float(limits[1]) if len(limits) == 2 else 0.0
        if name == "ul":
            read: Callable[[float], Any] = lambda t: self._session.level  # noqa: E731
        elif name in self._session.tree.parameters:
            read = self._session.tree.parameters[name].read
        else:
            self._error(DecofError(UNKNOWN, "unknown parameter"), name, now)
            return
        value = read(now)
        self._watched[name] = _Subscription(name, read, interval, threshold, now, value)
        self._push(name, value, now)

    def _push(self, name: str, value: Any, t: float) -> None:
        text = f"({timestamp(t)} '{name} {encode(value)})\r\n"
        self._out.append((t, text.encode("latin-1")))

    def _error(self, error: DecofError, name: str, t: float) -> None:
        text = f"(Error: {error.code} ({timestamp(t)} '{name}) {error.text})\r\n"
        self._out.append((t, text.encode("latin-1")))


def _changed(value: Any, sent: Any, threshold: float) -> bool:
    if threshold and isinstance(value, int | float) and not isinstance(value, bool):
        return math.fabs(value - sent) >= threshold
    return bool(value != sent)
