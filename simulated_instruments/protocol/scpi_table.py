"""Command tables: the decorator that fills them, and settings that need no code of their own."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from simulated_instruments.protocol import scpi_syntax as syntax
from simulated_instruments.protocol.scpi_status import EventRegister, ScpiError
from simulated_instruments.protocol.scpi_syntax import Parameter, boolean, choice

Reply = str | bytes | float | None  # bool and int are floats to a type checker
Handler = TypeVar("Handler", bound=Callable[..., Any])


@dataclass(frozen=True)
class AfterPending:
    """What a handler returns whose reply (or effect) must wait until all operations have ended."""

    then: Callable[[], Reply | AfterPending]


@dataclass(frozen=True)
class Number:
    """A numeric setting: an attribute of the model, read and set in `unit`."""

    header: str
    attribute: str
    minimum: float
    maximum: float
    default: float
    unit: str = ""
    integer: bool = False


@dataclass(frozen=True)
class Switch:
    """A boolean setting of the model."""

    header: str
    attribute: str


@dataclass(frozen=True)
class Choice:
    """A setting that is one of some words; the model holds the short form."""

    header: str
    attribute: str
    words: tuple[str, ...]


@dataclass(frozen=True)
class Command:
    """One entry of a command table."""

    pattern: re.Pattern[str]
    handler: Callable[..., Any]
    least: int  # fewest parameters
    most: int
    block: bool


def scpi(*headers: str, block: bool = False) -> Callable[[Handler], Handler]:
    """Register a method under headers; it gets numeric suffixes, then parameters as text.

    Args:
        headers: as printed in manuals; a trailing question mark makes it a query.
        block: parameters may be definite-length blocks, which arrive as bytes.
    """

    def register(handler: Handler) -> Handler:
        handler.scpi = (headers, block)  # type: ignore[attr-defined]  # a mark on a function
        return handler

    return register


def mask(data: str, most: int) -> int:
    value = syntax.number(data)
    if not 0 <= value <= most:
        raise ScpiError(-222)
    return round(value)


def command_of(header: str, handler: Callable[..., Any], block: bool = False) -> Command:
    """The table entry of one header; the handler's signature says how many parameters there are."""
    pattern, suffixes = syntax.compile_header(header if header[0] in "[:" else f":{header}")
    least, most = -1 - suffixes, -1 - suffixes  # `self` and the suffixes are no parameters
    for parameter in inspect.signature(handler).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            most = 1 << 30
        else:
            most += 1
            least += parameter.default is parameter.empty
    return Command(pattern, handler, least, most, block)


def commands_of(setting: Number | Switch | Choice) -> tuple[Command, Command]:
    """The command and the query of a declared setting."""
    attribute = setting.attribute
    words = setting.words if isinstance(setting, Choice) else ()

    def read(self: Any) -> Any:
        return getattr(self.model, attribute)

    def write_switch(self: Any, data: Parameter) -> None:
        setattr(self.model, attribute, boolean(data))

    def write_choice(self: Any, data: Parameter) -> None:
        setattr(self.model, attribute, choice(data, words))

    if not isinstance(setting, Number):
        write = write_switch if isinstance(setting, Switch) else write_choice
        return command_of(setting.header, write), command_of(f"{setting.header}?", read)
    limits = (setting.minimum, setting.maximum, setting.default, setting.unit)

    def write_number(self: Any, data: Parameter) -> None:
        value = self.number(data, *limits)
        setattr(self.model, attribute, round(value) if setting.integer else value)

    def read_number(self: Any, which: Parameter = "") -> Any:
        if which:
            place = choice(which, ("MINimum", "MAXimum", "DEFault"))
            value = limits[("MIN", "MAX", "DEF").index(place)]
        else:
            value = getattr(self.model, attribute)
        return round(value) if setting.integer else float(value)

    return command_of(setting.header, write_number), command_of(f"{setting.header}?", read_number)


def status_commands(tree: str, attribute: str) -> list[Command]:
    """The commands of one SCPI status register, for example OPERation."""

    def register(self: Any) -> EventRegister:
        found: EventRegister = getattr(self.status, attribute)
        return found

    def mask_commands(node: str, name: str) -> list[Command]:
        def write(self: Any, data: str) -> None:
            setattr(register(self), name, mask(data, 0x7FFF))

        def read(self: Any) -> int:
            return int(getattr(register(self), name))

        header = f"STATus:{tree}:{node}"
        return [command_of(header, write), command_of(f"{header}?", read)]

    def event(self: Any) -> int:
        return register(self).take_event()

    def condition(self: Any) -> int:
        return register(self).condition

    return [
        command_of(f"STATus:{tree}[:EVENt]?", event),
        command_of(f"STATus:{tree}:CONDition?", condition),
        *mask_commands("ENABle", "enable"),
        *mask_commands("PTRansition", "positive"),
        *mask_commands("NTRansition", "negative"),
    ]
