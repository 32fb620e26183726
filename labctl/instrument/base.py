"""Base of all drivers: pymeasure's Instrument on one clock, with an identity and a safe state."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from typing import Any, ClassVar

from pymeasure.adapters import Adapter
from pymeasure.instruments import Channel, Instrument

from labctl.adapter import ByteAdapter, Framing
from labctl.clock import Clock, RealClock
from labctl.errors import IdentityMismatch, InstrumentError, RequestError
from labctl.instrument.replies import StrictReplies
from labctl.instrument.settings import NamedSettings

#: Most entries that are read from an instrument's error queue at a time.
MOST_ERRORS = 50


class BenchInstrument(NamedSettings, Instrument):  # type: ignore[misc]  # pymeasure has no types
    """What a bench expects of an instrument, whoever wrote its driver."""

    FRAMING: ClassVar[Framing] = Framing()
    #: Regular expression that must be found in what `identify` returns.
    IDENTITY: ClassVar[str] = ""
    #: Properties that `snapshot` reads.
    SETTINGS: ClassVar[tuple[str, ...]] = ()

    clock: Clock

    def transaction(self) -> AbstractContextManager[None]:
        adapter = self.adapter
        return adapter.transaction() if isinstance(adapter, ByteAdapter) else nullcontext()

    def binary_values(self, command: str, query_delay: float | None = None, **kwargs: Any) -> Any:
        """Send a command and return the numbers of its binary reply, as one transaction."""
        with self.transaction():
            return super().binary_values(command, query_delay, **kwargs)

    def wait_for(self, query_delay: float | None = None) -> None:
        """Let `query_delay` seconds of bench time pass."""
        if query_delay:
            self.clock.wait(query_delay)

    def identify(self) -> str:
        """Who answers."""
        raise NotImplementedError

    def check_identity(self, expected: str | None = None) -> str:
        """Return the identity of what answers.

        Args:
            expected: regular expression instead of the driver's own.

        Raises:
            IdentityMismatch: another instrument answers.
        """
        identity = self.identify()
        expected = expected or self.IDENTITY
        if not re.search(expected, identity):
            raise IdentityMismatch(
                f"{self.name}: identifies as {identity!r}, which does not match {expected!r}; "
                "check the address in the bench file"
            )
        return identity

    def snapshot(self) -> dict[str, Any]:
        """The settings worth keeping with a run, by name of the property."""
        return {name: getattr(self, name) for name in self.SETTINGS}


class LabInstrument(StrictReplies, BenchInstrument):
    """One instrument. Sub-classes state how they speak, who they are and what to record.

    Args:
        adapter: a ByteAdapter; or any pymeasure adapter; or an address such as "tcp://host:5025".
        name: the name in the bench file; it starts every message.
    """

    #: Nothing stands between `ask` and the adapter.
    _direct: ClassVar[bool] = True

    def __init__(
        self,
        adapter: Adapter | str,
        name: str = "instrument",
        includeSCPI: bool = False,
        **unknown: Any,
    ) -> None:
        if unknown:
            names = ", ".join(map(repr, unknown))
            raise RequestError(f"{name}: {type(self).__name__} has no setting {names}")
        if isinstance(adapter, str):
            adapter = dial(adapter, name, type(self).FRAMING)
        self.clock = getattr(adapter, "clock", None) or RealClock()
        self._query = adapter.query if isinstance(adapter, ByteAdapter) else None
        super().__init__(adapter, name, includeSCPI=False)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._direct = all(
            getattr(cls, method) is getattr(LabInstrument, method)
            for method in ("write", "read", "wait_for")
        )

    def ask(self, command: str, query_delay: float | None = None, **kwargs: Any) -> str:
        """Send a command and return the reply, as one transaction.

        Args:
            command: what to send.
            query_delay: seconds to wait before reading.
            **kwargs: `timeout` in s, if the instrument needs longer than its framing says.
        """
        if self._query is not None and self._direct and not query_delay:
            return self._query(command, **kwargs)
        with self.transaction():
            self.write(command)
            self.wait_for(query_delay)
            return str(self.read(**kwargs))

    def identify(self) -> str:
        """Who answers: by default the reply to `*IDN?`."""
        return self.ask("*IDN?").strip()

    def make_safe(self) -> None:
        """Bring the instrument to a state that harms neither it nor the sample; default: none.

        What it sends must be answered, or read back: nothing sent into a dead wire is safe.
        """

    def shutdown(self) -> None:
        """What pymeasure calls at the end of a `with` block: make safe."""
        self.make_safe()
        super().shutdown()

    def check_errors(self) -> list[str]:
        """Read the SCPI error queue until it is empty; returns its entries, oldest first."""
        errors: list[str] = []
        with self.transaction():
            while len(errors) < MOST_ERRORS:
                entry = self.ask("SYST:ERR?").strip()
                try:
                    number = int(entry.partition(",")[0])
                except ValueError:
                    raise self._nonsense("SYST:ERR?", entry, "an error number") from None
                if number == 0:
                    break
                errors.append(entry)
        return errors

    def check_set_errors(self) -> list[str]:
        """Raise what the instrument complains about: a refused setting must not pass silently."""
        if errors := self.check_errors():
            report = "; ".join(map(str, errors))
            raise InstrumentError(f"{self.name}: the instrument reports {report}")
        return []

    def check_get_errors(self) -> list[str]:
        return self.check_set_errors()


class LabChannel(StrictReplies, NamedSettings, Channel):  # type: ignore[misc]  # untyped base
    """A channel of a LabInstrument, as strict as its parent."""

    def ask(self, command: str, query_delay: float | None = None, **kwargs: Any) -> str:
        """Send a command with the channel's id and return the reply, as one transaction."""
        return str(self.parent.ask(self.insert_id(command), query_delay, **kwargs))

    def transaction(self) -> AbstractContextManager[None]:
        held: AbstractContextManager[None] = self.parent.transaction()
        return held


def dial(address: str, name: str, framing: Framing) -> ByteAdapter:
    """An adapter in real time for an address, or for a VISA resource name."""
    from labctl.transport.opening import open_transport

    clock = RealClock()
    place = address if "://" in address else f"visa://{address}"
    return ByteAdapter(
        lambda: open_transport(place, clock), clock, name=name, framing=framing, address=place
    )
