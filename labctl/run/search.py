"""What people type to find runs, as conditions on the index of the catalogue."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from labctl.errors import RequestError
from labctl.units import to_unit, unit_text

_COMPARED = re.compile(r"(?P<name>[^\W\d][\w.-]*)(?P<sign><=|>=|!=|==?|<|>)(?P<value>.*)")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_WORD = re.compile(r'(?:"[^"]*(?:"|$)|[^\s"])+')
_NUMBER = re.compile(
    r"(?P<number>[-+]?(?:(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?|nan|inf))\s*(?P<unit>.*)", re.I
)
_PREFIX, _BASE = "[fpnuµμmckMGT]", "(?:Hz|W|V|A|K|T|F|J|m|s|rad|g|eV|Pa|bar|N|bit|[Oo]hm|[ΩΩ])"
_SYMBOL = (
    rf"(?:{_PREFIX}?{_BASE}|dB[cim]?|deg|degC|°C?|%|ppm|ppb|min|h|d|counts?|quanta|{_PREFIX})"
    r"(?:\^?-?\d)?"
)
#: What is taken for a unit when it follows a number and a blank: symbols, and names if they fit.
_UNIT = re.compile(rf"(?:1?/)?{_SYMBOL}(?:[/*·]{_SYMBOL})*")
_UNIT_IN_ANY_CASE = re.compile(_UNIT.pattern, re.I)
_UNIT_NAME = re.compile(
    "(?:femto|pico|nano|micro|milli|centi|kilo|mega|giga|tera)?(?:hertz|watt|volt|ampere|kelvin|"
    "tesla|meter|metre|second|minute|hour|day|degree|radian|gram|joule|percent|count|photon)s?"
)
#: Other words for the same.
_ALIASES = {"tag": "label", "state": "is", "status": "is"}
_TRUTHS = {"true": "1", "yes": "1", "false": "0", "no": "0"}
_STATES = ("starred", "finished", "failed", "aborted", "interrupted", "running", "paused",
           "unreadable")  # fmt: skip

#: For error messages and for the window's tool tip.
HELP = (
    "words that occur anywhere; pair=16, squeezing_x>3, power<5 mW (parameters, results; without "
    "a unit, in that of each run); 2026-11-20; label:good; is:starred; is:failed; "
    'procedure:epr-pairs; since:2026-11-20; until:2026-11-21; "two words"'
)


class Kind(NamedTuple):
    """Values that share a line of the index: those of one name in one unit."""

    number: int
    unit: str | None  #: "" if they have none; None for texts


#: The kinds that runs have of a parameter or result.
Kinds = Callable[[str], Sequence[Kind]]


class _Word(NamedTuple):
    text: str
    quoted: bool


def conditions(text: str, kinds: Kinds) -> tuple[list[str], list[Any]]:
    """SQL conditions for what was typed, all of which must hold, and their values.

    Raises:
        RequestError: a date or a comparison that cannot be understood, or a unit to which no
            run's unit of that quantity converts.
    """
    found: list[str] = []
    values: list[Any] = []
    words = _words(text)
    while words:
        word = words.pop(0).text
        key, colon, rest = word.partition(":")
        key = _ALIASES.get(key, key)
        if colon and rest and key in ("label", "is", "procedure", "since", "until"):
            sql, value = _keyed(key, rest)
        elif match := _COMPARED.fullmatch(word):
            known = kinds(match["name"])
            unit = words.pop(0).text if _has_unit(match["value"], words, known) else ""
            sql, value = _compared(match, unit, known)
        elif _DATE.fullmatch(word):  # the runs of that day
            begin = datetime.fromtimestamp(moment(word))
            end = begin + timedelta(days=1)  # by the calendar: some days have 23 hours
            sql, value = "started >= ? AND started < ?", [begin.timestamp(), end.timestamp()]
        else:
            anywhere = "(SELECT text FROM texts WHERE texts.run = runs.run)"
            sql, value = f"instr({anywhere}, ?) > 0", [word.casefold()]
        found.append(sql)
        values += value
    return found, values


def compared(text: str) -> list[str]:
    """The parameters and results that a search compares with something, in the order typed."""
    found = (_COMPARED.fullmatch(word.text) for word in _words(text))
    return list(dict.fromkeys(match["name"] for match in found if match))


def moment(when: str | datetime) -> float:
    """Unix time of a local date or time.

    Raises:
        RequestError: it is none.
    """
    if isinstance(when, datetime):
        return when.timestamp()
    try:
        return datetime.fromisoformat(when).timestamp()
    except ValueError:
        raise RequestError(f"{when!r} is no date; write 2026-11-20 or 2026-11-20T21:15") from None


def _words(text: str) -> list[_Word]:
    """What stands between blanks; a quotation holds together, also one that is still typed."""
    parts = text.split('"')  # outside of quotations, pair = 16 is pair=16
    parts[::2] = [re.sub(r"\s*([<>!=]=|[<>=])\s*", r"\1", part) for part in parts[::2]]
    found = _WORD.findall('"'.join(parts))
    return [_Word(plain, '"' in word) for word in found if (plain := word.replace('"', ""))]


def _keyed(key: str, rest: str) -> tuple[str, list[Any]]:
    if key == "procedure":
        return "procedure = ?", [rest]
    if key == "since":
        return "started >= ?", [moment(rest)]
    if key == "until":
        return "started < ?", [moment(rest)]
    if key == "label":
        return "instr(labels, ?) > 0", [f"\n{rest.casefold()}\n"]
    if rest not in _STATES:
        raise RequestError(f"is:{rest} is unknown; write is: and one of {', '.join(_STATES)}")
    if rest == "starred":
        return "starred = 1", []
    if rest in ("running", "interrupted", "paused"):
        return "(status = '' AND status_now(folder, state, size) = ?)", [rest]
    return "status = ?", [rest]


def _has_unit(value: str, following: Sequence[_Word], kinds: Sequence[Kind]) -> bool:
    """Whether a number is followed by its unit: power>5 mW, but squeezing_x>5 night."""
    number = _NUMBER.fullmatch(_plain(value))
    if number is None or number["unit"] or not following or following[0].quoted:
        return False
    word = following[0].text
    if _UNIT_IN_ANY_CASE.fullmatch(word) or any(word == kind.unit for kind in kinds):
        return True
    return bool(_UNIT_NAME.fullmatch(word)) and any(_between("1", word, kind) for kind in kinds)


def _compared(match: re.Match[str], behind: str, kinds: Sequence[Kind]) -> tuple[str, list[Any]]:
    """A parameter, or the value of a result, compared with a number or a text.

    A unit may belong to the value (5mW), or stand `behind` it after a blank.
    """
    name, sign, value = match["name"], match["sign"].replace("==", "="), match["value"]
    if not value:  # it is still being typed: those that have it
        return _any_of([("1", [kind.number]) for kind in kinds])
    found: list[tuple[str, list[Any]]] = []
    text = value.casefold()
    number, unit = _NUMBER.fullmatch(_plain(_TRUTHS.get(text, value))), ""
    if number:
        unit = behind or number["unit"]
        for kind in kinds:
            if bounds := _between(number["number"], unit, kind):
                found.append(_against(sign, *bounds, kind))
    elif sign not in ("=", "!="):
        raise RequestError(
            f"{match[0]!r} compares with what is no number; write one, with a unit or in that "
            f"of {name}"
        )
    texts = [kind.number for kind in kinds if kind.unit is None and not behind]
    if sign == "=" or (sign == "!=" and not found):
        found += [(f"value {sign} ?", [kind, text]) for kind in texts]
    if number and unit and kinds and not found:
        raise RequestError(_incompatible(match, number, unit, kinds))
    return _any_of(found)


def _plain(text: str) -> str:
    return text.replace("−", "-").strip()


def _between(number: str, unit: str, kind: Kind) -> tuple[float, float, float] | None:
    """The number in the unit of a kind, between all that has the same digits; None if it is not."""
    if kind.unit is None or (unit and not kind.unit):
        return None
    value, near = float(number), Decimal(0)
    if "." in number and value:
        near = Decimal(5).scaleb(int(Decimal(number).as_tuple().exponent) - 1)
    ends = (str(Decimal(number) - near), number, str(Decimal(number) + near)) if near else [number]
    try:
        found = [to_unit(f"{end} {unit.removeprefix('1')}", kind.unit) for end in ends]  # 5 1/s
    except ValueError:
        return None
    slack = 1e-12 * abs(found[len(found) // 2]) if unit and unit != kind.unit else 0.0
    return found[0] - slack, found[len(found) // 2], found[-1] + slack


def _against(sign: str, low: float, value: float, high: float, kind: Kind) -> tuple[str, list[Any]]:
    if sign == "=":  # as many digits as were typed
        return "value BETWEEN ? AND ?", [kind.number, low, high]
    return f"value {sign} ?", [kind.number, value]


def _any_of(cases: Sequence[tuple[str, list[Any]]]) -> tuple[str, list[Any]]:
    """The runs that have a value of some kind for which a condition holds."""
    selects = [f"SELECT run FROM quantities WHERE kind = ? AND {sql}" for sql, _ in cases]
    values = [value for _, needed in cases for value in needed]
    return (f"run IN ({' UNION ALL '.join(selects)})" if selects else "0"), values


def _incompatible(
    match: re.Match[str], number: re.Match[str], unit: str, kinds: Sequence[Kind]
) -> str:
    name, sign = match["name"], match["sign"]
    units = sorted({unit_text(kind.unit) for kind in kinds if kind.unit})
    recorded = [f"in {' or '.join(units)}"] if units else []
    recorded += ["without a unit"] if any(kind.unit == "" for kind in kinds) else []
    recorded += ["as a text"] if any(kind.unit is None for kind in kinds) else []
    asked = f"{name}{sign}{number['number']} {unit}"
    message = f"{asked}: runs have {name} {' or '.join(recorded)}"
    if not units:
        return message
    if _UNIT_IN_ANY_CASE.fullmatch(unit) and not _UNIT.fullmatch(unit):
        return f"{message}, and {unit} is no unit; small and capital letters differ"
    return f"{message}, to which {unit} does not convert"
