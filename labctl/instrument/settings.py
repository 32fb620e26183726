"""Setting a property of an instrument: one transaction, and a refusal that says all in one line."""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager
from typing import Any, ClassVar

from pymeasure.instruments import Channel
from pymeasure.instruments.common_base import DynamicProperty

from labctl.errors import LabError, ValueRefused


class NamedSettings:
    """A value that a property refuses raises ValueRefused, which names instrument and property."""

    _settable: ClassVar[frozenset[str]] = frozenset()

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls._settable = frozenset(n for n, p in properties_of(cls).items() if p.fset is not None)

    def transaction(self) -> AbstractContextManager[None]:
        """Keep other threads out during several exchanges that belong together."""
        raise NotImplementedError

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._settable:
            super().__setattr__(name, value)
            return
        with self.transaction():  # the setting and the check of the error queue
            try:
                super().__setattr__(name, value)
            except LabError:
                raise
            except (ValueError, TypeError, KeyError) as error:
                raise ValueRefused(
                    f"{label(self)}: cannot set {name} to {value!r}: "
                    f"{_reason(error, inspect.getattr_static(type(self), name))}"
                ) from error


def _reason(error: Exception, prop: property | DynamicProperty) -> str:
    """Why a value is refused; what pymeasure says of a wrong type does not tell what is right."""
    values = options_of(prop).get("values")
    if isinstance(error, ValueError) or not values:
        return " ".join(str(error).split())
    if isinstance(values, dict):
        return "it must be one of " + ", ".join(map(repr, values))
    return f"it must fit {values!r}"


def label(part: Any) -> str:
    """What an instrument, or a channel of one, is called in messages."""
    if isinstance(part, Channel):
        return f"{label(part.parent)} channel {part.id}"
    return str(getattr(part, "name", type(part).__name__))


def properties_of(cls: type) -> dict[str, property | DynamicProperty]:
    """The properties of a driver class by name, those of its bases first."""
    return {
        name: value
        for owner in reversed(cls.__mro__)
        for name, value in vars(owner).items()
        if isinstance(value, property | DynamicProperty)
    }


def options_of(prop: property | DynamicProperty) -> dict[str, Any]:
    """What a property was created with; empty if pymeasure's creators did not make it."""
    getter = inspect.unwrap(prop.fget) if prop.fget is not None else None
    if not inspect.isfunction(getter):
        return {}
    parameters = inspect.signature(getter).parameters
    if "get_command" not in parameters or "map_values" not in parameters:
        return {}
    return {name: parameter.default for name, parameter in parameters.items()}
