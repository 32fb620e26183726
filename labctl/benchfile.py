"""Bench files: one TOML table per instrument holds driver, address and simulator together."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.errors import BenchFileError, nearest

MODES = ("real", "sim", "replay")

_TOP = {"bench", "world", "instruments", "interlocks"}
_BENCH = {"title", "mode", "clock", "procedures", "meaning", "connections"}
_INSTRUMENT = {
    "driver",
    "address",
    "simulator",
    "mode",
    "identity",
    "timeout",
    "settings",
    "ports",
    "faults",
    "meaning",
}
_INTERLOCK = {"read", "min", "max", "period", "unit", "meaning"}


@dataclass(frozen=True)
class InstrumentEntry:
    """What a bench file says of one instrument."""

    name: str
    driver: str
    address: str
    simulator: str
    mode: str  # "" follows the bench
    identity: str  # regular expression; "" leaves it to the driver
    timeout: float | None  # s
    settings: dict[str, Any]
    faults: dict[str, Any]
    meaning: str
    ports: dict[str, str] = field(default_factory=dict)  # addresses of further connections


@dataclass(frozen=True)
class InterlockEntry:
    """A quantity to watch: `read` names instrument and property, limits in the driver's unit."""

    read: str
    minimum: float
    maximum: float
    period: float  # s
    unit: str
    meaning: str


@dataclass(frozen=True)
class Connection:
    """What is connected to what: instruments, or parts without a driver such as a ring."""

    source: str
    target: str
    what: str  # light, photocurrent, 10 MHz ...


@dataclass(frozen=True)
class BenchFile:
    """A parsed and checked bench file."""

    path: Path
    text: str
    title: str
    mode: str  # "" where the file does not say
    clock: str
    procedures: tuple[str, ...]
    world_class: str
    world: dict[str, Any]
    instruments: dict[str, InstrumentEntry]
    interlocks: tuple[InterlockEntry, ...] = field(default=())
    connections: tuple[Connection, ...] = field(default=())

    @property
    def name(self) -> str:
        return self.path.stem


def load(path: Path) -> BenchFile:
    """Read and check a bench file.

    Raises:
        BenchFileError: naming file, line and key of the first fault.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")  # Windows editors put a mark before it
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BenchFileError(f"{path}: cannot read the bench file: {reason}") from None
    return parse(text, path)


def parse(text: str, path: Path) -> BenchFile:
    """Check the text of a bench file; `path` is for messages and for its name."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BenchFileError(f"{path}: not valid TOML: {error}") from None
    except RecursionError:
        raise BenchFileError(f"{path}: not valid TOML: brackets are nested too deeply") from None
    check = Checker(text, path)
    check.keys(document, _TOP, "")
    bench = check.table(document, "bench", "")
    check.keys(bench, _BENCH, "bench")
    mode = check.value(bench, "mode", str, "", "bench")
    check.mode(mode, "bench")
    world = dict(check.table(document, "world", ""))
    world_class = check.value(world, "class", str, "", "world")
    world.pop("class", None)
    instruments = {}
    for name, table in check.table(document, "instruments", "").items():
        where = f"instruments.{name}"
        if not isinstance(table, dict):
            check.fail(f"{name!r} must be a table [instruments.{name}]", name, "instruments")
        instruments[name] = check.instrument(name, table, where)
    if not instruments:
        check.fail("a bench needs at least one [instruments.NAME] table", "instruments", "")
    interlocks = document.get("interlocks", [])
    if not isinstance(interlocks, list):
        check.fail("interlocks are written [[interlocks]], with two brackets", "interlocks", "")
    return BenchFile(
        path=path,
        text=text,
        title=check.value(bench, "title", str, path.stem, "bench"),
        mode=mode,
        clock=check.value(bench, "clock", str, "", "bench"),
        procedures=check.words(bench, "procedures", ["procedures"], "bench"),
        world_class=world_class,
        world=world,
        instruments=instruments,
        interlocks=tuple(check.interlock(entry, instruments) for entry in interlocks),
        connections=tuple(check.connections(bench)),
    )


