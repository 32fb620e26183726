"""The difference of two runs: what was asked, what the instruments were set to, which code ran."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from labctl.errors import LabError
from labctl.run.reading import RunReader
from labctl.units import measured

#: Members of the start entry that say which code ran where.
CODE = ("class", "commit", "versions", "platform")


@dataclass(frozen=True)
class Difference:
    """One thing that differs. An empty text means that a run does not have it."""

    part: str  # request, parameters, settings, code, results
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
    lines = str(bench.get("text", "")).splitlines()
    return {**plain, "bench": bench.get("name"), "bench file": f"{hash_of(lines)}", **world}


def hash_of(lines: list[str]) -> str:
    """A short name for a text, so that two can be compared at a glance."""
    from hashlib import blake2b

    return f"{len(lines)} lines, {blake2b(chr(10).join(lines).encode(), digest_size=4).hexdigest()}"


def _with_units(start: Mapping[str, Any]) -> dict[str, str]:
    units = start.get("units") or {}
    return {
        name: f"{value!r} {units.get(name) or ''}".strip()
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
