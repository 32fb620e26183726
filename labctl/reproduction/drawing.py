"""Pictures of the report: the procedures' own figures, and ours beside theirs in the same axes."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from labctl.live import PALETTE
from labctl.reproduction.comparing import Ours
from labctl.reproduction.measured import points
from labctl.reproduction.papers import PlotSpec, RowSpec
from labctl.run.folder import RunFolder

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, RED, *_ = PALETTE
OURS, PRINTED, FOLLOWS = (BLUE, "o"), (ORANGE, "s"), (GREEN, "D")
#: A figure that is larger as SVG than this is embedded as PNG if that is smaller.
SMALL = 60_000
RESOLUTION = 130  # dots per inch of PNG
#: Values that span more than this are drawn on a logarithmic scale.
WIDE = 30.0


@dataclass(frozen=True)
class Picture:
    """One figure, ready to be embedded."""

    name: str
    url: str  #: data:
    width: int  #: CSS pixels
    height: int


def picture(name: str, figure: Figure) -> Picture:
    """A figure as data URL, in the smaller of both formats."""
    import matplotlib as mpl

    vector = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "labctl", "svg.fonttype": "path"}):
        figure.savefig(vector, format="svg", metadata={"Date": None})
    kind, data = "svg+xml", vector.getvalue()
    if len(data) > SMALL:
        raster = io.BytesIO()
        figure.savefig(raster, format="png", dpi=RESOLUTION)
        if len(raster.getvalue()) < len(data):
            kind, data = "png", raster.getvalue()
    width, height = (round(96 * inch) for inch in figure.get_size_inches())
    return Picture(
        name, f"data:image/{kind};base64,{base64.b64encode(data).decode()}", width, height
    )  # fmt: skip


def plot(spec: PlotSpec, folder: RunFolder) -> Figure:
    """Our points with error bars, and the printed ones, as a description asks.

    Raises:
        Absent: the run does not hold the points.
    """
    figure = _new_figure(7.0, 4.4)
    axes = figure.add_subplot()
    colours = (BLUE, RED, GREEN, *PALETTE[4:])
    place = 0
    for series in spec.series:
        if isinstance(series.y, str):
            x, y, error = points(folder, series)
            style: dict[str, Any] = {"color": colours[place % len(colours)], "label": series.label}
            if series.line:
                axes.plot(x, y, linewidth=1.3, **style)
            else:
                axes.errorbar(x, y, error, fmt="osD^vP"[place % 6], markersize=4.5, capsize=2,
                              linewidth=1, **style)  # fmt: skip
            place += 1
        else:
            _printed_points(axes, np.asarray(series.x), series.y, series.label)
    axes.set(xlabel=spec.x, ylabel=spec.y)  # its title is the caption
    if spec.log:
        axes.set_yscale("log")
    axes.legend(fontsize=9)
    axes.grid(linewidth=0.4, alpha=0.6)
    return figure


def _printed_points(axes: Axes, x: Any, printed: Sequence[Any], label: str) -> None:
    colour, marker = PRINTED
    errors = np.array([one.error or 0.0 for one in printed])
    axes.errorbar(
        x, [one.value for one in printed], errors if errors.any() else None, fmt=marker,
        markersize=7, markerfacecolor="none", markeredgewidth=1.6, color=colour, capsize=4,
        linewidth=1.4, label=label, zorder=5,
    )  # fmt: skip


def rows(table: Iterable[tuple[RowSpec, Ours]]) -> list[tuple[str, Figure]]:
    """For each group and unit with two or more rows that have both values: ours and theirs."""
    groups: dict[tuple[str, str], list[tuple[RowSpec, Ours]]] = {}
    for row, found in table:
        numeric = row.printed is not None and row.printed.kind == "value"
        if numeric and row.comparable and found.known:
            groups.setdefault((row.group, row.unit), []).append((row, found))
    return [
        (
            f"ours and theirs: {_quantity(*group)}".removesuffix(": "),
            _dots(_quantity(*group), lines),
        )
        for group, lines in groups.items()
        if len(lines) > 1
    ]


def _quantity(group: str, unit: str) -> str:
    return f"{group} ({unit})" if group and unit else group or unit


def _dots(quantity: str, lines: list[tuple[RowSpec, Ours]]) -> Figure:
    figure = _new_figure(7.4, 1.3 + 0.34 * len(lines))
    axes = figure.add_subplot()
    places = np.arange(len(lines))[::-1]
    values = [found.value or 0.0 for _, found in lines]
    _errorbar(axes, values, places + 0.13, [found.error for _, found in lines], OURS, "here")
    printed = [row.printed for row, _ in lines]
    values += [one.value for one in printed if one]
    _errorbar(
        axes, [one.value for one in printed if one], places - 0.13,
        [one.error for one in printed if one], PRINTED, "publication",
    )  # fmt: skip
    own = [(p, row.follows) for p, (row, _) in zip(places, lines, strict=True) if row.follows]
    if own:
        _errorbar(
            axes, [one.value for _, one in own], np.array([p for p, _ in own]) - 0.3,
            [one.error for _, one in own], FOLLOWS, "follows from the publication",
        )  # fmt: skip
    axes.set_yticks(places, [_plain(row.name) for row, _ in lines], fontsize=9)
    axes.set_ylim(-0.7, len(lines) - 0.3)
    if min(values) > 0 and max(values) > WIDE * min(values):
        axes.set_xscale("log")
    axes.margins(x=0.08)
    axes.set_xlabel(_plain(quantity) or "value")
    axes.grid(axis="x", linewidth=0.4, alpha=0.6)
    figure.legend(loc="outside upper center", ncols=3, fontsize=9, frameon=False)
    return figure


def _errorbar(
    axes: Axes, x: Sequence[float], y: Any, errors: Sequence[float | None],
    look: tuple[str, str], label: str,
) -> None:  # fmt: skip
    (colour, marker), ours = look, look is OURS
    hollow: dict[str, Any] = (
        {} if look is OURS else {"markerfacecolor": "none", "markeredgewidth": 1.4}
    )
    bars = np.array([one if one is not None and np.isfinite(one) else 0.0 for one in errors])
    axes.errorbar(x, y, xerr=bars if bars.any() else None, fmt=marker, color=colour, markersize=5,
                  capsize=2.5, linewidth=1.2, label=label, **({} if ours else hollow))  # fmt: skip


def _plain(text: str) -> str:
    """Text that matplotlib takes as it is, not as mathematics."""
    return text.replace("$", r"\$")


def _new_figure(width: float, height: float) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")
