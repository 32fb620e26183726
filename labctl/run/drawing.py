"""The figures of a run: its procedure's own once it is analysed, before that the rows so far."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from labctl.errors import RequestError
from labctl.run import request
from labctl.run.folder import RunFolder
from labctl.run.results import run_data


def figures(folder: RunFolder, *, apart: bool = False) -> dict[str, Any]:
    """Matplotlib figures by name, the most important first; none if the procedure has none.

    Args:
        folder: a run with rows.
        apart: of a run that is not analysed yet, draw each panel as a figure of its own.

    Raises:
        RequestError: it is not analysed yet, and has no panels to draw before that.
    """
    import matplotlib as mpl

    mpl.use("agg")
    procedure, _ = request.rebuild(folder.start)
    draw = getattr(procedure, "figures", None)
    data = run_data(procedure, folder)
    try:
        return dict(draw(data)) if draw else {}
    except KeyError as error:  # most figures show what the analysis has found
        if folder.result:
            raise
        of = f" of {folder.start['points']}" if folder.start["points"] else ""
        status = f"{folder.status}, {len(folder.rows)}{of} rows"
        panels = request.panels(folder.start, procedure)
        if not panels:
            raise RequestError(
                f"{folder.path}: {status}, not analysed yet (no {error}); "
                "finish it with labctl resume first"
            ) from None
        from labctl import live

        def last(column: str) -> Any:
            for row in range(len(data) - 1, -1, -1):
                with contextlib.suppress(RequestError):  # not every row has every array
                    if (found := data.trace(column, row)).size:
                        return found
            return np.empty(0)

        if apart:
            return {one.title: live.figure([one], data.columns, status, last) for one in panels}
        title = f"{folder.path.name}: {status}, not analysed yet"
        return {"so far": live.figure(panels, data.columns, title, last)}
