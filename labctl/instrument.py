"""Base of all drivers: pymeasure's Instrument with strict replies, one clock and a safe state."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar

from pymeasure.adapters import Adapter
from pymeasure.instruments import Channel, Instrument
from pymeasure.instruments.common_base import DynamicProperty

from labctl.adapter import ByteAdapter, Framing
from labctl.clock import Clock, RealClock
from labctl.errors import IdentityMismatch, InstrumentError, RequestError

#: Most entries that are read from an instrument's error queue.
MOST_ERRORS = 50


def _replies(cls: type) -> dict[str, frozenset[Any] | None]:
    """Which replies the mapped properties of a class know, by query; None: anything."""
    known: dict[str, frozenset[Any] | None] = {}
    for owner in reversed(cls.__mro__):
        for prop in vars(owner).values():
            getter = getattr(prop, "fget", None)
            code = getattr(getter, "__code__", None)
            if code is None or "map_values" not in code.co_varnames:
                continue
            names = code.co_varnames[1 : code.co_argcount]
            options = dict(zip(names, getter.__defaults__ or (), strict=False))
            if not options.get("map_values") or options.get("get_command") is None:
                continue
            if isinstance(prop, DynamicProperty):  # an instance may change its map
                known[options["get_command"]] = None
            elif isinstance(options["values"], dict):
                known[options["get_command"]] = frozenset(options["values"].values())
    return known


class Strict:
    """Replies that make no sense raise InstrumentError instead of being passed on as text."""

    _known: ClassVar[dict[str, frozenset[Any] | None]] = {}
    _settable: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._known = _replies(cls)
        cls._settable = frozenset(
            name
            for owner in cls.__mro__
            for name, value in vars(owner).items()
            if getattr(value, "fset", None) is not None
        )

    def values(
        self,
        command: str,
        separator: str = ",",
        cast: Callable[[str], Any] = float,
        preprocess_reply: Callable[[str], str] | None = None,
        maxsplit: int = -1,
        **kwargs: Any,
    ) -> list[Any]:
        """Ask and convert; every element must convert, or be a reply that the property maps."""
        reply = self.ask(command, **kwargs).strip()  # type: ignore[attr-defined]
        text = reply if preprocess_reply is None else preprocess_reply(reply)
        parts = text.split(separator, maxsplit) if separator in text else [text]
        convert = _flag if cast is bool else cast
        try:
            values = [convert(part) for part in parts]
        except (ValueError, TypeError):
            values = [part.strip() for part in parts]
            mapped = self._known.get(command, ())
            if mapped is None or (mapped and values[0] in mapped):
                return values
            raise self._nonsense(command, reply, cast.__name__) from None
        mapped = self._known.get(command, ())
        if mapped and values[0] not in mapped:
            raise self._nonsense(command, reply, f"one of {sorted(map(str, mapped))}")
        return values

    def _nonsense(self, command: str, reply: str, wanted: str) -> InstrumentError:
        shown = reply if len(reply) <= 60 else f"{reply[:60]}... ({len(reply)} characters)"
        return InstrumentError(
            f"{self._label()}: {command!r} was answered with {shown!r}, not {wanted}; "
            "check the connection and the model, then ask again"
        )

    def _label(self) -> str:
        return str(getattr(self, "name", type(self).__name__))


def _flag(text: str) -> bool:
    return bool(float(text))


class LabChannel(Strict, Channel):  # type: ignore[misc]
    """A channel of a LabInstrument, as strict as its parent."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._settable:
            with self.parent.transaction():
                super().__setattr__(name, value)
        else:
            super().__setattr__(name, value)

    def ask(self, command: str, query_delay: float | None = None, **kwargs: Any) -> str:
        return self.parent.ask(self.insert_id(command), query_delay, **kwargs)  # type: ignore[no-any-return]

    def _label(self) -> str:
        return f"{self.parent.name} channel {self.id}"


