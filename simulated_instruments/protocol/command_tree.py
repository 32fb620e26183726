"""Commands by header in words of which any part between short and long form is understood.

SCPI in looks, without its status and error queue: a message has one reply, with a line for each
query in it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: handler(parameter) -> answer; a query gets "".
Handler = Callable[[str], Any]


class Refused(ValueError):
    """A command that the instrument does not execute."""


class CommandTree:
    """Commands by header, as the manual prints them: `DELAy:VALUe` is also `DELA:VALU`.

    Anything between the short and the long form of a word is understood.
    """

    def __init__(self) -> None:
        self._handlers: dict[tuple[str, ...], Handler] = {}
        self._found: dict[tuple[str, ...], Handler] = {}

    def add(self, header: str, handler: Handler) -> None:
        self._handlers[tuple(header.split(":"))] = handler

    def execute(self, message: str) -> list[str]:
        """Execute the commands of one message; returns a line for each query."""
        lines: list[str] = []
        path: list[str] = []
        for unit in message.split(";"):
            header, _, parameter = unit.strip().partition(" ")
            if not header:
                continue
            rooted = header.startswith((":", "*"))
            words = ([] if rooted else path) + header.lstrip(":").split(":")
            if not header.startswith("*"):
                path = words[:-1]
            answer = self._find(tuple(words))(parameter.strip())
            if words[-1].endswith("?"):
                lines.append(str(answer))
        return lines

    def _find(self, words: tuple[str, ...]) -> Handler:
        if words not in self._found:
            for pattern, handler in self._handlers.items():
                if len(pattern) == len(words) and all(map(matches, pattern, words)):
                    self._found[words] = handler
                    break
            else:
                raise Refused(f"unknown command {':'.join(words)[:60]}")
        return self._found[words]


def matches(pattern: str, word: str) -> bool:
    """Whether a word is a form of a pattern; numbers and question marks must agree."""
    if pattern.endswith("?") != word.endswith("?"):
        return False
    name, word = pattern.removesuffix("?"), word.removesuffix("?")
    stem = name.rstrip("0123456789")
    number, given = name[len(stem) :], word.rstrip("0123456789")
    if word[len(given) :] not in ({number, ""} if number == "1" else {number}):
        return False
    short = "".join(c for c in stem if not c.islower())
    return given.upper().startswith(short) and stem.upper().startswith(given.upper())
