"""SCPI instruments over a byte stream: common commands, status and overlapped operations.

A sub-class lists its commands with `@scpi("[:SENSe]:BANDwidth[:RESolution]")` (and the same with
a question mark for a query), or declares plain settings of its model in `SETTINGS`. Sources: IEEE
488.2-1992 for messages and status, SCPI-99 for headers, errors and the STATus and SYSTem trees.
"""

from __future__ import annotations

from typing import Any, ClassVar

from simulated_instruments.instrument import SimulatedInstrument
from simulated_instruments.protocol import scpi_syntax as syntax
from simulated_instruments.protocol.scpi_endpoint import ScpiEndpoint
from simulated_instruments.protocol.scpi_status import OPERATION_COMPLETE, ScpiError, Status
from simulated_instruments.protocol.scpi_syntax import Parameter
from simulated_instruments.protocol.scpi_table import (
    AfterPending,
    Choice,
    Command,
    Number,
    Switch,
    command_of,
    commands_of,
    mask,
    scpi,
    status_commands,
)
from simulated_instruments.world import World

__all__ = ["AfterPending", "Choice", "Number", "ScpiError", "ScpiInstrument", "Switch", "scpi"]


class ScpiInstrument(SimulatedInstrument):
    """A command table and one status model; each connection has its own buffers.

    `self.model` is what `SETTINGS` refer to. Handlers return the reply, or None for commands;
    they raise ScpiError, or ValueError for a value out of range.
    """

    identity: ClassVar[str] = "SIM,SCPI,0,1.0"
    options: ClassVar[str] = "0"
    SETTINGS: ClassVar[tuple[Number | Switch | Choice, ...]] = ()
    #: How `SYSTem:ERRor?` writes an entry; other makers leave out the plus sign.
    ERROR_FORMAT: ClassVar[str] = '{code:+d},"{text}"'
    #: Whether a number out of range is set to the limit (and reported), or only reported.
    CLIPS: ClassVar[bool] = True
    TERMINATOR: ClassVar[bytes] = b"\n"

    _commands: ClassVar[tuple[Command, ...]] = ()
    _found: ClassVar[dict[str, tuple[Command, tuple[str, ...]]]] = {}
    takes_blocks: ClassVar[bool] = False

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        commands = [command for setting in cls.SETTINGS for command in commands_of(setting)]
        names = dict.fromkeys(name for owner in cls.__mro__ for name in vars(owner))
        for name in names:  # the sub-class first, so that it can replace a command of its base
            handler: Any = getattr(cls, name, None)
            headers, block = getattr(handler, "scpi", ((), False))
            for header in headers:
                commands.append(command_of(header, handler, block))
        commands += status_commands("OPERation", "operation")
        commands += status_commands("QUEStionable", "questionable")
        cls._commands = tuple(commands)
        cls._found = {}
        cls.takes_blocks = any(command.block for command in commands)

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: Any = None
        self.status = Status()
        #: Seconds from the end of a message to its reply.
        self.latency = 2e-4
        #: True: as on GPIB, USB or HiSLIP, a new message cancels an answer that is not read yet
        #: (-410). False: as on a raw socket, messages and answers queue up.
        self.interrupts = False
        #: When the last overlapped operation ends (s), unless `pending_until` is overridden.
        self.operation_end = 0.0

    def connect(self, port: str = "") -> ScpiEndpoint:
        return ScpiEndpoint(self)

    # ------------------------------------------------- what instruments may override

    def pending_until(self) -> float:
        """When the last overlapped operation ends (s); the past when there is none."""
        return self.operation_end

    def operation_condition(self) -> int:
        """Bits of `STATus:OPERation:CONDition?`."""
        return 0

    def questionable_condition(self) -> int:
        """Bits of `STATus:QUEStionable:CONDition?`."""
        return 0

    def reset(self) -> None:
        """Bring the settings to their preset values."""
        self.operation_end = 0.0

    def number_text(self, value: float) -> str:
        """How this maker writes numbers that are not whole."""
        return syntax.nr3(value)

    # ------------------------------------------------- helpers for handlers

    def number(
        self,
        data: Parameter,
        minimum: float,
        maximum: float,
        default: float | None = None,
        unit: str = "",
    ) -> float:
        """Read a number, MIN, MAX or DEF; treat what is out of range as this instrument does."""
        word = data.upper() if isinstance(data, str) else ""
        if word in ("MIN", "MINIMUM"):
            return minimum
        if word in ("MAX", "MAXIMUM"):
            return maximum
        if word in ("DEF", "DEFAULT") and default is not None:
            return default
        value = syntax.number(data, unit)
        if minimum <= value <= maximum:
            return value
        if not self.CLIPS:
            raise ScpiError(-222)
        self.status.push(-222)
        return minimum if value < minimum else maximum

    def find(self, header: str) -> tuple[Command, tuple[str, ...]]:
        """The command of a full header in upper case, and its numeric suffixes."""
        if header not in self._found:
            for command in self._commands:
                if match := command.pattern.fullmatch(header):
                    self._found[header] = command, match.groups("")
                    break
            else:
                raise ScpiError(-113, header.removeprefix(":")[:40])
        return self._found[header]

    def refresh(self) -> None:
        """Bring event registers up to the world's time."""
        status = self.status
        if status.awaiting_completion and self.pending_until() <= self.world.now:
            status.awaiting_completion = False
            status.event |= OPERATION_COMPLETE
        status.operation.update(self.operation_condition())
        status.questionable.update(self.questionable_condition())

    # ------------------------------------------------- IEEE 488.2 common commands

    @scpi("*IDN?")
    def _identify(self) -> str:
        return self.identity

    @scpi("*OPT?")
    def _options(self) -> str:
        return self.options

    @scpi("*TST?")
    def _self_test(self) -> int:
        return 0

    @scpi("*RST", "SYSTem:PRESet")
    def _reset(self) -> None:
        self.status.awaiting_completion = False
        self.reset()

    @scpi("*CLS")
    def _clear(self) -> None:
        self.status.clear()

    @scpi("*OPC")
    def _complete(self) -> None:
        self.status.awaiting_completion = True

    @scpi("*OPC?")
    def _is_complete(self) -> AfterPending:
        return AfterPending(lambda: 1)

    @scpi("*WAI")
    def _wait(self) -> AfterPending:
        return AfterPending(lambda: None)

    @scpi("*ESE")
    def _set_event_enable(self, data: str) -> None:
        self.status.event_enable = mask(data, 255)

    @scpi("*ESE?")
    def _event_enable(self) -> int:
        return self.status.event_enable

    @scpi("*ESR?")
    def _event(self) -> int:
        event, self.status.event = self.status.event, 0
        return event

    @scpi("*SRE")
    def _set_service_enable(self, data: str) -> None:
        self.status.service_enable = mask(data, 255) & ~64

    @scpi("*SRE?")
    def _service_enable(self) -> int:
        return self.status.service_enable

    # ------------------------------------------------- SYSTem and STATus

    @scpi("SYSTem:ERRor[:NEXT]?")
    def _next_error(self) -> str:
        code, text = self.status.pop()
        return self.ERROR_FORMAT.format(code=code, text=text.replace('"', '""'))

    @scpi("SYSTem:ERRor:COUNt?")
    def _error_count(self) -> int:
        return len(self.status.errors)

    @scpi("SYSTem:VERSion?")
    def _version(self) -> str:
        return "1999.0"

    @scpi("STATus:PRESet")
    def _preset_status(self) -> None:
        self.status.operation.preset()
        self.status.questionable.preset()
