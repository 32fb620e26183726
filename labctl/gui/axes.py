"""Axes of all plots: their colours, and labels with a unit whose prefix follows the values."""

from __future__ import annotations

import math
from typing import Any

import pyqtgraph as pg

from labctl.gui.theme import Theme
from labctl.units import unit_text
from labctl.viewing.measures import SMALL, base_unit, name_and_unit

#: For which values, in units without a prefix, there is one.
SMALL_ONLY, ANY = ((0.0, 1.0),), ((0.0, float("inf")),)


#: Digits that are written between powers of ten; more would run into each other.
WRITTEN = (1, 2, 5)
#: Pixels that a number needs beside others.
NUMBER = 45


class Axis(pg.AxisItem):
    """An axis whose labels have room, also when it is logarithmic."""

    def logTickStrings(self, values: Any, scale: float, spacing: Any) -> list[str]:
        texts: list[str] = super().logTickStrings(values, scale, spacing)
        if len(values) <= len(WRITTEN):
            return texts
        digits = [round(10.0 ** (value % 1.0), 6) for value in values]
        return [text if digit in WRITTEN or digit == 10 else ""
                for text, digit in zip(texts, digits, strict=True)]  # fmt: skip


class NarrowAxis(pg.AxisItem):
    """A horizontal axis that is hardly wider than its numbers."""

    def tickSpacing(self, least: float, most: float, size: float) -> list[tuple[float, float]]:
        step = (most - least) / max(1.0, size // NUMBER)
        power = 10.0 ** math.floor(math.log10(step)) if step > 0 else 1.0
        return [(power * next(n for n in (1, 2, 5, 10) if n * power >= 0.8 * step), 0.0)]


def label(axis: Any, column: str, *, scaled: bool = True) -> None:
    """Name an axis after a column; if `scaled`, the prefix of its unit follows what is shown."""
    name, unit = name_and_unit(column)
    known = base_unit(unit) if scaled else None
    base, power = known or ("", 0)
    axis.setScale(10.0**power)
    ranges = () if known is None else SMALL_ONLY if base in SMALL else ANY
    axis.setLabel(name if known else unit_text(column), units=base, siPrefixEnableRanges=ranges)
    axis.updateAutoSIPrefix()


def dress(plot: Any, theme: Theme) -> None:
    """Give a plot's axes the colours of a theme."""
    plot.hideButtons()
    for name in ("left", "bottom", "right"):
        axis = plot.getAxis(name)
        axis.setPen(theme.dim)
        axis.setTextPen(theme.text)


def mark(plot: Any, theme: Theme, focus: bool) -> None:
    """Show that a plot has the keyboard's focus: its axes are thick and in another colour."""
    for name in ("left", "bottom"):
        plot.getAxis(name).setPen(theme.accent if focus else theme.dim, width=3 if focus else 1)
