"""Base of all drivers: pymeasure's Instrument with strict replies, one clock and a safe state."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, ClassVar

from pymeasure.adapters import Adapter
from pymeasure.instruments import Channel, Instrument
from pymeasure.instruments.common_base import DynamicProperty

from labctl.adapter import ByteAdapter, Framing
from labctl.clock import Clock, RealClock
from labctl.errors import IdentityMismatch, InstrumentError, RequestError, nearest
from labctl.transport.framing import quoted

#: Most entries that are read from an instrument's error queue at a time.
MOST_ERRORS = 50

#: pymeasure's default `get_process` functions, which leave a value as it is.
_UNPROCESSED = tuple(
    inspect.signature(creator).parameters["get_process"].default
    for creator in (Instrument.control, Instrument.measurement)
)


class StrictReplies:
    """Replies that make no sense raise InstrumentError; pymeasure would pass them on as text."""

    #: Replies that mapped properties know, by query; None: whatever the property makes of it.
    _known: ClassVar[dict[str, frozenset[Any] | None]] = {}
    _settable: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        properties = {
            name: value
            for owner in reversed(cls.__mro__)
            for name, value in vars(owner).items()
            if isinstance(value, property | DynamicProperty)
        }
        cls._settable = frozenset(n for n, p in properties.items() if p.fset is not None)
        cls._known = {"SYST:ERR?": None}  # SCPIMixin.next_error: a number and a text
        used: set[str] = set()
        for prop in properties.values():
            options = _options(prop)
            query = options.get("get_command")
            if query is None:
                continue
            if options["map_values"]:
                cls._known[query] = None if query in used else _mapped(prop, options)
            elif query in cls._known:
                cls._known[query] = None
            used.add(query)

    def values(
        self,
        command: str,
        separator: str = ",",
        cast: Callable[[str], Any] = float,
        preprocess_reply: Callable[[str], str] | None = None,
        maxsplit: int = -1,
        **kwargs: Any,
    ) -> list[Any]:
        """Ask and convert as pymeasure does, but refuse what does not convert.

        Texts need `cast=str`, or a property that maps them.

        Raises:
            InstrumentError: naming instrument, command and answer.
        """
        reply: str = self.ask(command, **kwargs).strip()  # type: ignore[attr-defined]
        text = reply if preprocess_reply is None else preprocess_reply(reply)
        parts = text.split(separator, maxsplit)
        convert = _flag if cast is bool else cast
        known = self._known.get(command, ())
        try:
            values = [convert(part) for part in parts]
        except (ValueError, TypeError):
            if known == ():
                wanted = getattr(cast, "__name__", "a value")
                raise self._nonsense(command, reply, wanted) from None
            values = [_either(convert, part) for part in parts]
        if known and values[0] not in known:
            wanted = "one of " + ", ".join(sorted(str(value) for value in known))
            raise self._nonsense(command, reply, wanted)
        return values

    def _nonsense(self, command: str, reply: str, wanted: str) -> InstrumentError:
        return InstrumentError(
            f"{self._label()}: {command!r} was answered with {quoted(reply)}, not with {wanted}; "
            "check the connection and the model, then ask again"
        )

    def _label(self) -> str:
        return str(getattr(self, "name", type(self).__name__))


def _flag(text: str) -> bool:
    return bool(float(text))


def _either(convert: Callable[[str], Any], text: str) -> Any:
    """The converted text, or the text itself where a property knows what to do with it."""
    try:
        return convert(text)
    except (ValueError, TypeError):
        return text.strip()


def _options(prop: property | DynamicProperty) -> dict[str, Any]:
    """What a property was created with; empty if pymeasure's creators did not make it."""
    getter = inspect.unwrap(prop.fget) if prop.fget is not None else None
    if not inspect.isfunction(getter):
        return {}
    parameters = inspect.signature(getter).parameters
    if "get_command" not in parameters or "map_values" not in parameters:
        return {}
    return {name: parameter.default for name, parameter in parameters.items()}


def _mapped(prop: property | DynamicProperty, options: Mapping[str, Any]) -> frozenset[Any] | None:
    """The replies that a mapped property knows; None if it changes them or its map first."""
    values = options["values"]
    if isinstance(prop, DynamicProperty) or options["get_process"] not in _UNPROCESSED:
        return None
    if isinstance(values, dict):
        return frozenset(values.values())
    return frozenset(range(len(values)))


class LabInstrument(StrictReplies, Instrument):  # type: ignore[misc]  # pymeasure has no types
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
        self.clock: Clock = getattr(adapter, "clock", None) or RealClock()
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

    def binary_values(self, command: str, query_delay: float | None = None, **kwargs: Any) -> Any:
        """Send a command and return the numbers of its binary reply, as one transaction."""
        with self.transaction():
            return super().binary_values(command, query_delay, **kwargs)

    def wait_for(self, query_delay: float | None = None) -> None:
        """Let `query_delay` seconds of bench time pass."""
        if query_delay:
            self.clock.wait(query_delay)

    def transaction(self) -> AbstractContextManager[None]:
        """Keep other threads out during several exchanges that belong together."""
        return self.adapter.transaction() if self._query is not None else nullcontext()

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._settable:
            with self.transaction():  # the setting and the check of the error queue
                super().__setattr__(name, value)
        else:
            super().__setattr__(name, value)

    def identify(self) -> str:
        """Who answers: by default the reply to `*IDN?`."""
        return self.ask("*IDN?").strip()

    def check_identity(self, expected: str | None = None) -> str:
        """Return the identity of what answers.

        Args:
            expected: regular expression instead of the driver's own.

        Raises:
            IdentityMismatch: another instrument answers.
        """
        return _check_identity(self.name, self.identify(), expected or self.IDENTITY)

    def make_safe(self) -> None:
        """Bring the instrument to a state that harms neither it nor the sample; default: none."""

    def snapshot(self) -> dict[str, Any]:
        """The settings worth keeping with a run, by name of the property."""
        return {name: getattr(self, name) for name in self.SETTINGS}

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


