"""The difference of two runs: what was asked, what the instruments were set to, which code ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from labctl.errors import LabError
from labctl.run.reading import RunReader
from labctl.units import measured, unit_text

#: Members of the start entry that say which code ran where.
CODE = ("class", "commit", "versions", "platform")


#: Places of two bench files that are shown.
MOST_LINES = 10


@dataclass(frozen=True)
class Difference:
    """One thing that differs. An empty text means that a run does not have it."""

    part: str  # request, bench file, parameters, settings, code, results
    name: str
    one: str
    other: str


def differences(one: Path, other: Path) -> list[Difference]:
    """Everything in which two runs differ, the request first.

    Raises:
        LabError: one of them cannot be read.
    """
    first, second = RunReader(one), RunReader(other)
    a, b = first.start, second.start
    found = [*_compare("request", _request(a), _request(b))]
    found += _bench_lines(a, b)
    found += _compare("parameters", _with_units(a), _with_units(b))
    found += _compare("settings", _settings(first), _settings(second))
    found += _compare("code", _code(a), _code(b))
    results = [{n: measured(r) for n, r in run.result.items()} for run in (first, second)]
    return [*found, *_compare("results", *results)]


def _compare(part: str, one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Difference]:
    for name in dict.fromkeys([*one, *other]):
        if one.get(name) != other.get(name) or (name in one) != (name in other):
            yield Difference(part, name, _text(one, name), _text(other, name))


def _text(values: Mapping[str, Any], name: str) -> str:
    return str(values[name]) if name in values else ""


def _request(start: Mapping[str, Any]) -> dict[str, Any]:
    bench = start.get("bench") or {}
    world = {f"world {name}": value for name, value in (start.get("world") or {}).items()}
    plain = {name: start.get(name) for name in ("procedure", "mode", "seed", "points")}
    return {**plain, "bench": bench.get("name"), **world}


def _bench_lines(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[Difference]:
    """The lines in which the bench files differ, by their number in the first."""
    first, second = (str((s.get("bench") or {}).get("text", "")).splitlines() for s in (one, other))
    changes = SequenceMatcher(None, first, second, autojunk=False).get_opcodes()
    changes = [change for change in changes if change[0] != "equal"]
    for _, begin, end, begin_other, end_other in changes[:MOST_LINES]:
        texts = ("; ".join(x.strip() for x in lines if x.strip())
                 for lines in (first[begin:end], second[begin_other:end_other]))  # fmt: skip
        yield Difference("bench file", f"line {begin + 1}", *texts)
    if len(changes) > MOST_LINES:
        more = f"{len(changes) - MOST_LINES} more places"
        yield Difference("bench file", "", more, more)


def _with_units(start: Mapping[str, Any]) -> dict[str, str]:
    units = start.get("units") or {}
    return {
        name: f"{value!r} {unit_text(units.get(name))}".strip()
        for name, value in (start.get("parameters") or {}).items()
    }


def _settings(run: RunReader) -> dict[str, Any]:
    try:
        found = run.settings
    except LabError:
        return {}
    return {
        f"{instrument}.{name}": value
        for instrument, settings in found.items() if isinstance(settings, dict)
        for name, value in settings.items()
    }  # fmt: skip


def _code(start: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in CODE:
        value = start.get(name)
        if isinstance(value, dict):
            found.update({f"{name} {key}": text for key, text in value.items()})
        else:
            found[name] = value
    return found