class LabInstrument(Strict, Instrument):  # type: ignore[misc]
    """One instrument. Sub-classes state how they speak, who they are and what to record.

    Args:
        adapter: a ByteAdapter; or any pymeasure adapter; or an address such as "tcp://host:5025".
        name: the name in the bench file; it starts every message.
    """

    FRAMING: ClassVar[Framing] = Framing()
    #: Regular expression that must be found in what `identify` returns.
    IDENTITY: ClassVar[str] = ""
    #: Properties that `snapshot` reads.
    SETTINGS: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self, adapter: Adapter | str, name: str = "instrument", includeSCPI: bool = False, **kw: Any
    ) -> None:
        if kw:
            raise RequestError(
                f"{name}: {type(self).__name__} has no setting {', '.join(map(repr, kw))}"
            )
        if isinstance(adapter, str):
            adapter = _dial(adapter, name, type(self).FRAMING)
        self.clock: Clock = getattr(adapter, "clock", None) or RealClock()
        self._exchange = adapter.query if isinstance(adapter, ByteAdapter) else None
        super().__init__(adapter, name, includeSCPI=False)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        #: Nothing stands between `ask` and the adapter.
        cls._direct = all(
            getattr(cls, n) is getattr(LabInstrument, n) for n in ("write", "read", "wait_for")
        )

    _direct: ClassVar[bool] = True

    def ask(self, command: str, query_delay: float | None = None, **kwargs: Any) -> str:
        """Send a command and return the reply, as one transaction.

        Args:
            command: what to send.
            query_delay: seconds to wait before reading.
            **kwargs: `timeout` in s, if the instrument needs longer than its framing says.
        """
        if self._exchange is not None and self._direct and not query_delay:
            return self._exchange(command, **kwargs)
        with self.transaction():
            self.write(command)
            self.wait_for(query_delay)
            return self.read(**kwargs)  # type: ignore[no-any-return]

    def binary_values(self, command: str, query_delay: float | None = None, **kwargs: Any) -> Any:
        with self.transaction():
            return super().binary_values(command, query_delay, **kwargs)

    def wait_for(self, query_delay: float | None = None) -> None:
        """Let `query_delay` seconds of bench time pass."""
        if query_delay:
            self.clock.wait(query_delay)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Keep other threads out during several exchanges that belong together."""
        held = self.adapter.transaction() if self._exchange is not None else nullcontext()
        with held:
            yield

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._settable:
            with self.transaction():  # the setting and the check of the error queue
                super().__setattr__(name, value)
        else:
            super().__setattr__(name, value)

    # ---------------------------------------------------------------- who and how

    def identify(self) -> str:
        """Who answers: by default the reply to `*IDN?`."""
        return self.ask("*IDN?").strip()

    def check_identity(self) -> str:
        """Return the identity; raises IdentityMismatch if another instrument answers."""
        identity = self.identify()
        if not re.search(self.IDENTITY, identity):
            raise IdentityMismatch(
                f"{self.name}: identifies as {identity!r}, expected a match of {self.IDENTITY!r}; "
                "check the address in the bench file"
            )
        return identity

    def make_safe(self) -> None:
        """Bring the instrument to a state that cannot harm sample or instrument; default: none."""

    def snapshot(self) -> dict[str, Any]:
        """The settings worth keeping with a run, by name of the property."""
        return {name: getattr(self, name) for name in self.SETTINGS}

    def shutdown(self) -> None:
        """What pymeasure calls at the end of a `with` block: make safe."""
        self.make_safe()
        super().shutdown()

    # ---------------------------------------------------------------- errors

    def check_errors(self) -> list[str]:
        """Read the SCPI error queue until it is empty; returns its entries, oldest first."""
        errors: list[str] = []
        with self.transaction():
            while len(errors) < MOST_ERRORS:
                entry = self.ask("SYST:ERR?").strip()
                code = entry.partition(",")[0]
                try:
                    number = int(code)
                except ValueError:
                    raise self._nonsense("SYST:ERR?", entry, "an error number") from None
                if number == 0:
                    break
                errors.append(entry)
        return errors

    def check_set_errors(self) -> list[str]:
        """Raise what the instrument complained about: a refused setting must not pass silently."""
        if errors := self.check_errors():
            raise InstrumentError(f"{self.name}: the instrument reports {'; '.join(errors)}")
        return []

    def check_get_errors(self) -> list[str]:
        return self.check_set_errors()


def _dial(address: str, name: str, framing: Framing) -> ByteAdapter:
    from labctl.transport.opening import open_transport

    clock = RealClock()
    place = address if "://" in address else f"visa://{address}"
    return ByteAdapter(
        lambda: open_transport(place, clock), clock, name=name, framing=framing, address=place
    )
