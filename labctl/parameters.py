"""Typed parameters of a procedure: pymeasure's own, made strict and exact.

The factories return pymeasure parameters but are typed as `Any`, so that a checker sees
`steps: int = integer("Steps", 101)` as an `int`, which it is on an instance. Against pymeasure's
classes: all 17 digits survive, NaN and booleans are no numbers, 2.9 is no integer, and
"500 mV" is accepted where V is wanted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

from pymeasure.experiment.parameters import (
    BooleanParameter,
    FloatParameter,
    IntegerParameter,
    ListParameter,
    Parameter,
)

from labctl.errors import nearest
from labctl.units import to_unit


def _check_limits(value: float, minimum: float, maximum: float, unit: str | None) -> None:
    suffix = f" {unit}" if unit else ""
    if value < minimum:
        raise ValueError(f"{value!r}{suffix} is below the minimum {minimum!r}{suffix}")
    if value > maximum:
        raise ValueError(f"{value!r}{suffix} is above the maximum {maximum!r}{suffix}")


class Number(FloatParameter):  # type: ignore[misc]
    """A finite float with unit and limits."""

    def convert(self, value: Any) -> float:
        if isinstance(value, bool):
            raise ValueError(f"{value!r} is not a number")
        if isinstance(value, str):
            value = to_unit(value, self.units)
        try:
            value = float(value)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{value!r} is not a number") from error
        if not math.isfinite(value):
            raise ValueError(f"{value!r} is not a finite number")
        _check_limits(value, self.minimum, self.maximum, self.units)
        return float(value)

    def __str__(self) -> str:
        if not self.is_set():
            return ""
        return f"{self._value!r} {self.units}" if self.units else repr(self._value)


class Integer(IntegerParameter):  # type: ignore[misc]
    """An integer with unit and limits."""

    def __init__(self, name: str, minimum: float, maximum: float, **options: Any) -> None:
        super().__init__(name, minimum=-1, maximum=1, **{**options, "default": None})
        self.minimum = minimum  # set here because int(inf) in pymeasure's __init__ raises
        self.maximum = maximum
        if options.get("default") is not None:
            self.value = self.default = options["default"]

    def convert(self, value: Any) -> int:
        if isinstance(value, bool):
            raise ValueError(f"{value!r} is not an integer")
        if isinstance(value, str) and re.fullmatch(r"\s*[-+]?\d+\s*", value):
            value = int(value)
        elif isinstance(value, str):
            value = to_unit(value, self.units)
        if isinstance(value, float) and not value.is_integer():
            raise ValueError(f"{value!r} is not an integer")
        try:
            value = int(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(f"{value!r} is not an integer") from error
        _check_limits(value, self.minimum, self.maximum, self.units)
        return int(value)


class Boolean(BooleanParameter):  # type: ignore[misc]
    """True or false; yes/no, on/off and 1/0 in text."""

    WORDS = {"true": True, "yes": True, "on": True, "1": True,
             "false": False, "no": False, "off": False, "0": False}  # fmt: skip

    def convert(self, value: Any) -> bool:
        if isinstance(value, str):
            if value.strip().lower() not in self.WORDS:
                raise ValueError(f"{value!r} is neither true nor false")
            return self.WORDS[value.strip().lower()]
        if value in (True, False):
            return bool(value)
        raise ValueError(f"{value!r} is neither true nor false")


class Choice(ListParameter):  # type: ignore[misc]
    """One of a list."""

    def convert(self, value: Any) -> Any:
        known = self._choices
        if str(value) not in known:
            hint = nearest(str(value), known)
            raise ValueError(f"{value!r} is none of {', '.join(known)}{hint}")
        return known[str(value)]


class Numbers(Parameter):  # type: ignore[misc]
    """A list of finite numbers of one unit, any length; in text "0.2, 0.16" or "[0.2, 0.16] mW"."""

    def __init__(
        self, name: str, units: str | None, minimum: float, maximum: float, **options: Any
    ):
        self.units = units
        self.minimum = minimum
        self.maximum = maximum
        super().__init__(name, **options)

    def convert(self, value: Any) -> list[float]:
        if isinstance(value, str):
            value = _elements(value)
        elif isinstance(value, (int, float)):
            value = [value]
        one = Number("element", units=self.units, minimum=self.minimum, maximum=self.maximum)
        return [one.convert(element) for element in value]

    def __str__(self) -> str:
        if not self.is_set():
            return ""
        text = "[" + ",".join(repr(v) for v in self._value) + "]"
        return f"{text} {self.units}" if self.units else text


def _elements(text: str) -> list[str]:
    """Numbers between commas, each with the unit that stands behind the bracket, if one does."""
    text = text.strip()
    bracketed = re.fullmatch(r"\[(.*)\]([^\[\]]*)", text)
    inner, unit = (bracketed[1], bracketed[2].strip()) if bracketed else (text, "")
    parts = [part.strip() for part in inner.split(",")]
    if not parts[-1]:
        parts.pop()  # a comma may end the list, and an empty list has no element
    if not all(parts):
        raise ValueError(f"{text!r} has nothing between two commas")
    return [f"{part} {unit}" if unit else part for part in parts]


class Text(Parameter):  # type: ignore[misc]
    """Free text of one line."""

    def convert(self, value: Any) -> str:
        text = str(value)
        if "\n" in text or "\r" in text:
            raise ValueError("text parameters have one line")
        return text


def number(
    label: str,
    default: float | None = None,
    *,
    unit: str | None = None,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    meaning: str = "",
    **options: Any,
) -> Any:
    """A float parameter in `unit`, limits included."""
    return Number(label, default=default, units=unit, minimum=minimum, maximum=maximum,
                  description=meaning, **options)  # fmt: skip


def integer(
    label: str,
    default: int | None = None,
    *,
    unit: str | None = None,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    meaning: str = "",
    **options: Any,
) -> Any:
    """An int parameter in `unit`, limits included."""
    return Integer(label, minimum, maximum, default=default, units=unit,
                   description=meaning, **options)  # fmt: skip


def boolean(label: str, default: bool | None = None, *, meaning: str = "", **options: Any) -> Any:
    """A yes-or-no parameter."""
    return Boolean(label, default=default, description=meaning, **options)


def choice(
    label: str, default: Any, choices: Sequence[Any], *, meaning: str = "", **options: Any
) -> Any:
    """One of `choices`."""
    return Choice(label, choices=choices, default=default, description=meaning, **options)


def numbers(
    label: str,
    default: Sequence[float] | None = None,
    *,
    unit: str | None = None,
    minimum: float = -math.inf,
    maximum: float = math.inf,
    meaning: str = "",
    **options: Any,
) -> Any:
    """A list of floats in `unit`, each within the limits."""
    return Numbers(label, unit, minimum, maximum, default=default, description=meaning, **options)


def text(label: str, default: str | None = None, *, meaning: str = "", **options: Any) -> Any:
    """A line of text."""
    return Text(label, default=default, description=meaning, **options)
