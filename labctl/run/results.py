"""Results: the procedure's analysis of recorded data, and its place in the run folder."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from labctl.procedure import LabProcedure, RunData
from labctl.run.folder import RunFolder
from labctl.run.tags import Tags


def run_data(procedure: Any, folder: RunFolder) -> RunData:
    """The recorded run as arrays, rows sorted by point index."""
    columns = folder.columns()
    order = np.argsort(columns["index"], kind="stable") if "index" in columns else None
    if order is not None:
        columns = {name: values[order] for name, values in columns.items()}

    def read_trace(column: str, row: int) -> np.ndarray:
        return folder.trace(column, int(order[row]) if order is not None else row)

    results = {
        name: (result["value"], result["uncertainty"], result["unit"])
        for name, result in folder.result.items()
    }

    def read_tags(name: str, row: int | None) -> Iterator[Tags]:
        recorded = int(order[row]) if order is not None and row is not None else row
        return folder.tag_batches(name, recorded)

    return RunData(
        columns, procedure.parameter_values(), results, folder.derived(), read_trace,
        {name: folder.tag_fields(name) for name in folder.tag_names}, read_tags,
    )  # fmt: skip


def analyse(procedure: Any, folder: RunFolder) -> dict[str, Any]:
    """Run the procedure's analysis on the recorded data and record what it finds."""
    if not isinstance(procedure, LabProcedure):
        return {}
    units = {result.name: result.unit for result in procedure.result_list()}
    results: dict[str, Any] = {}
    for name, value in procedure.analyse(run_data(procedure, folder)).items():
        if isinstance(value, np.ndarray) and value.ndim:
            folder.save_derived(name, value)
        else:
            results[name] = _result(value, units.get(name, ""))
    folder.results(results)
    return results


def _result(value: Any, unit: str) -> dict[str, Any]:
    pair = value if isinstance(value, tuple) else (value, None)
    plain = [v.item() if isinstance(v, np.generic | np.ndarray) else v for v in pair]
    return {"value": plain[0], "uncertainty": plain[1], "unit": unit}
