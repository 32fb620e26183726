"""Description files: one TOML file for each publication, read strictly.

The format is described in docs/reproduce.md.
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from labctl.errors import RequestError
from labctl.reproduction.fields import Fields
from labctl.reproduction.papers import (
    FOLLOWS,
    ORIGINS,
    TAKES,
    Entry,
    Paper,
    PlotSpec,
    RowSpec,
    Series,
    Source,
)
from labctl.reproduction.printed import Printed, parse

_NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")


def load(path: Path) -> Paper:
    """Read and check a description file.

    Raises:
        RequestError: naming the file, the place and what is wrong there.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise RequestError(f"{path}: cannot read the description: {reason}") from None
    except tomllib.TOMLDecodeError as error:
        raise RequestError(f"{path}: not valid TOML: {error}") from None
    top = Fields(document, str(path))
    about = Fields(top.need("paper", dict), f"{path}, paper")
    bench = about.need("bench", str)
    missing = []
    for one in about.tables("missing"):
        missing.append((one.need("figure", str), one.need("why", str)))
        one.close()
    entries = []
    for name, table in top.need("entries", dict).items():
        if not _NAME.fullmatch(name):
            top.fail(f"entry {name!r} must be named with small letters, digits and hyphens")
        entries.append(_entry(path, name, Fields(table, f"{path}, entry {name}"), bench))
    paper = Paper(
        path.stem, path, about.need("title", str), about.need("authors", str),
        about.need("reference", str), about.get("link", str, ""), about.get("remark", str, ""),
        tuple(entries), tuple(missing),
    )  # fmt: skip
    if paper.link and not paper.link.startswith("https://"):
        about.fail(f"link = {paper.link!r} must begin with https://")
    about.close()
    top.close()
    return paper


def _entry(path: Path, name: str, fields: Fields, bench: str) -> Entry:
    bench = fields.get("bench", str, bench)
    beside = path.parent / bench
    if bench.endswith(".toml") and beside.is_file():
        bench = str(beside)
    hurry = fields.get("in_a_hurry", bool, True)
    quick = fields.get("quick", dict, {})
    entry = Entry(
        paper=path.stem, name=name, bench=bench,
        figure=fields.need("figure", str),
        title=fields.need("title", str),
        procedure=fields.need("procedure", str),
        parameters=fields.get("parameters", dict, {}),
        quick=quick if hurry else None,
        world=fields.get("world", dict, {}),
        seed=fields.get("seed", int, 0),
        cost=fields.get("cost", float, 10.0),
        figures=fields.texts("figures"),
        rows=tuple(_row(one) for one in fields.tables("rows")),
        plots=tuple(_plot(one) for one in fields.tables("plots")),
        compare_plot=fields.get("compare_plot", bool, True),
        remark=fields.get("remark", str, ""),
    )  # fmt: skip
    if entry.seed < 0:
        fields.fail(f"seed = {entry.seed} must not be negative")
    if not entry.cost > 0:
        fields.fail(f"cost = {entry.cost} must be above zero")
    fields.close()
    return entry


def _row(fields: Fields) -> RowSpec:
    fields.place += f" ({fields.need('name', str)})"
    row = RowSpec(
        name=fields.need("name", str),
        source=_source(fields),
        unit=fields.get("unit", str, ""),
        scale=fields.get("scale", float, 1.0),
        printed=_printed(fields, "printed"),
        where=fields.get("where", str, ""),
        follows=_printed(fields, "follows"),
        because=fields.get("because", str, ""),
        origin=fields.choice("origin", ORIGINS, FOLLOWS),
        comparable=fields.get("comparable", bool, True),
        group=fields.get("group", str, ""),
        remark=fields.get("remark", str, ""),
    )
    if row.printed is not None and not row.where:
        fields.fail("lacks 'where' in the publication it is printed")
    if (row.follows is None) != (not row.because):
        fields.fail("'follows' and 'because' go together")
    if row.follows is not None and row.follows.kind not in ("value", "word"):
        fields.fail("'follows' must be a number, with its error if it has one, or yes or no")
    if not row.comparable and not row.remark:
        fields.fail("a row that is not comparable needs a remark that says why")
    fields.close()
    return row


def _source(fields: Fields) -> Source:
    given = {kind: fields.get(kind, str) for kind in ("result", "array", "column")}
    named = [(kind, name) for kind, name in given.items() if name]
    if len(named) != 1:
        fields.fail("needs one of 'result', 'array' and 'column'")
    kind, name = named[0]
    at, error_at = (tuple(fields.get(key, list, [])) for key in ("at", "error_at"))
    if not all(isinstance(index, int) for index in at + error_at):
        fields.fail("'at' and 'error_at' are lists of integers")
    if (kind == "array") != bool(at):
        fields.fail("'at' says which element of an array, and belongs to 'array' alone")
    return Source(kind, name, at, error_at, fields.choice("take", TAKES, "mean"))


def _printed(fields: Fields, key: str) -> Printed | None:
    text = fields.get(key, str)
    if text is None:
        return None
    try:
        return parse(text)
    except RequestError as error:
        fields.fail(f"{key}: {error}")


def _plot(fields: Fields) -> PlotSpec:
    series = []
    for kind in ("ours", "published"):
        for one in fields.tables(kind):
            series.append(_series(one, kind))
            one.close()
    plot = PlotSpec(
        fields.need("title", str), fields.need("x", str), fields.need("y", str),
        fields.get("log", bool, False), tuple(series),
    )  # fmt: skip
    fields.close()
    return plot


def _series(fields: Fields, kind: str) -> Series:
    label, line = fields.need("label", str), fields.get("line", bool, False)
    x_scale, y_scale = fields.get("x_scale", float, 1.0), fields.get("y_scale", float, 1.0)
    only = fields.get("only", dict, {})
    if kind == "ours":
        x, y = fields.need("x", str), fields.need("y", str)
        return Series(label, x, y, fields.get("error", str, ""), line, only, x_scale, y_scale)
    x, y = fields.need("x", list), fields.texts("y") or ()
    if len(x) != len(y) or not all(isinstance(one, int | float) for one in x):
        fields.fail("published points need as many numbers x as printed numbers y")
    try:
        printed = tuple(parse(one) for one in y)
    except RequestError as error:
        fields.fail(f"y: {error}")
    return Series(label, tuple(map(float, x)), printed, "", line, {}, x_scale, y_scale)
