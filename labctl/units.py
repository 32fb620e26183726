"""Units at the edge: text with a unit becomes a plain float in the unit that is wanted."""

from __future__ import annotations

import re

_NUMBER = re.compile(
    r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf\w*))\s*((?:[^\W\d_]|[%°µ/]).*?|)\s*$",
    re.I,
)


def to_unit(text: str, unit: str | None) -> float:
    """Read "12.5", "12.5 mV" or "12.5mV" as a number of `unit`.

    Raises:
        ValueError: not a number, or a unit that does not convert to `unit`.
    """
    match = _NUMBER.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a number")
    value, given = float(match[1]), match[2]
    if not given or given == unit:
        return value
    if not unit:
        raise ValueError(f"{text!r} has a unit, but this parameter has none")
    from pymeasure.units import ureg  # pint is slow to import and rarely needed

    try:
        return float(ureg.Quantity(value, given).to(unit).magnitude)
    except Exception as error:  # pint raises many kinds, some of them not its own
        raise ValueError(f"{text!r} cannot be converted to {unit}") from error
