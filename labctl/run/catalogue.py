"""The catalogue of runs: a SQLite index of a runs directory, never more than a copy of it.

The index is brought up to date at each look, by size and time of every `run.jsonl`. It may be
deleted at any time; damaged, it is built again; where it cannot be written, it lives in memory.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from labctl.errors import LabError, RequestError
from labctl.jsonline import from_json, to_json
from labctl.run import marks
from labctl.run.locate import default_runs_dir, numbered
from labctl.run.reading import RunReader, unstopped_status
from labctl.run.search import Kind, Kinds, moment
from labctl.run.search import conditions as search_conditions

INDEX = "catalogue.sqlite"
_VERSION = 6
_TABLES = (
    """CREATE TABLE runs (
    run INTEGER PRIMARY KEY, folder TEXT UNIQUE, size INTEGER, modified INTEGER, number INTEGER,
    procedure TEXT, started REAL, state TEXT, status TEXT, rows INTEGER, starred INTEGER,
    labels TEXT, about TEXT)""",
    "CREATE INDEX by_number ON runs (number, folder)",
    # What is searched by word, and what is compared with a number, apart: 1e5 runs in 0.1 s.
    "CREATE TABLE texts (run INTEGER PRIMARY KEY, text TEXT)",
    # One name may have several units; that of texts is NULL.
    "CREATE TABLE kinds (kind INTEGER PRIMARY KEY, name TEXT, unit TEXT)",
    "CREATE INDEX by_name ON kinds (name, unit)",
    "CREATE TABLE quantities (kind INTEGER, value, run INTEGER)",
    "CREATE INDEX by_value ON quantities (kind, value, run)",
    "CREATE INDEX by_run ON quantities (run)",
)
#: What is stored as one JSON text, because nobody selects by it.
_ABOUT = ("title", "bench", "mode", "seed", "parameters", "units", "results", "tags", "reason",
          "remarks")  # fmt: skip
#: Runs with so many of the highest numbers are looked at even when nothing else is.
LATELY = 200
#: When the folders of runs directories were last seen to come or go, by this process.
_listed: dict[Path, int] = {}
_DICTIONARIES = ("parameters", "units", "results", "tags")


@dataclass(frozen=True)
class RunSummary:
    """One line of the catalogue."""

    path: Path
    number: int
    procedure: str
    status: str
    started: datetime | None  #: local time
    rows: int
    title: str
    bench: str
    mode: str
    seed: int | None
    parameters: dict[str, Any]
    units: dict[str, str]
    results: dict[str, Any]
    tags: dict[str, int]  #: how many time tags, by name
    reason: str  #: why the run did not finish
    remarks: tuple[str, ...] = ()  #: notes of the run, then what people wrote about it
    labels: tuple[str, ...] = ()
    starred: bool = False


_Select = Callable[[sqlite3.Connection], list[RunSummary]]


def list_runs(
    runs_dir: Path | str | None = None,
    *,
    procedure: str | None = None,
    since: str | datetime | None = None,
    search: str | None = None,
) -> list[RunSummary]:
    """Return the runs of a directory in order of their numbers.

    Args:
        runs_dir: the default runs directory if None.
        procedure: only runs of this procedure.
        since: only runs started at this local date or time, or later ("2026-11-20").
        search: only runs in which each of these words occurs: in title, procedure, bench,
            parameters, labels, notes or results; or comparisons, see `labctl.run.search`.

    Raises:
        RequestError: `since` is no date, the search cannot be understood, or there is no such
            directory.
    """
    base = Path(runs_dir) if runs_dir is not None else default_runs_dir()
    if runs_dir is not None and not base.is_dir():
        raise RequestError(f"{base}: there is no such runs directory")
    also: list[tuple[str, Any]] = []
    if procedure is not None:
        also.append(("procedure = ?", procedure))
    if since is not None:
        also.append(("started >= ?", moment(since)))
    search_conditions(search or "", lambda _: [])  # refused also where there are no runs
    if next(numbered(base), None) is None:
        return []

    def select(index: sqlite3.Connection) -> list[RunSummary]:
        conditions, values = search_conditions(search or "", _kinds(index))
        where = _all([*conditions, *(sql for sql, _ in also)])
        query = f"SELECT * FROM runs WHERE {where} ORDER BY number, folder"
        found = index.execute(query, [*values, *(value for _, value in also)])
        return [_summary(base, line) for line in found]

    found = _with_index(base, select)
    return found if found is not None else _look(":memory:", base, select)


def renew(runs_dir: Path, *, lately: bool = False, also: Sequence[str] = ()) -> None:
    """Bring the index up to date, as `list_runs` does, and list nothing.

    Args:
        runs_dir: where the runs lie; an index that cannot be written is left as it is.
        lately: look only at what is new, has not ended or is among the newest. What else may have
            changed, such as a label of an old run, is seen at the next complete look; with 1e5
            runs this takes milliseconds, and that seconds.
        also: names of folders to look at nevertheless.
    """
    if next(numbered(runs_dir), None) is not None:
        _with_index(runs_dir, lambda _: [], lately=lately, also=also)


def newest_runs(
    runs_dir: Path, search: str = "", limit: int = 500
) -> tuple[list[RunSummary], bool]:
    """Return the newest runs that match, and whether there are more; the index as it last was.

    Raises:
        RequestError: what was typed cannot be understood.
    """
    try:
        uri = f"{(runs_dir / INDEX).resolve().as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=1.0)) as db:
            _prepare(db, runs_dir)
            if not _is_current(db):
                return [], False
            conditions, values = search_conditions(search, _kinds(db))
            where = _all(conditions)
            order = "ORDER BY number DESC, folder DESC"
            # From the newest on, so that nothing is sorted and what matches widely ends early.
            newest = f"SELECT run FROM runs INDEXED BY by_number WHERE {where} {order} LIMIT ?"
            query = f"SELECT * FROM runs WHERE run IN ({newest}) {order}"
            found = [_summary(runs_dir, line) for line in db.execute(query, [*values, limit + 1])]
            return found[:limit], len(found) > limit
    except sqlite3.Error:  # there is none yet, or it is being built anew
        return [], False


def _prepare(index: sqlite3.Connection, base: Path) -> None:
    """Name columns, and let conditions ask how it stands with a run that has not stopped."""

    def now(folder: str, state: str, size: int) -> str:
        return _status_now(base / folder, state, size)

    index.row_factory = sqlite3.Row
    index.create_function("status_now", 3, now)


def _status_now(path: Path, state: str, size: int) -> str:
    """Status of a run that had not stopped when its journal had so many bytes."""
    status = unstopped_status(path, state)
    if status == "interrupted":
        with contextlib.suppress(LabError, OSError):
            if (path / "run.jsonl").stat().st_size != size:  # it ended since
                return RunReader(path).status
    return status


def _kinds(index: sqlite3.Connection) -> Kinds:
    """What the index knows of a name: its units, as far as there is a run that has them."""
    there = "EXISTS (SELECT 1 FROM quantities WHERE quantities.kind = kinds.kind)"
    query = f"SELECT kind, unit FROM kinds WHERE name = ? AND {there}"
    return lambda name: [Kind(*line) for line in index.execute(query, (name,))]


def _all(conditions: list[str]) -> str:
    return " AND ".join(["1", *conditions])


def _with_index(
    base: Path, select: _Select, *, lately: bool = False, also: Sequence[str] = ()
) -> list[RunSummary] | None:
    """Bring the index file up to date and select from it; None if it cannot be written."""
    path = base / INDEX
    for _ in range(2):
        try:
            return _look(str(path), base, select, lately=lately, also=also)
        except (sqlite3.DatabaseError, ValueError, TypeError, AttributeError) as exc:
            if isinstance(exc, sqlite3.OperationalError) and not _is_wrong_table(exc):
                break  # it cannot be written, or somebody holds it
            with contextlib.suppress(OSError):  # damaged
                path.unlink()
    return None


def _look(
    index: str, base: Path, select: _Select, *, lately: bool = False, also: Sequence[str] = ()
) -> list[RunSummary]:
    """Bring an index up to date and select from it."""
    with contextlib.closing(sqlite3.connect(index, timeout=5.0, isolation_level=None)) as db:
        _prepare(db, base)
        db.execute("PRAGMA journal_mode = TRUNCATE")  # a file that came and went would look new
        _refresh(db, base, lately=lately and _is_current(db), also=also)
        return select(db)


def _to_look_at(
    index: sqlite3.Connection, base: Path, *, lately: bool, also: Sequence[str]
) -> tuple[set[str], dict[str, tuple[int, int]]]:
    """The folders to look at, and what the index knows of them and of those that are gone."""
    query = "SELECT folder, size, modified FROM runs"
    changed = base.stat().st_mtime_ns
    listed, _listed[base] = _listed.get(base) == changed, changed
    there = {path.name for _, path in numbered(base)} if not (lately and listed) else set()
    if not lately:
        lines = index.execute(query) if _is_current(index) else ()
        return there, {folder: (size, modified) for folder, size, modified in lines}
    newest = "number > (SELECT max(number) FROM runs) - ?"
    query += f" WHERE status = '' OR {newest} OR folder IN ({', '.join('?' * len(also))})"
    known = {name: (size, time) for name, size, time in index.execute(query, [LATELY, *also])}
    names = set(known)
    if there:
        indexed = {folder for (folder,) in index.execute("SELECT folder FROM runs")}
        names |= there - indexed
        known.update(dict.fromkeys(indexed - there, (0, 0)))
    return names, known


def _refresh(
    index: sqlite3.Connection, base: Path, *, lately: bool = False, also: Sequence[str] = ()
) -> None:
    """Read the folders that changed since the last look, forget those that are gone."""
    names, known = _to_look_at(index, base, lately=lately, also=also)
    found = {}
    for name in names:
        with contextlib.suppress(OSError):
            stat = (base / name / "run.jsonl").stat()
            found[name] = (stat.st_size, max(stat.st_mtime_ns, marks.changed(base / name)))
    if _is_current(index) and known == found:
        return
    changed = [name for name, state in found.items() if known.get(name) != state]
    read = [(name, *found[name], *_read(base / name)) for name in changed]
    index.execute("BEGIN IMMEDIATE")
    if not _is_current(index):
        for table in ("runs", "texts", "quantities", "kinds"):
            index.execute(f"DROP TABLE IF EXISTS {table}")
        for statement in _TABLES:
            index.execute(statement)
        index.execute(f"PRAGMA user_version = {_VERSION}")
    for name in {*changed, *(known.keys() - found.keys())}:
        for table in ("texts", "quantities", "runs"):
            index.execute(
                f"DELETE FROM {table} WHERE run IN (SELECT run FROM runs WHERE folder = ?)", (name,)
            )
    for *line, text, quantities in read:
        insert(index, line, text, quantities)
    index.execute("COMMIT")


def insert(
    index: sqlite3.Connection,
    line: list[Any],
    text: str,
    quantities: dict[str, tuple[Any, str | None]],
) -> int:
    """Put one run into the tables; returns the number of its line.

    Args:
        index: where to.
        line: its columns in `runs`, but the first.
        text: what is searched for words.
        quantities: value and unit by name; the unit of a text is None.
    """
    run = index.execute("INSERT INTO runs VALUES (NULL,?,?,?,?,?,?,?,?,?,?,?,?)", line).lastrowid
    index.execute("INSERT INTO texts VALUES (?,?)", (run, text))
    lines = [(_kind(index, name, unit), value, run) for name, (value, unit) in quantities.items()]
    index.executemany("INSERT INTO quantities VALUES (?,?,?)", lines)
    return int(run or 0)


def _kind(index: sqlite3.Connection, name: str, unit: str | None) -> int:
    """The number of a name and unit, a new one if need be."""
    known = index.execute("SELECT kind FROM kinds WHERE name = ? AND unit IS ?", (name, unit))
    if found := known.fetchone():
        return int(found[0])
    return int(index.execute("INSERT INTO kinds VALUES (NULL,?,?)", (name, unit)).lastrowid or 0)


def _is_wrong_table(exc: sqlite3.OperationalError) -> bool:
    return getattr(exc, "sqlite_errorcode", None) == sqlite3.SQLITE_ERROR


def _is_current(index: sqlite3.Connection) -> bool:
    return bool(index.execute("PRAGMA user_version").fetchone()[0] == _VERSION)


def _read(path: Path) -> tuple[Any, ...]:
    """Return what the index keeps of one run."""
    run, given = RunReader(path), marks.read(path)
    try:
        start, stop, notes, results = run.start, run.stop_entry, run.notes, run.result
        bench = start.get("bench") or {}
        about: dict[str, Any] = {
            "title": str(start.get("title") or ""),
            "bench": str(bench.get("name") or "") if isinstance(bench, dict) else str(bench),
            "mode": str(start.get("mode") or ""),
            "seed": start.get("seed"),
            "parameters": start.get("parameters") or {},
            "units": start.get("units") or {},
            "results": results,
            "tags": run.tag_counts(),
            "reason": str((stop or {}).get("reason") or ""),
            "remarks": [*notes, *given.remarks],
        }
        procedure = str(start.get("procedure") or "")
        started = float(start.get("started") or datetime.fromisoformat(start["time"]).timestamp())
        state, status, rows = run.state, str((stop or {}).get("status") or ""), run.row_count
    except (LabError, OSError, KeyError, TypeError, ValueError, AttributeError) as exc:
        empty: dict[str, Any] = {"seed": None, **{part: {} for part in _DICTIONARIES}}
        empty["remarks"] = list(given.remarks)
        about = {**dict.fromkeys(_ABOUT, ""), **empty, "reason": " ".join(str(exc).split())}
        procedure, started, state, status, rows = "", 0.0, "", "unreadable", 0
    text = [procedure, str(about["title"]), str(about["bench"]), path.name, *given.labels]
    text += [str(remark) for remark in about["remarks"]]
    units = about["units"]
    text += [f"{n}={_short(v)} {units.get(n) or ''}" for n, v in about["parameters"].items()]
    text += [
        f"{name}={_short(r.get('value'))} {r.get('unit') or ''}"
        for name, r in about["results"].items()
    ]
    labels = "".join(f"\n{label.casefold()}\n" for label in given.labels)
    about["labels"] = list(given.labels)
    quantities = {
        name: (value.casefold(), None) if isinstance(value, str) else (value, str(unit or ""))
        for name, value, unit in [
            *((name, value, units.get(name)) for name, value in about["parameters"].items()),
            *((name, r.get("value"), r.get("unit")) for name, r in about["results"].items()),
        ]
        if isinstance(value, str | float) or (isinstance(value, int) and abs(value) < 2**63)
    }
    return (
        run.number, procedure, started, state, status, rows, int(given.starred), labels,
        to_json(about).decode(), "\n".join(text).casefold(), quantities,
    )  # fmt: skip


def _short(value: Any) -> str:
    """A value as people would look for it; comparisons see all digits."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _summary(base: Path, line: sqlite3.Row) -> RunSummary:
    path = base / line["folder"]
    status = line["status"] or _status_now(path, line["state"], line["size"])
    started = datetime.fromtimestamp(line["started"]) if line["started"] else None
    about = from_json(line["about"].encode())
    remarks, labels = tuple(about.pop("remarks")), tuple(about.pop("labels"))
    return RunSummary(
        path, line["number"], line["procedure"], status, started, line["rows"], **about,
        remarks=remarks, labels=labels, starred=bool(line["starred"]),
    )  # fmt: skip