class LabChannel(StrictReplies, Channel):  # type: ignore[misc]
    """A channel of a LabInstrument, as strict as its parent."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in self._settable:
            with self.parent.transaction():
                super().__setattr__(name, value)
        else:
            super().__setattr__(name, value)

    def ask(self, command: str, query_delay: float | None = None, **kwargs: Any) -> str:
        """Send a command with the channel's id and return the reply, as one transaction."""
        return str(self.parent.ask(self.insert_id(command), query_delay, **kwargs))

    def _label(self) -> str:
        return f"{self.parent.name} channel {self.id}"


class _Adopted(Instrument):  # type: ignore[misc]
    """What a bench expects of an instrument, underneath a driver that does not know of benches."""

    FRAMING: ClassVar[Framing] = Framing()
    IDENTITY: ClassVar[str] = ""

    def __init__(
        self, adapter: ByteAdapter, name: str, includeSCPI: bool | None = None, **visa: Any
    ) -> None:
        self.clock: Clock = adapter.clock
        self.SETTINGS: tuple[str, ...] = ()
        _reframe(adapter, visa)
        scpi = {} if includeSCPI is None else {"includeSCPI": includeSCPI}
        super().__init__(adapter, name, **scpi)

    def ask(self, command: str, query_delay: float | None = None) -> str:
        with self.transaction():
            return str(super().ask(command, query_delay))

    def binary_values(self, command: str, query_delay: float | None = None, **kwargs: Any) -> Any:
        with self.transaction():
            return super().binary_values(command, query_delay, **kwargs)

    def wait_for(self, query_delay: float | None = None) -> None:
        if query_delay:
            self.clock.wait(query_delay)

    def transaction(self) -> AbstractContextManager[None]:
        """Keep other threads out during several exchanges that belong together."""
        held: AbstractContextManager[None] = self.adapter.transaction()
        return held

    def identify(self) -> str:
        """The reply to `*IDN?` where the driver knows it, else the driver's name."""
        try:
            return str(self.id).strip()
        except NotImplementedError:
            return type(self).__name__

    def check_identity(self, expected: str | None = None) -> str:
        """Return the identity; raises IdentityMismatch if another instrument answers."""
        return _check_identity(self.name, self.identify(), expected or self.IDENTITY)

    def make_safe(self) -> None:
        """What the driver itself calls shutting down."""
        self.shutdown()

    def snapshot(self) -> dict[str, Any]:
        """The properties that the bench file lists under `snapshot`: reading can have effects."""
        return {name: getattr(self, name) for name in self.SETTINGS}


def adopt(driver: type) -> type:
    """Make a driver class of pymeasure, or of a user, fit for a bench.

    The sub-class that is returned takes the bench's settings: arguments of the driver's
    constructor, and `snapshot`, a list of properties to record with each run.
    """
    if not (isinstance(driver, type) and issubclass(driver, Instrument)):
        raise RequestError(f"{driver!r} is no driver: it does not derive from pymeasure Instrument")
    base: Any = driver
    accepted = inspect.signature(base.__init__).parameters

    def __init__(
        self: Any, adapter: ByteAdapter, name: str, snapshot: Any = (), **settings: Any
    ) -> None:
        for setting in settings:
            if setting not in accepted:
                raise RequestError(
                    f"{name}: {driver.__name__} has no setting {setting!r}"
                    f"{nearest(setting, accepted)}"
                )
        if "name" in accepted:
            settings["name"] = name
        base.__init__(self, adapter, **settings)
        self.name = name
        for wanted in snapshot:
            if not hasattr(driver, wanted):
                hint = nearest(wanted, dir(driver))
                raise RequestError(f"{name}: {driver.__name__} has no property {wanted!r}{hint}")
        self.SETTINGS = tuple(snapshot)

    def check_set_errors(self: Any) -> list[Any]:
        """Raise what pymeasure would only log."""
        if errors := base.check_set_errors(self):
            report = "; ".join(map(str, errors))
            raise InstrumentError(f"{self.name}: the instrument reports {report}")
        return []

    members = {"__init__": __init__, "check_set_errors": check_set_errors, "__doc__": base.__doc__}
    return type(driver.__name__, (driver, _Adopted), {**members, "__module__": driver.__module__})


def _reframe(adapter: ByteAdapter, visa: Mapping[str, Any]) -> None:
    """Take over the line ends that a driver states for VISA, for its kind of connection."""
    scheme = adapter.address.partition("://")[0]
    kind = {"serial": "asrl", "tcp": "tcpip"}.get(scheme, "")
    stated = {**visa, **(visa.get(kind) or {})}
    changes = {
        end: stated[f"{end}_termination"].encode()
        for end in ("read", "write")
        if isinstance(stated.get(f"{end}_termination"), str)
    }
    if changes:
        adapter.framing = replace(adapter.framing, **changes)


def _check_identity(name: str, identity: str, expected: str) -> str:
    if not re.search(expected, identity):
        raise IdentityMismatch(
            f"{name}: identifies as {identity!r}, which does not match {expected!r}; "
            "check the address in the bench file"
        )
    return identity


def dial(address: str, name: str, framing: Framing) -> ByteAdapter:
    """An adapter in real time for an address, or for a VISA resource name."""
    from labctl.transport.opening import open_transport

    clock = RealClock()
    place = address if "://" in address else f"visa://{address}"
    return ByteAdapter(
        lambda: open_transport(place, clock), clock, name=name, framing=framing, address=place
    )
