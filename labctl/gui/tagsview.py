"""The time-tag panel: rates, coincidence histogram and g2 of the latest tags, live."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import pyqtgraph as pg
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QSlider,
    QSplitter,
    QVBoxLayout,
    QWidget,
)

from labctl.gui import tables
from labctl.gui.helperlink import HelperLink
from labctl.gui.plotpanel import PlotPanel
from labctl.gui.theme import Theme
from labctl.viewing.feed import Feed
from labctl.viewing.measures import quantity

#: Ends of the sliders, as powers of ten of picoseconds.
WINDOWS, SPANS = (1.5, 6.0), (2.5, 8.0)
STEPS = 200
#: Seconds between two looks at the tags.
LOOK_EVERY = 0.5


class TagsView(QWidget):
    """Choose two channels; the window lies between the lines in the histogram."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.feed: Feed | None = None
        self.host: HelperLink | None = None
        self._last = 0.0
        self._seen: Any = None
        self.start, self.stop = QComboBox(), QComboBox()
        for box, tip in ((self.start, "channel of the start"), (self.stop, "channel of the stop")):
            box.setToolTip(tip)
            box.setAccessibleName(tip)
            box.activated.connect(lambda _: self._changed())
        self.span = self._slider(0.4, "delays that are shown")
        self.window_ = self._slider(0.4, "coincidence window")
        self.delay = self._slider(0.5, "delay of the window")
        self.labels = {name: QLabel("") for name in ("span", "window", "delay")}
        self.channels = tables.make(["channel", "tags", "rate (1/s)"], "rates")
        self.plot = PlotPanel(theme)
        self.plot.set_labels("delay (ns)", "pairs")
        self.plot.area.setAccessibleName("histogram of the delays between two channels")
        self.plot.plot.showAxis("right")
        self._steps = pg.PlotCurveItem([0.0, 0.0], [0.0], stepMode="center", fillLevel=0)
        self._chance = pg.InfiniteLine(0.0, angle=0)
        self._region = pg.LinearRegionItem()
        self._region.sigRegionChangeFinished.connect(self._region_moved)
        for item in (self._steps, self._chance, self._region):
            self.plot.plot.addItem(item, ignoreBounds=item is not self._steps)
        self.numbers = QLabel("")
        self.numbers.setObjectName("heading")
        self.numbers.setWordWrap(True)
        self._lay_out()
        self.restyle(theme)
        self._show_settings()
        self._show_nothing()

    def restyle(self, theme: Theme) -> None:
        """Take other colours; what is drawn stays as it is."""
        self.theme = theme
        self.plot.restyle(theme)
        self._steps.setPen(theme.curves[0])
        self._steps.setBrush(theme.curves[0] + "80")
        self._chance.setPen(pg.mkPen(theme.text, style=Qt.PenStyle.DashLine))
        self._region.setBrush(theme.warn + "40")
        for edge in self._region.lines:
            edge.setPen(pg.mkPen(theme.warn, width=2))
            edge.setHoverPen(pg.mkPen(theme.warn, width=4))
        self.plot.show_legend([
            ("▇", theme.curves[0], "pairs"), ("╌╌", theme.text, "by chance"),
            ("▇", theme.warn, "window, to be dragged"),
        ])  # fmt: skip

    def _slider(self, part: float, name: str) -> QSlider:
        slider = QSlider(Qt.Orientation.Horizontal)
        slider.setRange(0, STEPS)
        slider.setValue(round(part * STEPS))
        slider.setAccessibleName(name)
        slider.setToolTip(name)
        slider.valueChanged.connect(lambda _: self._changed())
        return slider

    def _lay_out(self) -> None:
        chosen = QGridLayout()
        for row, (word, widget, label) in enumerate(
            (("start", self.start, None), ("stop", self.stop, None),
             ("shown", self.span, "span"), ("window", self.window_, "window"),
             ("delay", self.delay, "delay"))
        ):  # fmt: skip
            chosen.addWidget(QLabel(word), row, 0)
            chosen.addWidget(widget, row, 1)
            if label:
                chosen.addWidget(self.labels[label], row, 2)
                self.labels[label].setMinimumWidth(80)
        left, right = QWidget(), QWidget()
        box = QVBoxLayout(left)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.channels, stretch=1)
        box.addLayout(chosen)
        plots = QVBoxLayout(right)
        plots.setContentsMargins(0, 0, 0, 0)
        self.more = QLabel("")
        self.more.setObjectName("dim")
        self.more.setWordWrap(True)
        self.blank = QLabel(
            "Procedures with the parameter <i>keep tags</i>, and those that always record them, "
            "show their rates, coincidences and g²(τ) here while they run."
        )
        self.blank.setObjectName("dim")
        self.blank.setWordWrap(True)
        self.blank.setAlignment(Qt.AlignmentFlag.AlignTop)
        plots.addWidget(self.numbers)
        plots.addWidget(self.more)
        plots.addWidget(self.blank, stretch=1)
        plots.addWidget(self.plot, stretch=1)
        split = QSplitter()
        split.addWidget(left)
        split.addWidget(right)
        split.setStretchFactor(1, 1)
        split.setSizes([340, 800])
        QHBoxLayout(self).addWidget(split)

    # In ps

    @property
    def span_ps(self) -> float:
        return float(10.0 ** np.interp(self.span.value(), (0, STEPS), SPANS))

    @property
    def window_ps(self) -> float:
        width = 10.0 ** np.interp(self.window_.value(), (0, STEPS), WINDOWS)
        return float(min(width, 2 * self.span_ps))

    @property
    def delay_ps(self) -> float:
        return float(self.delay.value() / STEPS * 2 - 1) * self.span_ps

    # What is shown

    def follow(self, feed: Feed) -> None:
        """Show the tags of another run."""
        self.feed, self._seen = feed, None
        self._last = 0.0
        self.channels.setRowCount(0)
        self._show_nothing()

    def _show_nothing(self) -> None:
        """Say what would be here; an empty plot would look like a broken one."""
        self.numbers.setText("This run has recorded no time tags.")
        self.more.setText("")
        self._show_parts(plot=False)

    def _show_parts(self, *, plot: bool) -> None:
        self.plot.setVisible(plot)
        self.blank.setVisible(not plot)

    def refresh(self) -> None:
        """Ask for what is new, now and then and only while somebody looks."""
        feed, now = self.feed, time.monotonic()
        if feed is None or not self.isVisible() or now - self._last < LOOK_EVERY:
            return
        seen = (feed.path, feed.table.seen, feed.complete, *self._wanted().values())
        if self.host is not None and (self.host.busy or (feed.complete and seen == self._seen)):
            return
        self._last, self._seen = now, seen
        if self.host is None:
            self.host = HelperLink("labctl.gui.processes.taghost", self)
        self.host.ask(
            "look", self._show, self._failed, key="look", run=str(feed.path), **self._wanted()
        )

    def close_host(self) -> None:
        if self.host is not None:
            self.host.close()
            self.host = None

    def _wanted(self) -> dict[str, Any]:
        return {
            "start": self.start.currentText(), "stop": self.stop.currentText(),
            "window": self.window_ps, "delay": self.delay_ps, "span": self.span_ps,
        }  # fmt: skip

    def _show(self, found: dict[str, Any]) -> None:
        channels = found["channels"]
        self.channels.setRowCount(len(channels))
        for row, one in enumerate(channels):
            texts = (one["name"], f"{one['tags']:,}".replace(",", "\u202f"), f"{one['rate']:.5g}")
            for column, text in enumerate(texts):
                tables.put(self.channels, row, column, text)
        names = [one["name"] for one in channels]
        for box, usual in ((self.start, 0), (self.stop, 1)):
            if [box.itemText(i) for i in range(box.count())] != names:
                before = box.currentText()
                box.clear()
                box.addItems(names)
                if before in names:
                    box.setCurrentText(before)
                elif names:
                    box.setCurrentIndex(min(usual, len(names) - 1))
                self._last = 0.0
        pair = found.get("pair")
        if pair:
            self._show_pair(pair)
        elif channels:
            self.numbers.setText(f"{len(channels)} channels, {found['seconds']:.4g} s")
            self._show_parts(plot=False)

    def _show_pair(self, pair: dict[str, Any]) -> None:
        edges = np.asarray(pair["edges"], dtype=float) * 1e-3
        self._steps.setData(edges, np.asarray(pair["counts"], dtype=float))
        self._chance.setValue(pair["by_chance"])
        right = self.plot.plot.getAxis("right")
        right.setScale(1.0 / pair["by_chance"] if pair["by_chance"] else 1.0)
        right.setLabel("g²(τ) of each bin")
        self._show_parts(plot=True)
        g2, error = pair["g2"], pair["g2_error"]
        hits, chance, seconds = pair["coincidences"], pair["accidentals"], pair["seconds"]
        poisson = math.sqrt(max(hits, 1))
        g2_text = quantity(g2, error) if math.isfinite(g2) else "unknown"
        self.numbers.setText(f"g²(τ) = {g2_text} in the window")
        self.more.setText(
            f"{hits} coincidences in {seconds:.4g} s, {quantity(hits / seconds, poisson / seconds)}"
            f" per s; {chance:.4g} by chance, {quantity(hits - chance, poisson)} more than that"
        )

    def _failed(self, error: str) -> None:
        self.numbers.setText(error)

    def _changed(self) -> None:
        self._show_settings()
        self._last = 0.0

    def _show_settings(self) -> None:
        for name, value in (("span", self.span_ps), ("window", self.window_ps),
                            ("delay", self.delay_ps)):  # fmt: skip
            sign = "± " if name == "span" else ""
            self.labels[name].setText(f"{sign}{_time(value)}")
        low, high = self.delay_ps - self.window_ps / 2, self.delay_ps + self.window_ps / 2
        self._region.blockSignals(True)
        self._region.setRegion((low * 1e-3, high * 1e-3))
        self._region.blockSignals(False)

    def _region_moved(self) -> None:
        """The user dragged the window in the histogram: the sliders follow."""
        low, high = (1e3 * edge for edge in self._region.getRegion())
        width = max(high - low, 10.0 ** WINDOWS[0])
        place = (math.log10(width) - WINDOWS[0]) / (WINDOWS[1] - WINDOWS[0])
        centre = (low + high) / 2 / self.span_ps
        self.window_.setValue(round(STEPS * min(1.0, max(0.0, place))))
        self.delay.setValue(round(STEPS * (min(1.0, max(-1.0, centre)) + 1) / 2))


def _time(picoseconds: float) -> str:
    """Picoseconds with a prefix."""
    for factor, unit in ((1e-6, "µs"), (1e-3, "ns")):
        if abs(picoseconds) * factor >= 1:
            return f"{picoseconds * factor:.3g} {unit}"
    return f"{picoseconds:.3g} ps"
