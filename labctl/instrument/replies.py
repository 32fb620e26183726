"""Replies that must make sense: what pymeasure would pass on as text raises InstrumentError."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from pymeasure.instruments import Instrument
from pymeasure.instruments.common_base import DynamicProperty

from labctl.errors import InstrumentError
from labctl.instrument.settings import label, options_of, properties_of
from labctl.transport.framing import quoted

#: pymeasure's default `get_process` functions, which leave a value as it is.
_UNPROCESSED = tuple(
    inspect.signature(creator).parameters["get_process"].default
    for creator in (Instrument.control, Instrument.measurement)
)


class StrictReplies:
    """Replies that make no sense raise InstrumentError; pymeasure would pass them on as text."""

    #: Replies that mapped properties know, by query; None: whatever the property makes of it.
    _known: ClassVar[dict[str, frozenset[Any] | None]] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._known = {"SYST:ERR?": None}  # SCPIMixin.next_error: a number and a text
        used: set[str] = set()
        for prop in properties_of(cls).values():
            options = options_of(prop)
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
        # the class it is mixed into has `ask`
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
        """The error to raise for a reply that is not what was `wanted`."""
        return InstrumentError(
            f"{label(self)}: {command!r} was answered with {quoted(reply)}, not with {wanted}; "
            "check the connection and the model, then ask again"
        )


def _flag(text: str) -> bool:
    return bool(float(text))


def _either(convert: Callable[[str], Any], text: str) -> Any:
    """The converted text, or the text itself where a property knows what to do with it."""
    try:
        return convert(text)
    except (ValueError, TypeError):
        return text.strip()


def _mapped(prop: property | DynamicProperty, options: Mapping[str, Any]) -> frozenset[Any] | None:
    """The replies that a mapped property knows; None if it changes them or its map first."""
    values = options["values"]
    if isinstance(prop, DynamicProperty) or options["get_process"] not in _UNPROCESSED:
        return None
    if isinstance(values, dict):
        return frozenset(values.values())
    return frozenset(range(len(values)))
