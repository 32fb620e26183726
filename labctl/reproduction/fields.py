"""Reading tables of a TOML file strictly: unknown keys and wrong kinds are one clear line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from labctl.errors import RequestError, nearest

_KINDS = {str: "a text", float: "a number", int: "an integer", bool: "true or false",
          list: "a list", dict: "a table"}  # fmt: skip


class Fields:
    """One table; each value is asked for once, and what nobody asked for is an error."""

    def __init__(self, table: Any, place: str) -> None:
        self.place = place
        if not isinstance(table, Mapping):
            self.fail("must be a table")
        self._table = dict(table)
        self._asked: list[str] = []

    def fail(self, message: str) -> NoReturn:
        raise RequestError(f"{self.place}: {message}")

    def get(self, key: str, kind: type, default: Any = None) -> Any:
        """The value of a key, `default` if it is not there."""
        self._asked.append(key)
        if key not in self._table:
            return default
        value = self._table[key]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.fail(f"{key} = {value!r} must be {_KINDS[kind]}")
        return value

    def need(self, key: str, kind: type) -> Any:
        """The value of a key that must be there, and must say something."""
        value = self.get(key, kind)
        if value is None or value == "":
            self.fail(f"lacks {key!r}")
        return value

    def choice(self, key: str, known: Iterable[str], default: str) -> str:
        """One of a few words."""
        value = str(self.get(key, str, default))
        if value not in known:
            self.fail(f"{key} = {value!r} is none of {', '.join(known)}{nearest(value, known)}")
        return value

    def texts(self, key: str) -> tuple[str, ...] | None:
        """A list of texts; None if it is not there."""
        value = self.get(key, list)
        if value is not None and not all(isinstance(one, str) for one in value):
            self.fail(f"{key} = {value!r} must be a list of texts")
        return None if value is None else tuple(value)

    def tables(self, key: str) -> list[Fields]:
        """A list of tables; each is called after its place in the list."""
        found = self.get(key, list, [])
        return [Fields(one, f"{self.place}, {key} {n}") for n, one in enumerate(found, 1)]

    def close(self) -> None:
        """Refuse keys that mean nothing here."""
        for key in self._table:
            if key not in self._asked:
                self.fail(f"unknown key {key!r}{nearest(key, self._asked)}")
