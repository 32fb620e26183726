"""Numbers of ours, taken out of a run as a description says."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labctl.errors import LabError
from labctl.reproduction.comparing import Ours
from labctl.reproduction.papers import RowSpec, Series
from labctl.run.folder import RunFolder

_SLICE = re.compile(r"(.+?)(?:\[(?:(\d+)|:,\s*(\d+)|(\d+),\s*:)\])?")


class Absent(LabError):
    """A run does not hold what a description asks for; the message names it."""


def ours(folder: RunFolder, row: RowSpec) -> Ours:
    """The value of a row in its unit; unknown if the run found none.

    Raises:
        Absent: the run has no such result, column or element.
    """
    source = row.source
    value, error = {"result": _result, "array": _element, "column": _column}[source.kind](
        folder, row
    )
    if value is None:
        return Ours(None)
    return Ours(
        float(value) * row.scale, None if error is None else abs(float(error) * row.scale)
    )  # fmt: skip


def _result(folder: RunFolder, row: RowSpec) -> tuple[Any, Any]:
    found = folder.result.get(row.source.name)
    if found is None:
        raise Absent(f"the run has no result {row.source.name!r}")
    value, error = found["value"], found["uncertainty"]
    if not isinstance(value, int | float):
        return None, None
    return value, error if isinstance(error, int | float) and not math.isnan(error) else None


def _element(folder: RunFolder, row: RowSpec) -> tuple[Any, Any]:
    array = _derived(folder, row.source.name)
    found = []
    for place in (row.source.at, row.source.error_at):
        try:
            found.append(float(array[place]) if place else None)
        except (IndexError, TypeError):
            where = ", ".join(map(str, place))
            raise Absent(f"array {row.source.name!r} has no element [{where}]") from None
    return found[0], found[1]


def _column(folder: RunFolder, row: RowSpec) -> tuple[Any, Any]:
    values = _floats(_named(folder, row.source.name))
    values = values[np.isfinite(values)]
    if not len(values):
        return None, None
    take, count = row.source.take, len(values)
    if take in ("first", "last"):
        return values[0 if take == "first" else -1], None
    if take in ("min", "max"):
        return (values.min() if take == "min" else values.max()), None
    if count < 2:
        return (values[0] if take == "mean" else None), None
    spread = float(values.std(ddof=1))
    if take == "mean":
        return float(values.mean()), spread / math.sqrt(count)
    return spread, spread / math.sqrt(2.0 * (count - 1))


def points(
    folder: RunFolder, series: Series
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64] | None]:
    """x, y and error of a series of ours, in order of x.

    Raises:
        Absent: the run has no such array or column.
    """
    assert isinstance(series.x, str)
    assert isinstance(series.y, str)
    x, y = _sliced(folder, series.x), _sliced(folder, series.y)
    error = _sliced(folder, series.error) if series.error else None
    if x.shape != y.shape or x.ndim != 1 or (error is not None and error.shape != y.shape):
        raise Absent(f"{series.x!r} and {series.y!r} are not lists of one length")
    use = np.isfinite(x) & np.isfinite(y)
    for column, value in series.only.items():
        use &= np.asarray([one == value for one in _named(folder, column)])
    order = np.flatnonzero(use)[np.argsort(x[use], kind="stable")]
    scaled = None if error is None else np.abs(error[order] * series.y_scale)
    return x[order] * series.x_scale, y[order] * series.y_scale, scaled


def _sliced(folder: RunFolder, text: str) -> NDArray[np.float64]:
    match = _SLICE.fullmatch(text)
    assert match is not None
    name, row, column, line = match.groups()
    array = _floats(_named(folder, name))
    try:
        if column is not None:
            return array[:, int(column)]
        index = row if row is not None else line
        return array[int(index)] if index is not None else array
    except IndexError:
        raise Absent(f"array {name!r} has no {text!r}") from None


def _named(folder: RunFolder, name: str) -> NDArray[Any]:
    if name in folder.derived_names:
        return folder.derived_array(name)
    columns = folder.columns()
    if name not in columns:
        raise Absent(f"the run has no array or column {name!r}")
    return columns[name]


def _derived(folder: RunFolder, name: str) -> NDArray[Any]:
    if name not in folder.derived_names:
        raise Absent(f"the run has no array {name!r}")
    return folder.derived_array(name)


def _floats(values: NDArray[Any]) -> NDArray[np.float64]:
    if values.dtype == object:
        return np.array([math.nan if v is None else float(v) for v in values])
    return np.asarray(values, dtype=np.float64)
