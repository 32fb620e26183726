"""The diagram of a bench: instruments with their lamps, parts, and what runs between them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import (
    QBrush,
    QColor,
    QFontMetricsF,
    QPainter,
    QPainterPath,
    QPen,
    QPolygonF,
    QResizeEvent,
)
from qtpy.QtWidgets import (
    QGraphicsRectItem,
    QGraphicsScene,
    QGraphicsSimpleTextItem,
    QGraphicsView,
)

from labctl.benchfile import BenchFile
from labctl.gui.theme import Theme, font
from labctl.viewing.diagram import Plan, Way, plan

#: Sizes in pixels of a diagram that is neither shrunk nor enlarged.
HEIGHT, ROW, LAMP, MARGIN, LEAST_GAP = 40.0, 56.0, 16.0, 7.0, 28.0
#: It is shrunk and enlarged so far; what does not fit then is scrolled.
SMALLEST, LARGEST = 0.72, 1.5
#: Texts longer than this are broken into two lines.
LONG_NAME, LONG_LABEL = 11, 9
NAME, LABEL = 10, 9  # points
SIGNS = {"good": "●", "bad": "▲", "busy": "■"}


class _Box(QGraphicsRectItem):
    """An instrument or a part."""

    def __init__(self, name: str, rect: QRectF) -> None:
        super().__init__(rect)
        self.name = name


class DiagramView(QGraphicsView):
    """What is connected to what. A click on an instrument chooses it."""

    chosen = Signal(str)

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.lamps: dict[str, QGraphicsSimpleTextItem] = {}
        self._file: BenchFile | None = None
        self._states: Mapping[str, str] = {}
        self._labels: list[QRectF] = []
        self._scene = QGraphicsScene(self)
        self.setScene(self._scene)
        self.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.setAccessibleName("diagram of the bench")
        self.setMinimumHeight(120)
        self.restyle(theme)

    def restyle(self, theme: Theme) -> None:
        """Take other colours."""
        self.theme = theme
        self.setBackgroundBrush(QColor(theme.panel))
        if self._file is not None:
            self.show_bench(self._file)

    def show_bench(self, file: BenchFile | None) -> None:
        """Draw the instruments and connections of a bench file; None: nothing."""
        self._file = file
        self._scene.clear()
        self.lamps, self._labels = {}, []
        if file is None:
            return
        laid = plan(list(file.instruments), file.connections)
        named = _named(laid)
        rects = self._rects(file, laid, named)
        ports = _ports(laid, rects)
        for number, way in enumerate(laid.ways):
            if way.cells[0] != way.cells[-1]:
                self._way(
                    way, named[number], rects, (ports[number, "right"], ports[number, "left"])
                )
        for name in laid.parts:
            entry = file.instruments.get(name)
            self._box(name, rects[name], entry is not None, entry.meaning if entry else "")
        self.show_lamps(self._states)
        self._fit()

    def show_lamps(self, states: Mapping[str, str]) -> None:
        """Signs and colours of the lamps: "good", "bad", "busy" or "" for unknown."""
        self._states = states
        theme = self.theme
        colours = {"good": theme.good, "bad": theme.bad, "busy": theme.accent}
        for name, lamp in self.lamps.items():
            state = states.get(name, "")
            lamp.setText(SIGNS.get(state, "○"))
            lamp.setBrush(QColor(colours.get(state, theme.dim)))

    # Where everything is

    def _rects(self, file: BenchFile, laid: Plan, named: Sequence[int]) -> dict[str, QRectF]:
        """Each column is as wide as its names, each gap as wide as its labels."""
        metrics, small = QFontMetricsF(font(NAME, bold=True)), QFontMetricsF(font(LABEL))
        count = 1 + max((column for column, _ in laid.cells.values()), default=0)
        widths, gaps = [0.0] * count, [LEAST_GAP] * count
        for name in laid.parts:
            column = laid.cells[name][0]
            width = _width(metrics, _broken(name, LONG_NAME)) + 2 * MARGIN
            width += LAMP if name in file.instruments else 0.0
            widths[column] = max(widths[column], width)
        for way, gap in zip(laid.ways, named, strict=True):
            column = laid.cells[way.cells[gap]][0]
            width = _width(small, _broken(way.connection.what, LONG_LABEL)) + LEAST_GAP
            gaps[column] = max(gaps[column], width)
        left = [0.0]
        for box, space in zip(widths, gaps, strict=True):
            left.append(left[-1] + box + space)
        return {
            name: QRectF(left[column], row * ROW, widths[column], HEIGHT)
            for name, (column, row) in laid.cells.items()
        }

    # Drawing

    def _box(self, name: str, rect: QRectF, instrument: bool, meaning: str) -> None:
        theme = self.theme
        box = _Box(name if instrument else "", rect)
        pen = QPen(QColor(theme.text if instrument else theme.dim), 1.5)
        if not instrument:
            pen.setStyle(Qt.PenStyle.DashLine)
        box.setPen(pen)
        box.setBrush(QBrush(QColor(theme.raised if instrument else theme.ground)))
        box.setToolTip(f"{name}: {meaning}" if meaning else name)
        self._scene.addItem(box)
        text = self._text(_broken(name, LONG_NAME), NAME, theme.text, bold=instrument)
        text.setParentItem(box)
        left = rect.x() + MARGIN + (LAMP if instrument else 0.0)
        text.setPos(left, rect.center().y() - text.boundingRect().height() / 2)
        if instrument:
            lamp = self._text("○", NAME, theme.dim)
            lamp.setParentItem(box)
            lamp.setPos(rect.x() + 6, rect.center().y() - lamp.boundingRect().height() / 2)
            self.lamps[name] = lamp

    def _way(
        self, way: Way, named: int, rects: Mapping[str, QRectF], ends: tuple[QPointF, QPointF]
    ) -> None:
        """A curve from part to part, with what it carries in one gap, and an arrow head."""
        theme = self.theme
        here = ends[0]
        path = QPainterPath(here)
        middle = QPointF()
        for gap, name in enumerate(way.cells[1:]):
            last = name == way.cells[-1]
            rect = rects[name]
            there = ends[1] if last else QPointF(rect.left(), rect.center().y())
            reach = (there.x() - here.x()) / 2
            if gap == named:
                middle = (here + there) / 2
            path.cubicTo(here + QPointF(reach, 0), there - QPointF(reach, 0), there)
            here = there if last else QPointF(rect.right(), rect.center().y())
            path.lineTo(here)
        item = self._scene.addPath(path, QPen(QColor(theme.accent), 1.6))
        item.setZValue(-2)
        forward = way.connection.target == way.cells[-1]
        tip = ends[1] if forward else ends[0]
        back = -9.0 if forward else 9.0
        wings = [tip + QPointF(back * math.cos(0.4), side * 9 * math.sin(0.4)) for side in (-1, 1)]
        head = self._scene.addPolygon(
            QPolygonF([tip, *wings]), QPen(QColor(theme.accent), 1), QBrush(QColor(theme.accent))
        )
        head.setZValue(-1)
        if way.connection.what:
            self._label(middle, way.connection.what)

    def _label(self, at: QPointF, what: str) -> None:
        """A text on its line, moved up or down a little where another one stands."""
        text = self._text(_broken(what, LONG_LABEL), LABEL, self.theme.dim)
        size = text.boundingRect()
        rect = QRectF(at.x() - size.width() / 2, at.y() - size.height() / 2,
                      size.width(), size.height())  # fmt: skip
        for shift in (0, -6, 6, -12, 12, -18, 18, -24, 24, -30, 30):
            if not any(rect.translated(0, shift).intersects(other) for other in self._labels):
                rect.translate(0, shift)
                break
        self._labels.append(rect)
        ground = self._scene.addRect(
            rect.adjusted(-2, 0, 2, 0), QPen(Qt.PenStyle.NoPen), QBrush(QColor(self.theme.panel))
        )
        ground.setZValue(-0.5)
        text.setPos(rect.topLeft())
        self._scene.addItem(text)

    def _text(self, text: str, points: float, colour: str, bold: bool = False) -> Any:
        item = QGraphicsSimpleTextItem(text)
        item.setFont(font(points, bold=bold))
        item.setBrush(QColor(colour))
        return item

    # What the user does

    def mousePressEvent(self, event: object) -> None:
        item = self.itemAt(event.position().toPoint())  # type: ignore[attr-defined]
        while item is not None:
            if isinstance(item, _Box) and item.name:
                self.chosen.emit(item.name)
            item = item.parentItem()

    def resizeEvent(self, event: QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        bounds = self._scene.itemsBoundingRect().adjusted(-10, -10, 10, 10)
        self._scene.setSceneRect(bounds)
        if bounds.isEmpty():
            return
        room = self.maximumViewportSize()
        scale = min(room.width() / bounds.width(), room.height() / bounds.height())
        scale = min(LARGEST, max(SMALLEST, scale))
        self.resetTransform()
        self.scale(scale, scale)


def _named(laid: Plan) -> list[int]:
    """In which gap on its way each connection is named: where fewest others are."""
    names: dict[int, int] = {}
    found = [0] * len(laid.ways)
    for number, way in sorted(enumerate(laid.ways), key=lambda one: len(one[1].cells)):
        first = laid.cells[way.cells[0]][0]
        gaps = range(first, first + max(1, len(way.cells) - 1))
        best = min(gaps, key=lambda gap: names.get(gap, 0))
        names[best] = names.get(best, 0) + 1
        found[number] = best - first
    return found


def _ports(laid: Plan, rects: Mapping[str, QRectF]) -> dict[tuple[int, str], QPointF]:
    """Where each connection leaves its left part ("right") and enters its right one ("left").

    Those of one side stand apart, in the order in which they go on.
    """
    sides: dict[tuple[str, str], list[tuple[float, int]]] = {}
    for number, way in enumerate(laid.ways):
        follows, comes = rects[way.cells[1]], rects[way.cells[-2]]
        sides.setdefault((way.cells[0], "right"), []).append((follows.center().y(), number))
        sides.setdefault((way.cells[-1], "left"), []).append((comes.center().y(), number))
    found = {}
    for (name, side), lines in sides.items():
        rect = rects[name]
        step = min(10.0, (HEIGHT - 8) / max(1, len(lines) - 1))
        for i, (_, number) in enumerate(sorted(lines)):
            y = rect.center().y() + step * (i - (len(lines) - 1) / 2)
            found[number, side] = QPointF(rect.right() if side == "right" else rect.left(), y)
    return found


def _broken(text: str, most: int) -> str:
    """In two lines, if it is long and has a gap; the break is the one nearest to the middle."""
    gaps = [i for i, letter in enumerate(text) if letter in " _" and 2 < i < len(text) - 3]
    if len(text) <= most or not gaps:
        return text
    at = min(gaps, key=lambda i: abs(i - len(text) / 2))
    return f"{text[: at + 1].rstrip()}\n{text[at + 1 :]}"


def _width(metrics: QFontMetricsF, text: str) -> float:
    return max(metrics.horizontalAdvance(one) for one in text.split("\n"))
