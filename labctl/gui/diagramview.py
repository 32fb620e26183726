"""The diagram of a bench: instruments with their lamps, parts, and what runs between them."""

from __future__ import annotations

import math
from collections.abc import Mapping

from qtpy.QtCore import QPointF, QRectF, Qt, Signal
from qtpy.QtGui import QBrush, QColor, QPainter, QPainterPath, QPen, QPolygonF, QResizeEvent
from qtpy.QtWidgets import (
    QGraphicsPathItem,
    QGraphicsRectItem,
    QGraphicsScene,
    QGraphicsSimpleTextItem,
    QGraphicsView,
)

from labctl.benchfile import BenchFile
from labctl.gui.diagram import places
from labctl.gui.theme import Theme, font

WIDTH, HEIGHT, GAP_X, GAP_Y = 150.0, 46.0, 110.0, 34.0


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
        self.lamps: dict[str, QGraphicsRectItem] = {}
        self._scene = QGraphicsScene(self)
        self.setScene(self._scene)
        self.setRenderHint(QPainter.RenderHint.Antialiasing)
        self.setBackgroundBrush(QColor(theme.panel))
        self.setAccessibleName("diagram of the bench")

    def show_bench(self, file: BenchFile) -> None:
        """Draw the instruments and connections of a bench file."""
        self._scene.clear()
        self.lamps = {}
        where = places(list(file.instruments), file.connections)
        rects = {
            name: QRectF(column * (WIDTH + GAP_X), row * (HEIGHT + GAP_Y), WIDTH, HEIGHT)
            for name, (column, row) in where.items()
        }
        for connection in file.connections:
            self._line(rects[connection.source], rects[connection.target], connection.what)
        for name, rect in rects.items():
            entry = file.instruments.get(name)
            self._box(name, rect, entry is not None, entry.meaning if entry else "")
        self._fit()

    def show_lamps(self, states: Mapping[str, str]) -> None:
        """Colour the lamps: "good", "bad", "busy" or "" for unknown."""
        theme = self.theme
        colours = {"good": theme.good, "bad": theme.bad, "busy": theme.accent}
        for name, lamp in self.lamps.items():
            lamp.setBrush(QColor(colours.get(states.get(name, ""), theme.line)))

    def _box(self, name: str, rect: QRectF, instrument: bool, meaning: str) -> None:
        theme = self.theme
        box = _Box(name if instrument else "", rect)
        pen = QPen(QColor(theme.text if instrument else theme.dim), 1.5)
        if not instrument:
            pen.setStyle(Qt.PenStyle.DashLine)
        box.setPen(pen)
        box.setBrush(QBrush(QColor(theme.raised if instrument else theme.ground)))
        box.setToolTip(meaning or name)
        self._scene.addItem(box)
        text = QGraphicsSimpleTextItem(name, box)
        text.setFont(font(11, bold=instrument))
        text.setBrush(QColor(theme.text))
        inside = text.boundingRect()
        if inside.width() > WIDTH - 30:
            text.setScale((WIDTH - 30) / inside.width())
        height = inside.height() * text.scale()
        text.setPos(rect.x() + (24 if instrument else 12), rect.center().y() - height / 2)
        if instrument:
            lamp = QGraphicsRectItem(rect.x() + 8, rect.center().y() - 5, 10, 10, box)
            lamp.setPen(QPen(QColor(theme.dim), 1))
            lamp.setBrush(QColor(theme.line))
            self.lamps[name] = lamp

    def _line(self, source: QRectF, target: QRectF, what: str) -> None:
        """An arrow from border to border, curved, with what it carries in its middle."""
        theme = self.theme
        back = target.left() <= source.left()
        if back:  # a loop: leave and enter below
            start = QPointF(source.center().x(), source.bottom())
            end = QPointF(target.center().x() + 14, target.bottom())
            bow = max(source.bottom(), target.bottom()) + 40
            c1, c2 = QPointF(start.x(), bow), QPointF(end.x(), bow)
        else:
            start = QPointF(source.right(), source.center().y())
            end = QPointF(target.left(), target.center().y())
            reach = max(40.0, (end.x() - start.x()) / 2)
            c1, c2 = start + QPointF(reach, 0), end - QPointF(reach, 0)
        path = QPainterPath(start)
        path.cubicTo(c1, c2, end)
        item = QGraphicsPathItem(path)
        item.setPen(QPen(QColor(theme.accent), 1.6))
        item.setZValue(-2)
        self._scene.addItem(item)
        along = end - c2
        angle = math.atan2(along.y(), along.x())
        wings = [
            end - QPointF(9 * math.cos(angle + turn), 9 * math.sin(angle + turn))
            for turn in (-0.4, 0.4)
        ]
        head = self._scene.addPolygon(QPolygonF([end, *wings]))
        head.setBrush(QColor(theme.accent))
        head.setPen(QPen(QColor(theme.accent), 1))
        head.setZValue(-1)
        if what:
            self._label(path.pointAtPercent(0.5), what)

    def _label(self, at: QPointF, what: str) -> None:
        text = QGraphicsSimpleTextItem(what)
        text.setFont(font(9))
        text.setBrush(QColor(self.theme.dim))
        size = text.boundingRect()
        ground = self._scene.addRect(
            QRectF(at.x() - size.width() / 2 - 2, at.y() - size.height() / 2,
                   size.width() + 4, size.height())
        )  # fmt: skip
        ground.setBrush(QColor(self.theme.panel))
        ground.setPen(QPen(Qt.PenStyle.NoPen))
        ground.setZValue(-0.5)
        text.setPos(at.x() - size.width() / 2, at.y() - size.height() / 2)
        text.setZValue(0)
        self._scene.addItem(text)

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
        self.fitInView(bounds, Qt.AspectRatioMode.KeepAspectRatio)
        if self.transform().m11() > 1.3:  # a small bench needs no giant letters
            self.resetTransform()
            self.scale(1.3, 1.3)
