"""Values with error and unit as people write them: "365.30 ± 0.48 pW"."""

from __future__ import annotations

import math
import re

from labctl.units import measured

_NAMED = re.compile(r"(.*\S)\s*\(([^()]+)\)")
#: Units that people write with any prefix, and those that they write with small ones only.
SCALED = ("Hz", "W", "V", "A", "K", "T", "F", "J", "Ohm", "s", "rad")
SMALL = ("s", "rad", "K")
PREFIXES = {"f": -15, "p": -12, "n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12}
#: Units as descriptions of properties name them, after the word "in".
_IN_WORDS = re.compile(
    r"\bin ((?:[fpnuµmkMGT]?(?:Hz|W|V|A|K|T|F|J|m|s|Ohm|ohm|rad)|dBm?|degC|deg|%|A/W|V/W|1/s|ppm)"
    r"(?:/(?:s|min|V|K|mA|Hz))?)(?![\w/])"
)
_SIGNS = {power: prefix for prefix, power in PREFIXES.items()} | {-6: "µ"}


def name_and_unit(column: str) -> tuple[str, str]:
    """Take "power (mW)" apart into "power" and "mW"; without a unit, that is ""."""
    match = _NAMED.fullmatch(column)
    return (match[1], match[2]) if match else (column, "")


def unit_in(meaning: str) -> str:
    """The unit that a property's description names, as in "Control the power in mW (float)."."""
    return match[1] if (match := _IN_WORDS.search(meaning)) else ""


def error_column(column: str) -> str:
    """The column that by convention holds the standard error of another one."""
    name, unit = name_and_unit(column)
    return f"{name} error ({unit})" if unit else f"{name} error"


def base_unit(unit: str) -> tuple[str, int] | None:
    """Take "mW" apart into "W" and -3; None for a unit that keeps its prefix (nm) or has none."""
    for base in SCALED:
        prefix = unit.removesuffix(base).replace("µ", "u")
        if unit.endswith(base) and prefix in PREFIXES:
            return base, PREFIXES[prefix]
    return None


def quantity(value: float, error: float = math.nan, unit: str = "") -> str:
    """A value with its error and unit; digits follow the error, the prefix follows the value.

    A value from 0.001 to 10 000 keeps the unit that it came in; numbers of things have all digits.
    """
    if not math.isfinite(value):
        return "–"
    if not unit and not error > 0 and value == round(value) and abs(value) < 1e15:
        return (
            f"{round(value):,}".replace(",", "\u202f") if abs(value) >= 1e4 else str(round(value))
        )
    known = base_unit(unit)
    if known is not None and value and not 1e-3 <= abs(value) < 1e4:
        base, power = known
        wanted = 3 * math.floor((math.log10(abs(value)) + power) / 3)
        wanted = min(max(wanted, -15), 0 if base in SMALL else 12)
        factor = 10.0 ** (power - wanted)
        value, error, unit = value * factor, error * factor, _SIGNS[wanted] + base
    return measured({"value": value, "uncertainty": error, "unit": unit})
