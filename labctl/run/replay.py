"""Replay: run a recorded run again and say where the first difference is."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from labctl.errors import ReplayMismatch, RequestError
from labctl.run.folder import RunFolder
from labctl.run.outcome import Listener
from labctl.run.request import FORMAT, new_columns, rebuild
from labctl.run.stretch import Stretch


@dataclass(frozen=True)
class Comparison:
    """What came of a replay."""

    mode: str
    rows: int  # recorded
    compared: int
    difference: str  # "" if there is none

    @property
    def identical(self) -> bool:
        return not self.difference


def replay(path: Path, mode: str = "wire", listener: Listener | None = None) -> Comparison:
    """Repeat the run in `path`, stretch by stretch, in a temporary folder, and compare.

    Args:
        path: the recorded run.
        mode: "wire" answers from the transcript, "sim" from simulators with the same seed.

    Raises:
        RequestError: the run cannot be replayed in this way.
    """
    recorded = RunFolder.open(path)
    start = recorded.start
    if start["format"] > FORMAT:
        raise RequestError(f"{path}: written by a newer labctl (format {start['format']})")
    if start["bench"] is None:
        raise RequestError(f"{path}: was run without a bench, so there is no wire to replay")
    if mode == "wire" and not (path / "wire.jsonl").exists():
        raise RequestError(
            f"{path}: has no transcript (lost, or run with --no-record); use replay --mode sim"
        )
    if not recorded.stretches:
        raise RequestError(f"{path}: ended before its bench was open; nothing to replay")
    with tempfile.TemporaryDirectory(
        prefix="labctl-replay-",
        ignore_cleanup_errors=True,  # Windows keeps what is still mapped
    ) as place:
        return _replay(recorded, mode, Path(place), listener)


def _replay(recorded: RunFolder, mode: str, place: Path, listener: Listener | None) -> Comparison:
    repeated: RunFolder | None = None
    complaint = ""
    openings = [entry for entry in recorded.events if entry["entry"] == "opened"]
    counts = [recorded.rows_in_stretch(n) for n in range(len(openings))]
    for number, expected in enumerate(counts):
        final = number == len(counts) - 1 and recorded.status == "finished"
        start = {**recorded.start, "replay_of": str(recorded.path)}
        if repeated is None:
            writer = RunFolder.create(place, start["procedure"], start)
        else:
            writer = RunFolder.resume(repeated.path)
        if expected or final:
            complaint = _stretch(
                recorded, writer, number, None if final else expected, mode, listener
            )
        else:  # it ended before its first row, so there is nothing to compare
            writer.opened(openings[number])  # but it counts
            writer.close()
        repeated = RunFolder.open(writer.path)
        if complaint:
            break
    assert repeated is not None
    compared, difference = compare(
        recorded, repeated, new_columns(recorded.start, rebuild(recorded.start)[0])
    )
    if complaint and (not difference or difference.endswith("missing")):
        difference = complaint
    return Comparison(mode, len(recorded.rows), compared, difference)


def _stretch(
    recorded: RunFolder,
    writer: RunFolder,
    number: int,
    stop_after: int | None,
    mode: str,
    listener: Listener | None,
) -> str:
    """Replay one stretch; returns why it broke off, or ""."""
    procedure, file = rebuild(recorded.start)
    start = recorded.start
    transcript = None
    if mode == "wire":
        from labctl.transport.replaying import Transcript

        transcript = Transcript(recorded.path / "wire.jsonl", stretch=number)
    stretch = Stretch(
        writer, procedure, file, "sim" if mode == "sim" else start["mode"], start["world"],
        start["seed"], listener=listener, replay=transcript, stop_after=stop_after,
    )  # fmt: skip
    before = writer.row_count
    outcome = stretch.run()
    if stop_after is None:
        return "" if outcome.status == "finished" else outcome.reason
    # What came after the last recorded row, such as the fault that ended the run, is not compared.
    return "" if RunFolder.open(writer.path).row_count - before >= stop_after else outcome.reason


def compare(recorded: RunFolder, repeated: RunFolder, new: Collection[str] = ()) -> tuple[int, str]:
    """How many rows agree to the last bit, and the first difference in words.

    Columns that are `new`, which the run did not have when it began, are not compared.
    """
    rows, again = recorded.rows, repeated.rows
    for number, (row, other) in enumerate(zip(rows, again, strict=False)):
        point = row.get("index", number)
        if difference := _row_difference(row, other, new):
            return number, f"point {point}: {difference}"
        for column in recorded.start["traces"]:
            if difference := _trace_difference(recorded, repeated, column, number):
                return number, f"point {point}, {column!r}: {difference}"
        if difference := _tag_difference(recorded, repeated, number):
            return number, f"point {point}, {difference}"
    if len(again) < len(rows):
        return len(
            again
        ), f"rows from point {rows[len(again)].get('index', len(again))} on are missing"
    if len(again) > len(rows):
        return len(rows), f"{len(again) - len(rows)} rows more than recorded"
    return len(rows), ""


def _row_difference(row: Mapping[str, Any], other: Mapping[str, Any], new: Collection[str]) -> str:
    row, other = ({n: v for n, v in one.items() if n not in new} for one in (row, other))
    if row.keys() != other.keys():
        return f"columns differ: recorded {sorted(row)}, repeated {sorted(other)}"
    for name, value in row.items():
        if not _same(value, other[name]):
            return f"{name!r} was {value!r}, is {other[name]!r}"
    return ""


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, float) and isinstance(other, float) and math.isnan(value):
        return math.isnan(other)
    return type(value) is type(other) and bool(value == other)


def _trace_difference(one: RunFolder, two: RunFolder, column: str, row: int) -> str:
    first, second = (_array(run, column, row) for run in (one, two))
    if first is None or second is None:
        return "" if first is second else f"is {'new' if first is None else 'missing'}"
    return _array_difference(first, second)


def _array(run: RunFolder, column: str, row: int) -> np.ndarray | None:
    """An array of a row; None if the row has none, as those of another kind than its own."""
    try:
        return run.trace(column, row)
    except RequestError:
        return None


def _array_difference(first: np.ndarray, second: np.ndarray) -> str:
    if first.shape != second.shape:
        return f"has {second.size} values, had {first.size}"
    different = np.flatnonzero(~((first == second) | ((first != first) & (second != second))))
    if different.size:
        k = int(different[0])
        return f"value {k} was {first[k]!r}, is {second[k]!r}"
    return ""


def _tag_difference(one: RunFolder, two: RunFolder, row: int) -> str:
    names = [one.tag_names, two.tag_names]
    for name in dict.fromkeys([*names[0], *names[1]]):
        entries = [
            run.tag_entries(name, row) if name in known else []
            for run, known in zip((one, two), names, strict=True)
        ]
        sums = [[(e["fields"], e["cited"]["crc"]) for e in found] for found in entries]
        if sums[0] == sums[1]:
            continue
        if not all(entries):
            return f"tags {name!r}: recorded {len(sums[0])} batches, repeated {len(sums[1])}"
        if difference := _column_difference(one.tags(name, row), two.tags(name, row)):
            return f"tags {name!r}: {difference}"
    return ""


def _column_difference(one: Mapping[str, Any], two: Mapping[str, Any]) -> str:
    if one.keys() != two.keys():
        return f"columns differ: recorded {sorted(one)}, repeated {sorted(two)}"
    for column, values in one.items():
        if difference := _array_difference(values, two[column]):
            return f"{column!r}: {difference}"
    return ""


def require_identical(comparison: Comparison) -> None:
    """Raise ReplayMismatch with the first difference, if there is one."""
    if not comparison.identical:
        raise ReplayMismatch(f"replay ({comparison.mode}) differs: {comparison.difference}")
