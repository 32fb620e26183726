"""The values of one instrument, to look at and, where it allows that, to set."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QLineEdit, QVBoxLayout, QWidget

from labctl.gui import tables
from labctl.gui.theme import Theme
from labctl.units import unit_text
from labctl.viewing import words
from labctl.viewing.measures import unit_in


class ValuesPanel(QWidget):
    """Quantity, value, limits, meaning; below, a field for a new value."""

    set_value = Signal(str, str)  # quantity, what was typed
    read_again = Signal()

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self.theme = theme
        self.rows: list[dict[str, Any]] = []
        self.locked = False
        self.heading = QLabel("choose an instrument")
        self.heading.setObjectName("heading")
        self.table = tables.make(["quantity", "value", "limits", "meaning"], "values", one=True)
        self.table.itemSelectionChanged.connect(self._chosen_changed)
        self.edit = QLineEdit()
        self.edit.setAccessibleName("new value")
        self.edit.setPlaceholderText("choose a quantity that can be set")
        self.edit.returnPressed.connect(self._set)
        self.set_button = tables.button("Set", "the chosen quantity (Return)", self._set)
        self.read_button = tables.button("Read again", "all values", self.read_again.emit)
        row = QHBoxLayout()
        row.addWidget(self.edit, stretch=1)
        row.addWidget(self.set_button)
        row.addWidget(self.read_button)
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 0, 0, 0)
        box.addWidget(self.heading)
        box.addWidget(self.table, stretch=1)
        box.addLayout(row)
        self.show_rows([])

    def show_rows(self, rows: list[dict[str, Any]]) -> None:
        """Show quantities as `benchhost` describes them; the chosen one stays chosen."""
        before = tables.chosen_row(self.table)
        self.rows = rows
        self.table.setRowCount(len(rows))
        theme = self.theme
        for number, row in enumerate(rows):
            value = "" if row["value"] is None else words.number(row["value"], 10)
            if value and not isinstance(row["value"], bool | str):
                value = f"{value} {unit_text(unit_in(row['meaning']))}".strip()
            tables.put(
                self.table, number, 0, row["name"], theme.text if row["settable"] else theme.dim
            )
            tables.put(self.table, number, 1, row["error"] or value,
                       theme.bad if row["error"] else theme.text)  # fmt: skip
            tables.put(self.table, number, 2, row["limits"])
            tables.put(self.table, number, 3, row["meaning"])
        for column, width in enumerate((140, 110, 90)):
            self.table.setColumnWidth(column, width)
        if 0 <= before < len(rows):
            self.table.selectRow(before)
        self._chosen_changed()

    def restyle(self, theme: Theme) -> None:
        """Take other colours."""
        self.theme = theme
        self.show_rows(self.rows)

    def lock(self, locked: bool) -> None:
        """Refuse to set anything, because somebody else has the instrument."""
        self.locked = locked
        self._chosen_changed()

    def choose(self, name: str) -> None:
        for number, row in enumerate(self.rows):
            if row["name"] == name:
                self.table.selectRow(number)

    def _chosen_changed(self) -> None:
        number = tables.chosen_row(self.table)
        row = self.rows[number] if 0 <= number < len(self.rows) else None
        settable = row is not None and row["settable"] and not self.locked
        self.edit.setEnabled(settable)
        self.set_button.setEnabled(settable)
        self.read_button.setEnabled(bool(self.rows) and not self.locked)
        if row is not None and row["value"] is not None:
            self.edit.setText(words.number(row["value"], 17))

    def _set(self) -> None:
        number = tables.chosen_row(self.table)
        if 0 <= number < len(self.rows) and self.set_button.isEnabled():
            self.set_value.emit(self.rows[number]["name"], self.edit.text())
