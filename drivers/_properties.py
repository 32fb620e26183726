"""Properties of SCPI drivers that refuse nonsense before it is sent and errors afterwards."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

from pymeasure.instruments import Instrument

from labctl.errors import RequestError


def number(command: str, what: str, limits: tuple[float, float], form: str = "%.12g") -> Any:
    """A numeric property with limits; what is read is what the instrument has made of it."""
    low, high = limits

    def validator(value: Any, _: Iterable[float]) -> float:
        return within(value, limits, what)

    return Instrument.control(
        f"{command}?",
        f"{command} {form}",
        f"Control the {what} (float from {low:g} to {high:g}).",
        validator=validator,
        check_set_errors=True,
        cast=float if form == "%.12g" else integer,
    )


def word(command: str, what: str, words: tuple[str, ...]) -> Any:
    """A property that is one of some words of the instrument."""

    def validator(value: Any, _: Iterable[str]) -> str:
        return one_of(value, words, what)

    return Instrument.control(
        f"{command}?",
        f"{command} %s",
        f"Control the {what} ({', '.join(words)}).",
        validator=validator,
        check_set_errors=True,
        cast=str,
    )


class AsksAfterSetting:
    """Looks for errors after each of those properties of pymeasure's class that do not."""

    INHERITED: ClassVar[frozenset[str]]

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self.INHERITED:
            super().__setattr__(name, value)
            return
        instrument: Any = self
        with instrument.transaction():
            super().__setattr__(name, value)
            instrument.check_set_errors()


def integer(text: str) -> int:
    value = float(text)
    if value != round(value):
        raise ValueError(text)
    return round(value)


def within(value: Any, limits: tuple[float, float], what: str) -> float:
    low, high = limits
    if isinstance(value, bool) or not low <= value <= high:  # NaN is refused, too
        raise RequestError(f"the {what} must be from {low:g} to {high:g}, got {value!r}")
    return float(value)


def one_of(value: Any, words: tuple[str, ...], what: str) -> str:
    if value not in words:
        raise RequestError(f"the {what} must be one of {', '.join(words)}, got {value!r}")
    return str(value)
