"""Tables and buttons as all views make them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QPushButton, QTableWidget, QTableWidgetItem


def button(text: str, tip: str, action: Callable[..., Any], *, go: bool = False) -> QPushButton:
    """A button that says in its tip what it does; `go` makes it the one that stands out."""
    made = QPushButton(text)
    made.setToolTip(tip)
    if go:
        made.setProperty("role", "go")
    made.clicked.connect(lambda *_: action())
    return made


def prepare(table: QTableWidget, name: str, *, one: bool = False) -> QTableWidget:
    """Whole rows are chosen, nothing is edited in place; `one`: a single row at a time."""
    table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    if one:
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    table.setAlternatingRowColors(True)
    table.setShowGrid(False)
    table.setWordWrap(False)
    table.verticalHeader().hide()
    table.horizontalHeader().setStretchLastSection(True)
    table.setAccessibleName(name)
    return table


def make(headings: Sequence[str], name: str, *, one: bool = False) -> QTableWidget:
    """An empty table."""
    table = QTableWidget(0, len(headings))
    table.setHorizontalHeaderLabels(list(headings))
    return prepare(table, name, one=one)


def put(table: QTableWidget, row: int, column: int, text: str, colour: str = "") -> None:
    """Write a text into a cell; the whole of it is in the tip."""
    cell = table.item(row, column)
    if cell is None:
        cell = QTableWidgetItem()
        table.setItem(row, column, cell)
    cell.setText(text)
    cell.setToolTip(text)
    if colour:
        cell.setForeground(QColor(colour))


def chosen_row(table: QTableWidget) -> int:
    """Number of the first chosen row, -1 if there is none."""
    rows = table.selectionModel().selectedRows()
    return rows[0].row() if rows else -1
