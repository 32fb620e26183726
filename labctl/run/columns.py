"""Columns of run data: from Python values to typed Arrow columns and NumPy arrays, losslessly."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.jsonline import from_json, to_json

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray


class _Absent:
    """The value of a column in a row that does not have that column."""

    def __repr__(self) -> str:
        return "ABSENT"


ABSENT = _Absent()

#: Arrow types by kind of column. "json" holds what is mixed: one JSON text per value.
KINDS = ("float", "int", "bool", "text", "none", "json")
_EXACT = 2**53  #: integers up to here are exact as float64


def kind_of(values: Iterable[Any]) -> tuple[str, bool]:
    """Return the kind of a column and whether its gaps mean "not in this row" (else: None)."""
    types = set(map(type, values))
    absent, none = _Absent in types, type(None) in types
    types -= {_Absent, type(None)}
    if absent and none:
        return "json", True
    if not types:
        return "none", absent
    if len(types) > 1:
        return "json", absent
    (only,) = types
    name = {float: "float", int: "int", bool: "bool", str: "text"}.get(only, "json")
    if name == "int" and not _fits(values):
        name = "json"
    if name == "text" and not all(_unicode(v) for v in values if v.__class__ is str):
        name = "json"
    return name, absent


def arrow_type(kind: str) -> pa.DataType:
    """Return the Arrow type that holds a kind of column."""
    import pyarrow as pa

    return {
        "float": pa.float64(),
        "int": pa.int64(),
        "bool": pa.bool_(),
        "text": pa.large_string(),
        "none": pa.null(),
        "json": pa.large_string(),
    }[kind]


def to_arrow(values: Sequence[Any], kind: str) -> pa.Array:
    """Return values as an Arrow column of this kind; a gap is null, NaN stays NaN."""
    import pyarrow as pa

    if kind == "json":
        values = [None if v is ABSENT else to_json(v).decode() for v in values]
    else:
        values = [None if v is ABSENT else v for v in values]
    return pa.array(values, type=arrow_type(kind), from_pandas=False)


def from_arrow(column: pa.Array, kind: str, absent: bool) -> list[Any]:
    """Undo `to_arrow`: the very values, with `ABSENT` where the row lacks the column."""
    values: list[Any] = column.to_pylist()
    gap = ABSENT if absent else None
    if kind == "json":
        return [gap if v is None else from_json(v.encode()) for v in values]
    return [ABSENT if v is None else v for v in values] if absent and column.null_count else values


def as_array(values: Sequence[Any]) -> NDArray[Any]:
    """Return values as one array: float64, int64 or bool if that is exact, else objects.

    Gaps among numbers become NaN; other gaps stay None.
    """
    values = [None if v is ABSENT else v for v in values]
    types = set(map(type, values))
    if types <= {float, type(None)} and (float in types or not types):
        return np.array(values, dtype=np.float64)
    if types == {bool}:
        return np.array(values, dtype=bool)
    if types == {int} and _fits(values):
        return np.array(values, dtype=np.int64)
    whole = (v for v in values if v.__class__ is int)
    if types <= {float, int, type(None)} and all(-_EXACT <= v <= _EXACT for v in whole):
        return np.array(values, dtype=np.float64)
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def arrow_as_array(column: pa.Array, kind: str, absent: bool) -> NDArray[Any]:
    """Return `as_array` of an Arrow column, without a copy where possible."""
    if kind == "float" or (kind in ("int", "bool") and not column.null_count):
        # A copy only where there are gaps (NaN) or single bits (bool).
        return column.to_numpy(zero_copy_only=False)  # type: ignore[no-any-return]
    return as_array(from_arrow(column, kind, absent))


def _fits(values: Iterable[Any]) -> bool:
    return all(-(2**63) <= v < 2**63 for v in values if v.__class__ is int)


def _unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
