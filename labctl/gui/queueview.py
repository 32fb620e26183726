"""The queue: what runs, waits and ran, of any procedure; to reorder, edit, duplicate, remove."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtGui import QColor, QKeyEvent, QKeySequence, QShowEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from labctl.errors import LabError
from labctl.gui import tables
from labctl.gui.queuetable import TAKES, QueueTable, differing
from labctl.gui.theme import Theme
from labctl.manager import Item
from labctl.manager.delays import describe
from labctl.viewing import words
from labctl.viewing.feed import Feed
from labctl.viewing.outlook import outlook, rest
from labctl.viewing.session import Session

#: Items that are over and still listed.
MOST_ENDED = 200
#: Seconds between two looks at when all is finished, and at what earlier runs took.
LOOK_EVERY, ASK_EVERY = 1.0, 30.0


class QueueView(QWidget):
    """The table and what can be done with its items; every action has a key."""

    edit = Signal(object)
    copy = Signal(object)
    show_run = Signal(str)
    start = Signal()
    said = Signal(str, bool)
    times_wanted = Signal()  # what the items take; answered by `show_times`

    def __init__(self, session: Session, theme: Theme) -> None:
        super().__init__()
        self.session, self.theme = session, theme
        self.table = QueueTable()
        self.table.moved.connect(self._move_to)
        self.table.doubleClicked.connect(lambda _: self._open())
        self.table.itemSelectionChanged.connect(self._enable)
        self.table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.table.customContextMenuRequested.connect(self._menu)
        self.table.installEventFilter(self)
        self.state = QLabel("")
        self.state.setObjectName("heading")
        self.outlook = QLabel("")
        self.start_button = tables.button("Start queue", "Ctrl+G", self.start.emit, go=True)
        self.halt_button = tables.button("Stop after this run", "Ctrl+H", self.halt)
        self.actions_: dict[str, QPushButton] = {
            "Up": tables.button("Move up", "Alt+Up", lambda: self.move_by(-1)),
            "Down": tables.button("Move down", "Alt+Down", lambda: self.move_by(+1)),
            "E": tables.button("Edit…", "E", self._edit),
            "D": tables.button("Duplicate", "D", self.duplicate),
            "C": tables.button("Copy to form", "C", self._copy),
            "Delete": tables.button("Remove", "Del", self.remove),
        }
        top = QHBoxLayout()
        top.addWidget(self.state, stretch=1)
        top.addWidget(self.start_button)
        top.addWidget(self.halt_button)
        below = QHBoxLayout()
        for button in self.actions_.values():
            below.addWidget(button)
        below.addStretch(1)
        box = QVBoxLayout(self)
        box.addLayout(top)
        box.addWidget(self.outlook)
        box.addWidget(self.table, stretch=1)
        box.addLayout(below)
        self._shown: list[Any] = []
        self._resumed: dict[str, int] = {}  # by run, the last item that worked on it
        self._removed: list[tuple[Item, int]] = []  # the last ones, with their places
        self.feed: Feed | None = None  # of the run that goes on, if somebody follows it
        self._times: dict[int, float] = {}  # by item, the seconds it takes
        self._basis: dict[int, str] = {}  # by item, from which run that is known
        self._looked = -math.inf
        self._asked: dict[int, Any] = {}  # what is planned in those that were asked about
        self._asked_at = -math.inf
        self.refresh()

    def restyle(self, theme: Theme) -> None:
        """Take other colours."""
        self.theme, self._shown = theme, []
        self.refresh()

    def refresh(self) -> None:
        """Show the queue as it is now; nothing is touched if nothing changed."""
        items = self.session.items()
        worked = self.session.manager.worked_off()
        ended = [item for item in items if not item.waits]
        items = ended[-MOST_ENDED:] + items[len(ended) :]
        waiting = sum(item.waits for item in items)
        self.state.setText(
            f"{waiting} waiting" + (", being worked off" if worked else ", not being worked off")
        )
        self.start_button.setEnabled(not worked and waiting > 0)
        self.halt_button.setEnabled(worked)
        changed = items != self._shown
        if changed or time.monotonic() - self._looked > LOOK_EVERY:
            self._look_ahead(items, worked)
        self._ask_for_times(items, changed)
        if not changed:
            return
        chosen = {item.number for item in self.table.chosen()}
        self._shown = items
        self.table.queued = items
        self.table.setRowCount(len(items))
        different = differing(items)
        self._resumed = {item.run: item.number for item in items if item.run}
        for row, item in enumerate(items):
            self._fill(row, item, different[item.request["procedure"]])
        if not chosen:
            self.table.fit()
        self._choose(chosen)
        self._enable()

    def show_times(self, found: Sequence[tuple[int, float | None, str]]) -> None:
        """Show what items take, as somebody found out who has the time for it."""
        told = {number: math.nan if s is None else s for number, s, _ in found}
        times = {i.number: told.get(i.number, math.nan) for i in self.table.queued}
        basis = {number: said for number, _, said in found}
        if (times, basis) == (self._times, self._basis):
            return
        self._times, self._basis = times, basis
        self._looked = -math.inf
        for row, item in enumerate(self.table.queued):
            self._put_takes(row, item)
        self.table.resizeColumnToContents(TAKES)
        self.refresh()

    def _ask_for_times(self, items: Sequence[Item], changed: bool) -> None:
        """Ask at once about what is new, and now and then what has been learned since."""
        new = changed and any(
            item.waits and self._asked.get(item.number, ()) != item.planned for item in items
        )
        if new or time.monotonic() - self._asked_at > ASK_EVERY:
            self._asked_at = time.monotonic()
            self._asked = {item.number: item.planned for item in items if item.waits}
            self.times_wanted.emit()

    def _put_takes(self, row: int, item: Item) -> None:
        known = item.waits and item.number in self._times
        text = words.duration(self._times[item.number]).replace("?", "unknown") if known else ""
        cell = self.table.item(row, TAKES)
        if cell is not None:
            cell.setText(text)
            cell.setToolTip(self._basis.get(item.number, "") or text)

    def _look_ahead(self, items: Sequence[Item], worked: bool) -> None:
        self._looked = time.monotonic()
        if not all(item.number in self._times for item in items if item.waits):
            return  # of what came a moment ago nobody has told yet
        now = time.time()
        found = outlook(items, self._times, now, rest(items, self._times, self.feed))
        text = found.sentence(now, worked_off=worked)
        self.outlook.setText(text)
        self.outlook.setVisible(bool(text))

    def showEvent(self, event: QShowEvent) -> None:
        """Only now the fonts are those of the theme."""
        super().showEvent(event)
        self.table.fit()
        self._asked_at = -math.inf

    def _fill(self, row: int, item: Item, different: Sequence[str]) -> None:
        request = item.request
        given = request["parameters"]
        names = [*(name for name in different if name in given),
                 *(name for name in given if name not in different)]  # fmt: skip
        values = ", ".join(f"{name}={words.number(given[name])}" for name in names)
        bench = str(request.get("bench") or "").rsplit("/", 1)[-1]
        mode = f" ({request['mode']})" if request.get("mode") else ""
        again = self._resumed.get(item.run, 0)
        resumed = again > item.number and not item.waits and item.status != "finished"
        remark = f"resumed as item {again}" if resumed else item.reason
        texts = (str(item.number), item.status, request["procedure"], request.get("title") or "",
                 values, bench + mode, "", describe(item), remark)  # fmt: skip
        theme = self.theme
        colours = {"running": theme.good, "failed": theme.bad, "aborted": theme.bad,
                   "interrupted": theme.warn, "finished": theme.dim}  # fmt: skip
        for column, text in enumerate(texts):
            cell = QTableWidgetItem(text)
            cell.setToolTip(text)
            if column == 1 or item.status == "finished":
                cell.setForeground(QColor(colours.get(item.status, theme.text)))
            flags = Qt.ItemFlag.ItemIsSelectable | Qt.ItemFlag.ItemIsEnabled
            cell.setFlags(flags | Qt.ItemFlag.ItemIsDragEnabled if item.waits else flags)
            self.table.setItem(row, column, cell)
        self._put_takes(row, item)

    # Actions

    def move_by(self, step: int) -> None:
        """Move the chosen items one place up or down."""
        order = [item.number for item in self.table.queued if item.waits]
        chosen = [item.number for item in self.table.chosen() if item.waits]
        for number in chosen if step < 0 else reversed(chosen):
            place = order.index(number) + step
            if 0 <= place < len(order) and order[place] not in chosen:
                order.remove(number)
                order.insert(place, number)
                behind = order[place - 1] if place else 0
                self._do(self.session.manager.move_behind, number, behind)
        self.refresh()

    def duplicate(self) -> None:
        for item in self.table.chosen():
            self._do(self.session.manager.duplicate, item.number)
        self.refresh()

    def remove(self) -> None:
        """Remove the chosen items; those that waited can be put back."""
        chosen = self.table.chosen()
        waiting = [item.number for item in self.table.queued if item.waits]
        gone = [item for item in chosen if item.status != "running"]
        if gone and self._do(self.session.manager.remove, *(item.number for item in gone)):
            self._removed = [(i, waiting.index(i.number) + 1) for i in gone if i.waits]
            said = f"item {gone[0].number}" if len(gone) == 1 else f"{len(gone)} items"
            back = "; Ctrl+Z puts what waited back" if self._removed else ""
            self.said.emit(f"removed {said} from the queue{back}", False)
        self.refresh()

    def put_back(self) -> None:
        """Queue what was removed last again, where it was."""
        if self._removed and self._do(self.session.manager.restore, self._removed):
            self._removed = []
        self.refresh()

    def halt(self) -> None:
        if self._do(self.session.manager.halt):
            self.said.emit("the queue stops after this run", False)

    def _move_to(self, number: int, place: int) -> None:
        order = [i.number for i in self.table.queued if i.waits and i.number != number]
        behind = order[min(place, len(order) + 1) - 2] if place > 1 else 0
        self._do(self.session.manager.move_behind, number, behind)
        self.refresh()

    def _edit(self) -> None:
        for item in self.table.chosen()[:1]:
            if item.waits and not item.run:
                self.edit.emit(item)
            else:
                why = "resumes a run with its parameters" if item.waits else "does not wait"
                self.said.emit(f"item {item.number} {why}; copy it to the form instead", True)

    def _copy(self) -> None:
        for item in self.table.chosen()[:1]:
            self.copy.emit(item)

    def _open(self) -> None:
        for item in self.table.chosen()[:1]:
            if item.run:
                self.show_run.emit(item.run)
            else:
                self._edit()

    def _do(self, action: Any, *arguments: Any) -> bool:
        try:
            action(*arguments)
        except (LabError, OSError) as error:
            self.said.emit(str(error), True)
            return False
        return True

    # Selection, keys, menu

    def _choose(self, numbers: set[int]) -> None:
        self.table.clearSelection()
        mode = self.table.selectionMode()
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.MultiSelection)
        for row, item in enumerate(self.table.queued):
            if item.number in numbers:
                self.table.selectRow(row)
        self.table.setSelectionMode(mode)

    def _enable(self) -> None:
        chosen = self.table.chosen()
        waits = any(item.waits for item in chosen)
        for key in ("Up", "Down", "E"):
            self.actions_[key].setEnabled(waits)
        for key in ("D", "C"):
            self.actions_[key].setEnabled(bool(chosen))
        self.actions_["Delete"].setEnabled(any(item.status != "running" for item in chosen))

    def _menu(self, place: Any) -> None:
        menu = QMenu(self)
        for button in self.actions_.values():
            action = menu.addAction(button.text(), button.click)
            action.setEnabled(button.isEnabled())
        menu.exec(self.table.viewport().mapToGlobal(place))

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keys of the table: Delete, Ctrl+Z, E, D, C, Return, and Alt with an arrow."""
        if event.type() != QEvent.Type.KeyPress or not isinstance(event, QKeyEvent):
            return False
        keys = Qt.Key
        alt = bool(event.modifiers() & Qt.KeyboardModifier.AltModifier)
        names = {keys.Key_Delete: "Delete", keys.Key_E: "E", keys.Key_D: "D", keys.Key_C: "C"}
        if alt and event.key() in (keys.Key_Up, keys.Key_Down):
            self.move_by(-1 if event.key() == keys.Key_Up else +1)
        elif event.matches(QKeySequence.StandardKey.Undo):
            self.put_back()
        elif event.key() in (keys.Key_Return, keys.Key_Enter):
            self._open()
        elif not event.modifiers() and event.key() in names:
            self.actions_[names[keys(event.key())]].click()
        else:
            return False
        return True
