"""Sweeps: which values one or several parameters take, one run for each combination."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from labctl.viewing.fields import Field

#: Nobody queues more runs at a time; a typing error would.
MOST_RUNS = 10_000

_RANGE = re.compile(
    r"^(?P<log>log\s+)?(?P<first>.+?)\s+to\s+(?P<last>.+?)"
    r"(?:\s*[,;]?\s*(?:in\s+)?(?P<count>\d+)\s*(?:points|steps|values)|\s+step\s+(?P<step>.+))$",
    re.I,
)
_BARE = re.compile(r"\s*[-+−]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*")
_UNIT = re.compile(r"[\d.)]\s*((?!pi\b|π|[eE][-+]?\d)(?:[^\W\d_]|[%°])[\w%°/]*)\s*$")


def values(text: str, field: Field) -> list[Any]:
    """The values that "0 to 10 mW, 11 points", "0 to 1 step 0.1", "log 1 to 100, 5 points" or
    "1, 2, 5" mean for a parameter, each within its limits. Lists and texts that hold commas
    themselves are separated by semicolons.

    Raises:
        ValueError: one line that says which part is wrong and why.
    """
    if match := _RANGE.match(text.strip()):
        if field.kind not in ("number", "integer"):
            raise ValueError(f"{field.label} takes no range, list its values")
        return [field.read(repr(value)) for value in _range(match, field)]
    semicolons = ";" in text or field.kind == "numbers"
    parts = [part.strip() for part in text.split(";" if semicolons else ",") if part.strip()]
    unfinished = field.kind in ("number", "integer") and re.search(r"\bto\b|:|\.\.", text)
    if not parts or unfinished:
        raise ValueError(f"write {example(field)}")
    if len(parts) > MOST_RUNS:
        raise ValueError(f"more than {MOST_RUNS} values")
    return [field.read(_like(part, parts[-1], field)) for part in parts]


def example(field: Field) -> str:
    """How several values of a parameter are written."""
    if field.kind == "numbers":
        return '"1, 2; 3, 4" for two lists'
    if field.kind in ("number", "integer"):
        return '"0 to 10, 11 points", "0 to 10 step 2", "log 1 to 100, 5 points" or "1, 2, 5"'
    return f'"{", ".join(map(str, field.choices[:2])) or "one, another"}"'


def _range(match: re.Match[str], field: Field) -> list[float]:
    last = field.evaluate(match["last"])
    try:
        first = field.evaluate(_like(match["first"], match["last"], field))
    except ValueError:
        raise ValueError(f"{match['first']!r} is not a number") from None
    if match["step"]:
        step = field.evaluate(_like(match["step"], match["last"], field))
        if not step or (last - first) / step < 0:
            raise ValueError(f"steps of {step:g} do not lead from {first:g} to {last:g}")
        count = math.floor((last - first) / step * (1 + 1e-12) + 1e-9) + 1
        if count > MOST_RUNS:
            raise ValueError(f"{count} values are more than {MOST_RUNS}")
        points = [first + i * step for i in range(count)]
        if math.isclose(points[-1], last, rel_tol=1e-12):
            points[-1] = last
    else:
        count = int(match["count"])
        if not 2 <= count <= MOST_RUNS:
            raise ValueError(f"{count} points are outside 2 to {MOST_RUNS}")
        if match["log"]:
            if first <= 0 or last <= 0:
                raise ValueError("a logarithmic range needs positive ends")
            points = np.geomspace(first, last, count).tolist()
        else:
            points = np.linspace(first, last, count).tolist()
    if field.kind != "integer":  # 0.3, not 0.30000000000000004
        return [points[0], *(float(f"{point:.15g}") for point in points[1:-1]), points[-1]]
    whole: list[float] = [round(point) for point in points]
    if len(set(whole)) < len(whole):
        raise ValueError(f"there are fewer than {count} integers from {first:g} to {last:g}")
    return whole


def _like(text: str, last: str, field: Field) -> str:
    """`text` in the unit behind `last` if it has none: "5 to 10 mW" begins at 5 mW."""
    unit = _UNIT.search(last)
    if field.kind not in ("number", "integer") or unit is None or not _BARE.fullmatch(text):
        return text
    return f"{text} {unit[1]}"


def combinations(swept: Mapping[str, list[Any]], *, together: bool = False) -> list[dict[str, Any]]:
    """Every combination, the last parameter fastest; `together` pairs first with first and so on.

    Raises:
        ValueError: too many, or lists of different lengths to be paired.
    """
    if not swept:
        return [{}]
    lengths = {name: len(found) for name, found in swept.items()}
    if together:
        if len(set(lengths.values())) > 1:
            said = ", ".join(f"{name} has {count}" for name, count in lengths.items())
            raise ValueError(f"to go together, all need the same number of values: {said}")
        return [dict(zip(swept, each, strict=True)) for each in zip(*swept.values(), strict=True)]
    if math.prod(lengths.values()) > MOST_RUNS:
        raise ValueError(f"{math.prod(lengths.values())} runs are more than {MOST_RUNS}")
    return [dict(zip(swept, each, strict=True)) for each in itertools.product(*swept.values())]
