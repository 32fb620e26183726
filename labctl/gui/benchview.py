"""The bench: its diagram, a lamp for each instrument, and values to read and set by hand."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QHBoxLayout, QLabel, QSplitter, QVBoxLayout, QWidget

from labctl.bench import find_bench
from labctl.benchfile import BenchFile
from labctl.errors import LabError
from labctl.gui import tables
from labctl.gui.diagramview import SIGNS, DiagramView
from labctl.gui.helperlink import HelperLink
from labctl.gui.theme import Theme
from labctl.gui.valuespanel import ValuesPanel
from labctl.viewing.feed import Feed
from labctl.viewing.session import Session
from labctl.viewing.words import breakable


class BenchView(QWidget):
    """Connections are made on request, and given up as soon as a run wants the instruments."""

    said = Signal(str, bool)

    def __init__(self, session: Session, theme: Theme) -> None:
        super().__init__()
        self.session, self.theme = session, theme
        self.host: HelperLink | None = None
        self.file: BenchFile | None = None
        self.states: dict[str, str] = {}
        self.owner: Feed | None = None  # the run that has the instruments now
        self.mode = ""
        self.heading = QLabel("")
        self.heading.setObjectName("heading")
        self.heading.setWordWrap(True)
        self.connect_button = tables.button(
            "Connect", "to each instrument", self.connect_bench, go=True
        )
        self.safe_button = tables.button("Make safe", "all that are connected", self.make_safe)
        self.close_button = tables.button("Disconnect", "change nothing", self.disconnect_bench)
        self.diagram = DiagramView(theme)
        self.diagram.chosen.connect(self.choose)
        self.table = tables.make(
            ["instrument", "state", "who answers", "driver", "address"], "instruments", one=True
        )
        self.table.itemSelectionChanged.connect(self._chosen_changed)
        self.values = ValuesPanel(theme)
        self.values.set_value.connect(self._set)
        self.values.read_again.connect(self._read_values)
        self._lay_out()
        self._enable()

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.addWidget(self.heading, stretch=1)
        for button in (self.connect_button, self.safe_button, self.close_button):
            top.addWidget(button)
        below = QSplitter(Qt.Orientation.Horizontal)
        below.addWidget(self.table)
        below.addWidget(self.values)
        split = QSplitter(Qt.Orientation.Vertical)
        split.addWidget(self.diagram)
        split.addWidget(below)
        split.setStretchFactor(0, 1)
        split.setStretchFactor(1, 1)
        outer = QVBoxLayout(self)
        outer.addLayout(top)
        outer.addWidget(split, stretch=1)

    # What is shown

    def show_bench(self, name: str) -> None:
        """Show another bench; connections to the one before are given up."""
        self.disconnect_bench()
        try:
            self.file = find_bench(name) if name else None
        except LabError as error:
            self.file = None
            self.heading.setText(breakable(str(error)))
            self.diagram.show_bench(None)
        self.states = {}
        instruments = self.file.instruments if self.file else {}
        self.table.setRowCount(len(instruments))
        for row, entry in enumerate(instruments.values()):
            for column, text in enumerate((entry.name, "", "", entry.driver, entry.address)):
                tables.put(self.table, row, column, text)
        for column, width in enumerate((120, 130, 240, 220)):
            self.table.setColumnWidth(column, width)
        if self.file is not None:
            self.heading.setText(self.file.title)
            self.diagram.show_bench(self.file)
        self._enable()

    def restyle(self, theme: Theme) -> None:
        """Take other colours; connections stay."""
        self.theme = theme
        self.diagram.restyle(theme)
        self.values.restyle(theme)
        for row in range(self.table.rowCount()):
            self._colour(row, self.states.get(self._name(row), ""))

    def show_owner(self, feed: Feed | None) -> None:
        """Lock the panel while a run has the instruments, and show what it found in them."""
        owned = feed is not None and feed.status in ("running", "paused")
        if owned and self.owner is None:
            self.disconnect_bench()
        if not owned and self.owner is None:
            return
        before, self.owner = self.owner, feed if owned else None
        if self.owner is None:
            for name in self.states:
                self._show_state(name, "", "not connected")
        else:
            identities = self.owner.opened.get("identities") or {}
            for name, identity in identities.items():
                self._show_state(name, "busy", f"run {self.owner.number}", identity)
        if before is not self.owner:
            self._enable()
            self._chosen_changed()

    def choose(self, name: str) -> None:
        """Choose an instrument, as a click into the table would."""
        for row in range(self.table.rowCount()):
            if self._name(row) == name:
                self.table.selectRow(row)

    def chosen(self) -> str:
        return self._name(tables.chosen_row(self.table))

    # Connections

    def connect_bench(self) -> None:
        """Connect to every instrument."""
        if self.file is None or self.owner is not None:
            return
        if self.host is None:
            self.host = HelperLink("labctl.gui.processes.benchhost", self)
        for name in self.file.instruments:
            self._show_state(name, "", "connecting…")
        self.host.ask(
            "connect", self._connected, self._lost, seconds=60.0,
            bench=str(self.file.path), mode=self.mode,
        )  # fmt: skip

    def disconnect_bench(self) -> None:
        """Give up all connections; the process that holds them ends."""
        if self.host is not None:
            self.host.close()
            self.host = None
            for name in self.states:
                self._show_state(name, "", "not connected")
            self.values.show_rows([])
        self._enable()

    def make_safe(self) -> None:
        """Make every connected instrument safe by hand."""
        if self.host is not None:
            self.host.ask("make_safe", self._made_safe, self._lost, seconds=30.0)

    def _connected(self, rows: list[dict[str, Any]]) -> None:
        for row in rows:
            state = "good" if row["ok"] else "bad"
            self._show_state(row["name"], state, "answers" if row["ok"] else "no answer",
                             row["text"])  # fmt: skip
        bad = [row["name"] for row in rows if not row["ok"]]
        text = f"no answer from {', '.join(bad)}" if bad else f"{len(rows)} instruments answer"
        self.said.emit(text, bool(bad))
        self._enable()
        self._chosen_changed()

    def _made_safe(self, rows: list[dict[str, Any]]) -> None:
        bad = [f"{r['instrument']}: {r['detail']}" for r in rows if r["state"] != "safe"]
        for row in rows:
            state = "good" if row["state"] == "safe" else "bad"
            self._show_state(row["instrument"], state, row["state"])
        text = f"NOT SAFE: {'; '.join(bad)}" if bad else f"{len(rows)} instruments made safe"
        self.said.emit(text, bool(bad))
        self._read_values()

    def _lost(self, error: str) -> None:
        self.said.emit(error, True)
        for name in self.states:
            self._show_state(name, "bad", "unknown", error)

    # Values

    def _read_values(self) -> None:
        name = self.chosen()
        if self.host is not None and self.states.get(name) == "good":
            self.host.ask(
                "properties", self.values.show_rows, self._lost, key="properties", seconds=30.0,
                name=name,
            )  # fmt: skip

    def _set(self, prop: str, text: str) -> None:
        name = self.chosen()
        if self.host is None:
            return

        def done(_: Any) -> None:
            self.said.emit(f"{name}: {prop} set to {text}", False)
            self._read_values()

        self.host.ask(
            "set", done, lambda error: self.said.emit(error, True), seconds=30.0, name=name,
            prop=prop, text=text,
        )  # fmt: skip

    def _chosen_changed(self) -> None:
        name = self.chosen()
        if not name:
            return
        lock = f"  (locked: run {self.owner.number} has it)" if self.owner else ""
        self.values.heading.setText(name + lock)
        self.values.lock(self.owner is not None)
        if self.owner is not None:
            found = (self.owner.opened.get("settings") or {}).get(name) or {}
            self.values.show_rows(
                [{"name": n, "value": v, "limits": "", "meaning": "when the run began",
                  "error": "", "settable": False} for n, v in found.items()]
            )  # fmt: skip
        elif self.states.get(name) == "good":
            self._read_values()
        else:
            self.values.show_rows([])

    def _show_state(self, name: str, state: str, text: str, detail: str = "") -> None:
        self.states[name] = state
        for row in range(self.table.rowCount()):
            if self._name(row) == name:
                tables.put(self.table, row, 1, f"{SIGNS.get(state, '○')} {text}")
                self._colour(row, state)
                if detail or not state:
                    tables.put(self.table, row, 2, detail)
        self.diagram.show_lamps(self.states)

    def _colour(self, row: int, state: str) -> None:
        theme, cell = self.theme, self.table.item(row, 1)
        colours = {"good": theme.good, "bad": theme.bad, "busy": theme.accent}
        if cell is not None:
            cell.setForeground(QColor(colours.get(state, theme.dim)))

    def _name(self, row: int) -> str:
        cell = self.table.item(row, 0)
        return cell.text() if cell is not None else ""

    def _enable(self) -> None:
        free = self.file is not None and self.owner is None
        self.connect_button.setEnabled(free)
        for button in (self.safe_button, self.close_button):
            button.setEnabled(free and self.host is not None)
