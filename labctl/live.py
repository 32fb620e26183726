"""What to draw while a run goes on: panels over columns, from the rows recorded so far.

A procedure declares panels (`LabProcedure.LIVE`); `labctl plot` draws them of a run that is not
analysed yet, and a window may draw the same panels again as rows come.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from labctl.units import unit_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Columns = Mapping[str, np.ndarray]
#: The array that the last row recorded in a column.
Arrays = Callable[[str], np.ndarray]
Numbers = NDArray[np.float64]

#: The colours of Okabe and Ito, which stay apart for colour-blind eyes.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9")
GREY = "#BDBDBD"
_MARKERS = "osD^vP"


@dataclass(frozen=True)
class Curve:
    """Points with error bars: one column over another.

    Args:
        title: what is shown.
        x, y, error: columns; without `error`, or in runs that lack it, there are no error bars.
        by: a column that tells apart several curves, named after its values.
        only: draw the rows in which `by` has one of these values; by default all.
        where: a column and a text: draw no rows in which it has another.
        decibel: draw 10 log10 of y.
        latest: of several rows at one x the last counts, as of a value that all rows so far make
            better.
        levels: values on the y axis that are marked, for example a limit.
        log_x, log_y: logarithmic axes, at first.
    """

    title: str
    x: str
    y: str
    error: str = ""
    by: str = ""
    only: tuple[Any, ...] = ()
    where: tuple[str, ...] = ()
    decibel: bool = False
    latest: bool = False
    levels: tuple[float, ...] = ()
    log_x: bool = False
    log_y: bool = False

    @property
    def value_column(self) -> str:
        """The column that is shown."""
        return self.y

    @property
    def y_label(self) -> str:
        return f"{self.y} (dB)" if self.decibel else self.y

    def series(self, columns: Columns) -> dict[str, tuple[Numbers, Numbers, Numbers]]:
        """x, y and standard error of y (0 where unknown) by name of the curve, in order of x."""
        if not _known(columns, self.x, self.y, self.by):
            return {}
        x, y = _floats(columns[self.x]), _floats(columns[self.y])
        error = _floats(columns[self.error]) if self.error in columns else np.zeros(len(y))
        if self.decibel:
            with np.errstate(divide="ignore", invalid="ignore"):
                y, error = 10.0 * np.log10(y), 10.0 / np.log(10.0) * error / y
        there = np.isfinite(x) & np.isfinite(y)
        if self.where:
            column, text = self.where
            there &= np.asarray(columns.get(column, np.full(len(y), text))) == text
        kinds = np.asarray(columns[self.by]) if self.by else np.full(len(y), "")
        names = self.only or tuple(dict.fromkeys(kinds[there].tolist()))
        found = {}
        for name in names:
            rows = np.flatnonzero(there & (kinds == name))
            rows = rows[np.argsort(x[rows], kind="stable")]
            if self.latest:
                rows = rows[last_of_each(x[rows])]
            if len(rows):
                found[str(name)] = (x[rows], y[rows], np.nan_to_num(error[rows]))
        return found


@dataclass(frozen=True)
class HeatMap:
    """A column as colour over two others; what is not measured yet stays hatched.

    Args:
        title: what is shown.
        x, y, value: columns; of several rows at one place the last counts.
        x_labels, y_labels: names of the places 0, 1, 2, ... if x and y are such numbers; then the
            map has its whole size from the first row on. By default the values that occur.
        symmetric: what is measured at (x, y) belongs to (y, x), too.
        label: what the colour means, with its unit; by default `value`.
        signed: the colours lie symmetrically around 0.
        bound: the colours end here (0: at the largest value).
    """

    title: str
    x: str
    y: str
    value: str
    x_labels: tuple[str, ...] = ()
    y_labels: tuple[str, ...] = ()
    symmetric: bool = False
    label: str = ""
    signed: bool = False
    bound: float = 0.0

    @property
    def value_column(self) -> str:
        """The column that is shown."""
        return self.value

    def grid(self, columns: Columns) -> tuple[Numbers, Numbers, Numbers]:
        """Places along x and along y, and values[y, x] with NaN where nothing was measured."""
        wide, high = (np.arange(float(len(names))) for names in (self.x_labels, self.y_labels))
        if not _known(columns, self.x, self.y, self.value):
            return wide, high, np.full((len(high), len(wide)), np.nan)
        x, y, value = (_floats(columns[name]) for name in (self.x, self.y, self.value))
        if self.symmetric:  # row by row, so that the last one counts on both sides
            x, y, value = (
                np.stack([x, y], axis=1).ravel(), np.stack([y, x], axis=1).ravel(),
                np.repeat(value, 2),
            )  # fmt: skip
        there = np.isfinite(x) & np.isfinite(y) & np.isfinite(value)
        wide = wide if self.x_labels else np.unique(x[there])
        high = high if self.y_labels else np.unique(y[there])
        there &= np.isin(x, wide) & np.isin(y, high)
        values = np.full((len(high), len(wide)), np.nan)
        for row in np.flatnonzero(there).tolist():
            values[np.searchsorted(high, y[row]), np.searchsorted(wide, x[row])] = value[row]
        return wide, high, values

    def limits(self, values: Numbers) -> tuple[float, float]:
        """The values at both ends of the colours."""
        known = values[np.isfinite(values)]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        if self.signed:
            high = self.bound or max(abs(low), abs(high)) or 1.0
            low = -high
        return low, high if high > low else low + 1.0


@dataclass(frozen=True)
class Trace:
    """The array that the last row recorded in a column.

    Args:
        title: what is shown.
        column: an array column.
        x: another one, over which it is drawn; by default the number of the sample.
        floor: what lies below is drawn there, as an instrument's number for nothing at all.
    """

    title: str
    column: str
    x: str = ""
    floor: float | None = None

    @property
    def value_column(self) -> str:
        """The column that is shown."""
        return self.column

    def line(self, values: np.ndarray) -> Numbers:
        """The array as one curve: of several dimensions the last row, of complex ones the size."""
        line = one_line(values)
        return line if self.floor is None else np.maximum(line, self.floor)


Panel = Curve | HeatMap | Trace


def last_of_each(x: Numbers) -> NDArray[np.bool_]:
    """Which values are the last of those equal to them, in order."""
    return np.append(x[1:] != x[:-1], np.ones(min(1, len(x)), dtype=bool))


def figure(
    panels: Sequence[Panel], columns: Columns, title: str, arrays: Arrays | None = None
) -> Figure:
    """All panels in one figure, laid out without overlaps."""
    from matplotlib.figure import Figure

    across = len(panels) if len(panels) < 4 else 2
    down = -(-len(panels) // across)
    shapes = [
        max(7.6 if isinstance(panel, HeatMap) else 6.4 for panel in panels[place::across])
        for place in range(across)
    ]
    drawn = Figure(figsize=(sum(shapes), 6.4 if down == 1 else 4.4 * down), layout="constrained")
    drawn.suptitle(title, fontsize=12)
    places = drawn.subplots(down, across, squeeze=False, width_ratios=shapes).ravel()
    for axes, panel in zip(places[: len(panels)], panels, strict=True):
        draw(panel, axes, columns, arrays)
    for axes in places[len(panels) :]:
        axes.set_axis_off()
    return drawn


def draw(panel: Panel, axes: Axes, columns: Columns, arrays: Arrays | None = None) -> None:
    """Draw one panel into empty axes of matplotlib."""
    axes.set_title(panel.title, fontsize=11)
    if isinstance(panel, HeatMap):
        _draw_map(panel, axes, columns)
        return
    if isinstance(panel, Trace):
        _draw_trace(panel, axes, arrays)
        return
    for number, (name, (x, y, error)) in enumerate(panel.series(columns).items()):
        axes.errorbar(
            x, y, yerr=error if error.any() else None, fmt=_MARKERS[number % len(_MARKERS)],
            color=PALETTE[number % len(PALETTE)], markersize=4, capsize=2, linewidth=1,
            label=name or None,
        )  # fmt: skip
    for level in panel.levels:
        axes.axhline(level, color="0.35", linewidth=1, linestyle=":")
    if axes.has_data():
        axes.set_xscale("log" if panel.log_x else "linear")
        axes.set_yscale("log" if panel.log_y else "linear")
    axes.set(xlabel=unit_text(panel.x), ylabel=unit_text(panel.y_label))
    axes.grid(linewidth=0.4, alpha=0.6)
    if axes.get_legend_handles_labels()[1]:
        axes.legend(fontsize=9, framealpha=1)


def _draw_trace(panel: Trace, axes: Axes, arrays: Arrays | None) -> None:
    axes.set(xlabel=unit_text(panel.x) or "sample", ylabel=unit_text(panel.column))
    axes.grid(linewidth=0.4, alpha=0.6)
    if arrays is None:
        return
    y = panel.line(arrays(panel.column))
    x = one_line(arrays(panel.x)) if panel.x else np.arange(float(len(y)))
    if len(x) == len(y):
        axes.plot(x, y, color=PALETTE[0], linewidth=1)


def one_line(values: np.ndarray) -> Numbers:
    """An array of one dimension and of real numbers."""
    values = np.atleast_1d(np.asarray(values))
    while values.ndim > 1:
        values = values[-1]
    return np.abs(values) if np.iscomplexobj(values) else values.astype(float)


def _draw_map(panel: HeatMap, axes: Axes, columns: Columns) -> None:
    from matplotlib import colormaps

    wide, high, values = panel.grid(columns)
    low, top = panel.limits(values)
    colours = colormaps["RdBu_r" if panel.signed else "viridis"].with_extremes(bad=(0, 0, 0, 0))
    axes.patch.set(facecolor="0.93", edgecolor="0.75", hatch="////")
    if values.size:
        image = axes.imshow(
            np.ma.masked_invalid(values), cmap=colours, vmin=low, vmax=top, origin="lower",
            interpolation="nearest", aspect="auto" if len(wide) != len(high) else "equal",
        )  # fmt: skip
        missing = int(np.isnan(values).sum())
        bar = axes.figure.colorbar(image, ax=axes, shrink=0.8)
        bar.set_label(
            unit_text(panel.label or panel.value) + (";  hatched: not measured" * (missing > 0))
        )
    for names, numbers, axis in (
        (panel.x_labels, wide, axes.xaxis), (panel.y_labels, high, axes.yaxis)
    ):  # fmt: skip
        texts = names or tuple(f"{number:g}" for number in numbers)
        every = max(1, -(-len(texts) // 16))
        places = range(0, len(texts), every)
        axis.set_ticks(list(places), [texts[place] for place in places], fontsize=8)
    axes.tick_params(axis="x", rotation=90 if panel.x_labels else 0)
    axes.set(xlabel=unit_text(panel.x), ylabel=unit_text(panel.y))


def _known(columns: Columns, *names: str) -> bool:
    """Whether all these columns are there; before the first row none is."""
    return all(name in columns for name in names if name)


def _floats(values: np.ndarray) -> Numbers:
    """A column as numbers; what is none becomes NaN."""
    if values.dtype != object:
        return np.asarray(values, dtype=float)
    return np.array(
        [v if isinstance(v, int | float) and not isinstance(v, bool) else np.nan for v in values],
        dtype=float,
    )