class Checker:
    """Finds the line of whatever is wrong: the TOML parser itself does not keep lines."""

    def __init__(self, text: str, path: Path) -> None:
        self.lines = text.splitlines()
        self.path = path

    def fail(self, message: str, key: str, table: str) -> Any:
        raise BenchFileError(f"{self.path}:{self.line_of(key, table)}: {message}")

    def line_of(self, key: str, table: str) -> int:
        """Line of `key` inside `[table]`, or of the table's head, or 1."""
        head = re.compile(r"\s*\[\[?\s*([\w.\-\"']+)\s*\]\]?")
        current, found = "", 1
        for number, line in enumerate(self.lines, 1):
            if match := head.match(line):
                current = match[1].replace('"', "").replace("'", "")
                if current == (f"{table}.{key}" if table else key) or current.startswith(
                    f"{table}.{key}." if table else f"{key}."
                ):
                    return number
                if current == table:
                    found = number
            elif current == table and re.match(rf"\s*[\"']?{re.escape(key)}[\"']?\s*[.=]", line):
                return number
        return found

    def keys(self, table: dict[str, Any], known: set[str], where: str) -> None:
        for key in table:
            if key not in known:
                place = f"table [{where}]" if where else "bench file"
                self.fail(f"unknown key {key!r} in the {place}{nearest(key, known)}", key, where)

    def table(self, parent: dict[str, Any], key: str, where: str) -> dict[str, Any]:
        value = parent.get(key, {})
        if not isinstance(value, dict):
            self.fail(f"{key!r} must be a table", key, where)
        return dict(value)

    def value(self, table: dict[str, Any], key: str, kind: type, default: Any, where: str) -> Any:
        if key not in table:
            return default
        value = table[key]
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if not isinstance(value, kind) or (isinstance(value, float) and math.isnan(value)):
            wanted = {str: "text", float: "number"}.get(kind, kind.__name__)
            self.fail(f"{key} = {value!r} must be a {wanted}", key, where)
        return value

    def words(
        self, table: dict[str, Any], key: str, default: list[str], where: str
    ) -> tuple[str, ...]:
        words = self.value(table, key, list, default, where)
        if not all(isinstance(word, str) for word in words):
            self.fail(f"{key} = {words!r} must be a list of texts", key, where)
        return tuple(words)

    def mode(self, mode: str, where: str) -> None:
        if mode and mode not in ("real", "sim"):
            self.fail(f"mode = {mode!r} must be 'real' or 'sim'", "mode", where)

    def connections(self, bench: dict[str, Any]) -> Iterator[Connection]:
        for text in self.words(bench, "connections", [], "bench"):
            ends, _, what = text.partition(":")
            source, arrow, target = (part.strip() for part in ends.partition(">"))
            if not (source and arrow and target) or ">" in target:
                self.fail(
                    f"connection {text!r} must be written 'laser > shaper' or "
                    "'laser > shaper: light'", "connections", "bench",
                )  # fmt: skip
            yield Connection(source, target, what.strip())

    def target(self, table: dict[str, Any], key: str, where: str) -> str:
        value = self.value(table, key, str, "", where)
        if value and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", value):
            self.fail(f"{key} = {value!r} must be written 'package.module:Class'", key, where)
        return str(value)

    def instrument(self, name: str, table: dict[str, Any], where: str) -> InstrumentEntry:
        self.keys(table, _INSTRUMENT, where)
        driver = self.target(table, "driver", where)
        if not driver:
            self.fail(
                f"instrument {name!r} has no driver = 'package.module:Class'", name, "instruments"
            )
        mode = self.value(table, "mode", str, "", where)
        self.mode(mode, where)
        timeout = self.value(table, "timeout", float, None, where)
        if timeout is not None and not 0 < timeout < math.inf:
            self.fail(
                f"timeout = {timeout!r} must be a positive number of seconds", "timeout", where
            )
        identity = self.value(table, "identity", str, "", where)
        try:
            re.compile(identity)
        except re.error as error:
            self.fail(
                f"identity = {identity!r} is no regular expression: {error}", "identity", where
            )
        return InstrumentEntry(
            name=name,
            driver=driver,
            address=self.value(table, "address", str, "", where),
            simulator=self.target(table, "simulator", where),
            mode=mode,
            identity=identity,
            timeout=timeout,
            settings=self.table(table, "settings", where),
            faults=self.table(table, "faults", where),
            meaning=self.value(table, "meaning", str, "", where),
            ports=self.addresses(table, where),
        )

    def addresses(self, table: dict[str, Any], where: str) -> dict[str, str]:
        ports = self.table(table, "ports", where)
        for port, address in ports.items():
            if not isinstance(address, str):
                self.fail(f"port {port} = {address!r} must be an address", "ports", where)
        return ports

    def interlock(self, table: Any, instruments: dict[str, InstrumentEntry]) -> InterlockEntry:
        if not isinstance(table, dict):
            self.fail("interlocks are written [[interlocks]], with two brackets", "interlocks", "")
        where = "interlocks"
        self.keys(table, _INTERLOCK, where)
        read = self.value(table, "read", str, "", where)
        instrument, _, quantity = read.partition(".")
        if not quantity:
            self.fail(f"read = {read!r} must be written 'instrument.quantity'", "read", where)
        if instrument not in instruments:
            hint = nearest(instrument, instruments)
            self.fail(f"interlock reads unknown instrument {instrument!r}{hint}", "read", where)
        minimum = self.value(table, "min", float, -math.inf, where)
        maximum = self.value(table, "max", float, math.inf, where)
        if not minimum < maximum:
            self.fail(
                f"interlock {read}: min {minimum!r} must be below max {maximum!r}", "min", where
            )
        period = self.value(table, "period", float, 1.0, where)
        if not 0 < period < math.inf:
            self.fail(f"period = {period!r} must be a positive number of seconds", "period", where)
        return InterlockEntry(
            read, minimum, maximum, period,
            self.value(table, "unit", str, "", where),
            self.value(table, "meaning", str, "", where),
        )  # fmt: skip
