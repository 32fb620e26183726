"""Parameters and commands of a DeCoF controller, and evaluation of what a client sends."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulated_instruments.protocol.decof import (
    ACCESS_DENIED,
    CLIPPED,
    INVALID_VALUE,
    NORMAL,
    NOT_SETTABLE,
    READONLY,
    SYNTAX,
    UNKNOWN,
    WRONG_TYPE,
    DecofError,
    Symbol,
    encode,
)

Limit = float | Callable[[], float]


@dataclass(frozen=True)
class Parameter:
    """One parameter: its type, how to read it at a time (s), how to set it (status)."""

    kind: type
    read: Callable[[float], Any]
    write: Callable[[Any, float], int] | None = None
    level: int = NORMAL  # highest user level that may write


@dataclass(frozen=True)
class Command:
    """One command: types of its arguments and what it does; returns a value or None."""

    kinds: tuple[type, ...]
    run: Callable[..., Any]  # (time, *arguments)
    level: int = NORMAL


class Tree:
    """All parameters and commands of one controller.

    Args:
        passwords: what opens the user levels below normal; other levels cannot be reached.
    """

    def __init__(self, passwords: dict[int, str]) -> None:
        self.parameters: dict[str, Parameter] = {}
        self.commands: dict[str, Command] = {}
        self.passwords = passwords
        self.values: dict[str, Any] = {}  # of the stored settings

    def parameter(self, name: str) -> Parameter:
        """The parameter called `name`; raises DecofError -3."""
        try:
            return self.parameters[name]
        except KeyError:
            raise DecofError(UNKNOWN, "unknown parameter") from None

    def fixed(self, name: str, value: Any) -> None:
        """Add a value that never changes."""
        self.shown(name, type(value), lambda t: value)

    def shown(
        self,
        name: str,
        kind: type,
        read: Callable[[float], Any],
        write: Callable[[Any, float], int] | None = None,
    ) -> None:
        """Add a value that is computed when somebody asks."""
        self.parameters[name] = Parameter(kind, read, write)

    def stored(
        self,
        name: str,
        value: Any,
        *,
        low: Limit = -math.inf,
        high: Limit = math.inf,
        choices: tuple[int, ...] = (),
        level: int = NORMAL,
        then: Callable[[float], None] | None = None,
    ) -> None:
        """Add a setting: numbers are clipped to their limits, other choices are refused."""
        self.values[name] = value
        number = type(value) in (int, float)

        def write(new: Any, t: float) -> int:
            status = 0
            if choices and new not in choices:
                return INVALID_VALUE
            if number:
                least = low() if callable(low) else low
                most = high() if callable(high) else high
                if not least <= new <= most:
                    new, status = type(new)(min(max(new, least), most)), CLIPPED
            self.values[name] = new
            if then is not None:
                then(t)
            return status

        self.parameters[name] = Parameter(type(value), lambda t: self.values[name], write, level)

    def command(self, name: str, run: Callable[..., Any], *kinds: type) -> None:
        """Add a command that takes the time and arguments of these types."""
        self.commands[name] = Command(kinds, run)


class Session:
    """One client's view of a tree: its user level, and evaluation of what it sends."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.level = NORMAL

    def evaluate(self, node: Any, t: float) -> Any:
        """Value of an expression at time `t` (s); raises DecofError."""
        if not isinstance(node, tuple):
            if isinstance(node, Symbol):
                raise DecofError(SYNTAX, f"unbound variable {node}")
            return node
        if not node:
            return ()
        head, *rest = node
        handler = self._FORMS.get(head) if isinstance(head, Symbol) else None
        if handler is None:
            raise DecofError(SYNTAX, f"unknown operation {encode(head)}")
        return handler(self, rest, t)

    def _name(self, rest: list[Any], t: float, most: int) -> str:
        if not 1 <= len(rest) <= most:
            raise DecofError(SYNTAX, "wrong number of arguments")
        name = self.evaluate(rest[0], t)
        if not isinstance(name, Symbol):
            raise DecofError(SYNTAX, "a quoted name is expected")
        return name

    def _quote(self, rest: list[Any], t: float) -> Any:
        if len(rest) != 1:
            raise DecofError(SYNTAX, "wrong number of arguments")
        return rest[0]

    def _quasiquote(self, rest: list[Any], t: float) -> Any:
        def fill(node: Any) -> Any:
            if not isinstance(node, tuple):
                return node
            if len(node) == 2 and node[0] == "unquote" and isinstance(node[0], Symbol):
                return self.evaluate(node[1], t)
            return tuple(fill(item) for item in node)

        return fill(self._quote(rest, t))

    def _sum(self, rest: list[Any], t: float) -> Any:
        values = [self.evaluate(item, t) for item in rest]
        if any(isinstance(value, bool) or not isinstance(value, int | float) for value in values):
            raise DecofError(WRONG_TYPE, "+ adds numbers only")
        return sum(values)

    def _read(self, rest: list[Any], t: float) -> Any:
        name = self._name(rest, t, 1)
        if name == "ul":
            return self.level
        return self.tree.parameter(name).read(t)

    def _write(self, rest: list[Any], t: float) -> int:
        name = self._name(rest, t, 2)
        if len(rest) != 2:
            raise DecofError(SYNTAX, "wrong number of arguments")
        value = self.evaluate(rest[1], t)
        if name == "ul":
            return NOT_SETTABLE  # through change-ul only
        parameter = self.tree.parameter(name)
        if parameter.write is None:
            return NOT_SETTABLE
        if self.level > parameter.level:
            return ACCESS_DENIED
        if type(value) is not parameter.kind:  # a real without a dot is an integer: refused
            return WRONG_TYPE
        if isinstance(value, str) and not value.isprintable():
            return INVALID_VALUE
        return parameter.write(value, t)

    def _exec(self, rest: list[Any], t: float) -> Any:
        name = self._name(rest, t, 99)
        arguments = [self.evaluate(item, t) for item in rest[1:]]
        if name == "change-ul":
            return self.change_level(arguments)
        command = self.tree.commands.get(name)
        if command is None:
            raise DecofError(UNKNOWN, "unknown command")
        if self.level > command.level:
            raise DecofError(ACCESS_DENIED, "user level too low")
        if tuple(type(value) for value in arguments) != command.kinds:
            expected = " ".join(kind.__name__ for kind in command.kinds)
            raise DecofError(SYNTAX, f"arguments expected: ({expected})")
        result = command.run(t, *arguments)
        return () if result is None else result

    def _display(self, rest: list[Any], t: float) -> Symbol:
        """All parameters of a branch, one line each."""
        branch = self._name(rest, t, 1) if rest else ""
        rows = self.tree.parameters.items()
        lines = [f"{name} = {encode(p.read(t))}" for name, p in rows if name.startswith(branch)]
        if not lines:
            raise DecofError(UNKNOWN, "unknown parameter")
        return Symbol("\r\n".join(lines))

    def _change_level(self, rest: list[Any], t: float) -> int:
        return self.change_level([self.evaluate(item, t) for item in rest])

    def change_level(self, arguments: list[Any]) -> int:
        """Set the user level if the password is right; returns the level that now holds."""
        if len(arguments) != 2 or type(arguments[0]) is not int or type(arguments[1]) is not str:
            raise DecofError(SYNTAX, "arguments expected: (int str)")
        level, password = arguments
        if level in (NORMAL, READONLY) or (
            level in self.tree.passwords and self.tree.passwords[level] == password
        ):
            self.level = level
        return self.level

    _FORMS: dict[str, Callable[[Session, list[Any], float], Any]] = {
        "quote": _quote,
        "quasiquote": _quasiquote,
        "+": _sum,
        "param-ref": _read,
        "param-gsv": _read,
        "param-set!": _write,
        "param-disp": _display,
        "exec": _exec,
        "change-ul": _change_level,
    }
