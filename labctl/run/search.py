"""What people type to find runs, as conditions on the index of the catalogue."""

from __future__ import annotations

import re
import shlex
from datetime import datetime, timedelta
from typing import Any

from labctl.errors import RequestError

_COMPARED = re.compile(r"(?P<name>[^\W\d][\w.-]*)(?P<sign><=|>=|!=|==?|<|>)(?P<value>.*)")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
#: Other words for the same.
_ALIASES = {"tag": "label", "state": "is", "status": "is"}
_STATES = ("starred", "finished", "failed", "aborted", "interrupted", "running", "paused",
           "unreadable")  # fmt: skip

#: For error messages and for the window's tool tip.
HELP = (
    "words that occur anywhere; pair=16, squeezing_x>3 (parameters, results); 2026-11-20; "
    "label:good; is:starred; is:failed; procedure:epr-pairs; since:2026-11-20; until:2026-11-21; "
    '"two words"'
)


def conditions(text: str) -> tuple[list[str], list[Any]]:
    """SQL conditions for what was typed, all of which must hold, and their values.

    Raises:
        RequestError: a date or a comparison that cannot be understood.
    """
    found: list[str] = []
    values: list[Any] = []
    for word in _words(text):
        key, colon, rest = word.partition(":")
        key = _ALIASES.get(key, key)
        if colon and rest and key in ("label", "is", "procedure", "since", "until"):
            sql, value = _keyed(key, rest)
        elif match := _COMPARED.fullmatch(word):
            sql, value = _compared(match)
        elif _DATE.fullmatch(word):  # the runs of that day
            begin = datetime.fromtimestamp(moment(word))
            end = begin + timedelta(days=1)  # by the calendar: some days have 23 hours
            sql, value = "started >= ? AND started < ?", [begin.timestamp(), end.timestamp()]
        else:
            text = "(SELECT text FROM texts WHERE texts.run = runs.run)"
            sql, value = f"instr({text}, ?) > 0", [word.casefold()]
        found.append(sql)
        values += value
    return found, values


def compared(text: str) -> list[str]:
    """The parameters and results that a search compares with something, in the order typed."""
    found = (_COMPARED.fullmatch(word) for word in _words(text))
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


def _words(text: str) -> list[str]:
    parts = text.split('"')  # outside of quotations, pair = 16 is pair=16
    parts[::2] = [re.sub(r"\s*([<>!=]=|[<>=])\s*", r"\1", part) for part in parts[::2]]
    text = '"'.join(parts)
    try:
        lexer = shlex.shlex(text, posix=True)
        lexer.whitespace_split, lexer.commenters, lexer.escape, lexer.quotes = True, "", "", '"'
        return list(lexer)
    except ValueError:  # a quotation that is still being typed
        return text.replace('"', " ").split()


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


def _compared(match: re.Match[str]) -> tuple[str, list[Any]]:
    """A parameter, or the value of a result, compared with a number or a text."""
    name, sign, value = match["name"], match["sign"], match["value"]
    words = {"true": 1.0, "yes": 1.0, "false": 0.0, "no": 0.0}
    there = "run IN (SELECT run FROM quantities WHERE name = ? AND "
    if not value:  # it is still being typed: those that have it
        return f"{there} 1)", [name]
    sign = sign.replace("==", "=")
    try:
        number = words[value.casefold()] if value.casefold() in words else float(value)
    except ValueError:
        if sign not in ("=", "!="):
            raise RequestError(
                f"{match[0]!r} compares with what is no number; write one in the unit of {name}"
            ) from None
        return f"{there} value {sign} ? AND typeof(value) = 'text')", [name, value.casefold()]
    if sign == "=":  # as many digits as were typed
        near = 0.5 * 10.0 ** -len(value.partition(".")[2]) if "." in value else 0.0
        return f"{there} value BETWEEN ? AND ?)", [name, number - near, number + near]
    return f"{there} value {sign} ? AND typeof(value) != 'text')", [name, number]
