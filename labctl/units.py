"""Units at the edge: text becomes a float in the unit that is wanted, and results become text."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

_NUMBER = re.compile(
    r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|[-+]?(?:nan|inf\w*))\s*((?:[^\W\d_]|[%°µ/]).*?|)\s*$",
    re.I,
)
_DECIMAL = re.compile(
    "(?P<prefix>[fpnuµμmkMGT]?)(?P<base>Hz|W|V|A|K|T|F|J|m|s|rad|g|eV|Pa|N|bit|[Oo]hm|[Ω\u2126])"
)
_POWERS = {"f": -15, "p": -12, "n": -9, "u": -6, "µ": -6, "μ": -6, "m": -3, "": 0, "k": 3, "M": 6,
           "G": 9, "T": 12}  # fmt: skip


def to_unit(text: str, unit: str | None) -> float:
    """Read "12.5", "12.5 mV" or "12.5mV" as a number of `unit`.

    Raises:
        ValueError: not a number, or a unit that does not convert to `unit`.
    """
    if unit and unit[0].isdigit() and re.search(rf"\s{re.escape(unit)}$", text):
        text = text[: -len(unit)]  # 100 1/s
    match = _NUMBER.match(text)
    if match is None:
        raise ValueError(f"{text!r} is not a number")
    value, given = float(match[1]), match[2].replace("°C", "degC")
    given = f"1{given}" if given.startswith("/") else given
    if not given or given == unit:
        return value
    if not unit:
        raise ValueError(f"{text!r} has a unit, but this parameter has none")
    if (shift := _shift(given, unit)) is not None:
        return _shifted(match[1], value, shift)
    import numpy as np
    from pymeasure.units import ureg  # pint is slow to import and rarely needed

    try:
        with np.errstate(all="ignore"):  # 0 mW are -inf dBm
            quantity = ureg.Quantity(value, given.replace("Ohm", "ohm"))
            converted = float(quantity.to(unit.replace("Ohm", "ohm")).magnitude)
    except Exception as error:  # pint raises many kinds, some of them not its own
        raise ValueError(f"{text!r} cannot be converted to {unit}") from error
    if math.isnan(converted) and not math.isnan(value):  # less than no power, in dBm
        raise ValueError(f"{text!r} cannot be converted to {unit}")
    return _exact(match[1], value, converted)


def prepare() -> None:
    """Load what converts units that differ in more than a prefix: the first time it takes 0.3 s."""
    to_unit("1 K", "degC")


def _shift(given: str, unit: str) -> int | None:
    """Digits by which the point moves between two units that only differ in their prefixes."""
    one, other = _DECIMAL.fullmatch(given), _DECIMAL.fullmatch(unit)
    if one is None or other is None or _base(one) != _base(other):
        return None
    return _POWERS[one["prefix"]] - _POWERS[other["prefix"]]


def _base(match: re.Match[str]) -> str:
    return "ohm" if match["base"] in ("Ohm", "Ω", "\u2126") else match["base"]


def _exact(text: str, value: float, converted: float) -> float:
    """Shift the decimal point where a conversion does no more: 700 nm are 0.7 um to the bit."""
    if value == 0 or converted / value <= 0 or not math.isfinite(converted):
        return converted
    shift = round(math.log10(converted / value))
    if abs(converted / value / 10.0**shift - 1.0) > 1e-12:
        return converted
    return _shifted(text, value, shift)


def _shifted(text: str, value: float, shift: int) -> float:
    """`text`, which is `value`, with its decimal point moved."""
    if value == 0 or not math.isfinite(value):
        return value
    from decimal import Decimal

    return float(Decimal(text).scaleb(shift))


def unit_text(unit: str | None) -> str:
    """A unit, or a name with its unit, as people write it: °C for degC."""
    return (unit or "").replace("degC", "°C")


def measured(result: Mapping[str, Any]) -> str:
    """A result for people: "3.08 ± 0.07 dB", digits chosen by the uncertainty."""
    value, sigma, unit = result["value"], result.get("uncertainty"), unit_text(result.get("unit"))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return f"{'yes' if value is True else 'no' if value is False else value} {unit}".strip()
    if sigma and math.isfinite(sigma) and sigma > 0 and math.isfinite(value):
        digits = max(0, 1 - math.floor(math.log10(sigma)))
        if digits <= 9 and abs(value) < 1e9:
            return f"{value:.{digits}f} ± {sigma:.{digits}f} {unit}".strip()
        return f"{value:.6g} ± {sigma:.2g} {unit}".strip()
    return f"{value:.6g} {unit}".strip() if isinstance(value, float) else f"{value} {unit}".strip()
