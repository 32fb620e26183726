"""The process behind the instruments panel: it holds the connections while no run does.

`python -m labctl.gui.processes.benchhost` answers requests as the helper does. A driver that hangs
or crashes costs this process, not the window.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from labctl.bench import Bench, find_bench, resolve_mode
from labctl.errors import LabError, RequestError
from labctl.gui.processes.helper import serve
from labctl.instrument.settings import options_of, properties_of
from labctl.viewing.measures import unit_in
from labctl.viewing.quantity import evaluate


class Host:
    """The open instruments of one bench, each by its name."""

    def __init__(self) -> None:
        self._benches: dict[str, Bench] = {}

    def connect(self, bench: str, mode: str) -> list[dict[str, Any]]:
        """Open every instrument; one that does not answer does not keep the others out."""
        self.disconnect()
        file = find_bench(bench)
        mode = resolve_mode(file, mode or None)
        with contextlib.suppress(LabError):
            whole = Bench.open(file, mode)
            self._benches = dict.fromkeys(file.instruments, whole)
        rows = []
        for name in file.instruments:
            row = {"name": name, "ok": True, "text": ""}
            try:
                if name not in self._benches:
                    alone = replace(file, interlocks=())
                    self._benches[name] = Bench.open(alone, mode, only=(name,))
                row["text"] = self._benches[name].identities[name]
            except LabError as error:
                row |= {"ok": False, "text": str(error)}
            rows.append(row)
        return rows

    def disconnect(self) -> int:
        """Close all connections; no instrument is changed."""
        open_now = {id(bench): bench for bench in self._benches.values()}
        self._benches = {}
        for bench in open_now.values():
            bench.close()
        return len(open_now)

    def properties(self, name: str) -> list[dict[str, Any]]:
        """What can be read or set of an instrument; values of what a run would record."""
        instrument = self._instrument(name)
        shown = list(instrument.SETTINGS)
        known = properties_of(type(instrument))
        shown += [n for n, p in known.items() if p.fset is not None and n not in shown]
        rows = []
        for one in shown:
            if one.startswith("_") or one not in known:
                continue
            prop = known[one]
            row = {"name": one, "settable": prop.fset is not None, "value": None, "error": "",
                   "meaning": " ".join((prop.__doc__ or "").split()),
                   "limits": _limits(options_of(prop).get("values"))}  # fmt: skip
            if one in instrument.SETTINGS:
                row |= self.read(name, one)
            rows.append(row)
        return rows

    def read(self, name: str, prop: str) -> dict[str, Any]:
        """One value of an instrument, or why there is none."""
        try:
            return {"value": _plain(getattr(self._instrument(name), prop)), "error": ""}
        except LabError as error:
            return {"value": None, "error": str(error)}

    def set(self, name: str, prop: str, text: str) -> dict[str, Any]:
        """Set a property to what a text means for it, and read it back.

        Raises:
            RequestError: it takes no such value.
        """
        instrument = self._instrument(name)
        if (found := properties_of(type(instrument)).get(prop)) is None or found.fset is None:
            raise RequestError(f"{name}: {prop} cannot be set")
        now = getattr(instrument, prop)
        unit = unit_in(" ".join((found.__doc__ or "").split()))
        try:
            value = _meant(text, now, unit)
        except ValueError as error:
            raise RequestError(f"{name}: {prop} takes a number: {error}") from None
        setattr(instrument, prop, value)
        return self.read(name, prop)

    def make_safe(self) -> list[dict[str, Any]]:
        """Make every connected instrument safe; what each answered."""
        rows = []
        for name, bench in self._benches.items():
            try:
                bench.instruments[name].make_safe()
                rows.append({"instrument": name, "state": "safe", "detail": ""})
            except Exception as error:  # the others must be made safe whatever this one does
                rows.append({"instrument": name, "state": "failed", "detail": str(error)})
        return rows

    def actions(self) -> dict[str, Callable[..., Any]]:
        found = (self.connect, self.disconnect, self.properties, self.read, self.set,
                 self.make_safe)  # fmt: skip
        return {action.__name__: action for action in found}

    def _instrument(self, name: str) -> Any:
        if name not in self._benches:
            raise RequestError(f"{name} is not connected")
        return self._benches[name].instruments[name]


def _meant(text: str, now: Any, unit: str) -> Any:
    """A typed value: of the kind that the property has now; numbers as in the form, with units.

    Raises:
        ValueError: one line that says why this is no number where one is needed.
    """
    words = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}
    if isinstance(now, bool) and text.strip().lower() in words:
        return words[text.strip().lower()]
    for kind in (int, float) if isinstance(now, int) else (float,):
        with contextlib.suppress(ValueError):
            return kind(text)
    if isinstance(now, bool) or not isinstance(now, int | float):
        return text
    value = evaluate(text, unit or None)
    return int(value) if isinstance(now, int) and value.is_integer() else value


def _plain(value: Any) -> Any:
    """A value as JSON; an enumeration or an array becomes text."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    text = str(value)
    return text if len(text) < 200 else f"{text[:197]}…"


def _limits(values: Any) -> str:
    """What a property takes, in words."""
    if not values:
        return ""
    if isinstance(values, dict):
        return ", ".join(map(str, values))
    if isinstance(values, list | tuple) and len(values) == 2:
        return f"{values[0]} to {values[1]}"
    return ", ".join(map(str, values)) if isinstance(values, list | tuple | set) else str(values)


if __name__ == "__main__":
    host = Host()
    try:
        serve(host.actions())
    finally:
        host.disconnect()
