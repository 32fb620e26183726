"""The catalogue: search, look, compare, overlay, repeat, mark."""

from __future__ import annotations

from threading import Thread
from typing import Any

from qtpy.QtCore import QItemSelectionModel, QSize, Qt, QTimer, Signal
from qtpy.QtGui import QTextOption
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QInputDialog,
    QLabel,
    QLineEdit,
    QSplitter,
    QTableView,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from labctl.errors import LabError
from labctl.gui import tables
from labctl.gui.flow import FlowLayout
from labctl.gui.helperlink import HelperLink
from labctl.gui.overlay import OverlayDialog
from labctl.gui.rundetails import details, table_of
from labctl.gui.runsmodel import RunsModel
from labctl.gui.theme import Theme
from labctl.run import marks
from labctl.run.catalogue import RunSummary
from labctl.run.search import HELP, compared
from labctl.units import prepare
from labctl.viewing.comparing import differences
from labctl.viewing.session import Session

#: Milliseconds without a key after which a search that makes no sense is said to make none.
PATIENCE = 1500
#: Characters of texts that stand side by side without being broken.
SHORT = 40


class RunsView(QWidget):
    """A search line, the runs, and what is known of the chosen ones."""

    show_run = Signal(str)
    repeat = Signal(object)
    resume = Signal(list)
    export = Signal(object)
    renew = Signal(list)  # bring the index up to date, also of the runs with these folders
    said = Signal(str, bool)

    def __init__(self, session: Session, theme: Theme, helper: HelperLink) -> None:
        super().__init__()
        self.session, self.theme, self.helper = session, theme, helper
        self.search = QLineEdit()
        self.search.setPlaceholderText("search: " + HELP)
        self.search.setToolTip(HELP)
        self.search.setAccessibleName("search the catalogue")
        self.search.setClearButtonEnabled(True)
        self.count = QLabel("")
        self.count.setObjectName("dim")
        self.wrong = QLabel("")
        self.wrong.setObjectName("wrong")
        self.wrong.setWordWrap(True)
        self.model = RunsModel(session, theme)
        self.model.setParent(self)
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setAlternatingRowColors(True)
        self.table.setShowGrid(False)
        self.table.setWordWrap(False)
        self.table.setIconSize(QSize(72, 40))
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.setAccessibleName("catalogue of runs")
        self.details = QTextBrowser()
        self.details.setWordWrapMode(QTextOption.WrapMode.WordWrap)  # never within a name
        self.details.setOpenLinks(False)
        self.details.setAccessibleName("about the chosen runs")
        self.buttons = {
            "Show": tables.button("Show", "look at the run (Return)", self._show),
            "Repeat": tables.button("Repeat", "with these settings, in the form", self._repeat),
            "Resume": tables.button("Resume", "queue the rest of the run", self._resume),
            "Overlay": tables.button("Overlay", "draw the chosen runs over each other",
                                    self.overlay),
            "Difference": tables.button("Difference", "of two runs: parameters, settings, code",
                                       self.difference),
            "Star": tables.button("★ Star", "or take the star away", self.star),
            "Label": tables.button("Label…", "add a label; -LABEL takes it away", self._ask_label),
            "Remark": tables.button("Remark…", "write something down", self._ask_remark),
            "Export": tables.button("Export…", "figure, data and manifest (Ctrl+E)", self._export),
        }  # fmt: skip
        self._refreshing = False
        self._unfinished = QTimer(self)  # somebody is typing: what is wrong may become right
        self._unfinished.setSingleShot(True)
        self._unfinished.timeout.connect(self.refresh)
        self._units: Thread | None = None  # makes conversions quick before one is asked for
        self._described = ""  # what was written last about the chosen ones
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self.refresh)
        self._lay_out()
        self._chosen_changed()
        self.search.textChanged.connect(lambda _: self._typed())
        self.search.editingFinished.connect(self._finished_typing)  # Return, or it lost the focus
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._chosen_changed())
        self.table.doubleClicked.connect(lambda _: self._show())
        self.table.activated.connect(lambda _: self._show())
        self.model.modelReset.connect(self._widths)
        self._sized = False

    def _lay_out(self) -> None:
        top = QHBoxLayout()
        top.addWidget(self.search, stretch=1)
        top.addWidget(self.count)
        split = QSplitter(Qt.Orientation.Vertical)
        split.addWidget(self.table)
        split.addWidget(self.details)
        split.setStretchFactor(0, 3)
        split.setStretchFactor(1, 2)
        row = FlowLayout()
        for button in self.buttons.values():
            row.addWidget(button)
        box = QVBoxLayout(self)
        box.addLayout(top)
        box.addWidget(self.wrong)
        self.wrong.hide()  # until there is something to say, and it has a parent
        box.addWidget(split, stretch=1)
        box.addLayout(row)

    def restyle(self, theme: Theme) -> None:
        """Take other colours."""
        self.theme = self.model.theme = theme
        self.table.viewport().update()
        self._chosen_changed()

    def _typed(self) -> None:
        self.wrong.hide()
        if self._units is None and compared(self.search.text()):  # the unit is typed next
            self._units = Thread(target=prepare, daemon=True)
            self._units.start()
        self._timer.start(150)
        self._unfinished.start(PATIENCE)

    def _finished_typing(self) -> None:
        if self._unfinished.isActive():
            self._unfinished.stop()
            self.refresh()

    def refresh(self) -> None:
        """Search again; the chosen runs stay chosen.

        While somebody types, the list stays as it is until what stands there makes sense.
        """
        before = [run.path for run in self.chosen()]
        self._refreshing = True
        try:
            self.model.search(self.search.text())
        except LabError as error:
            if not self._unfinished.isActive():
                self.count.setText("")
                self.wrong.setText(str(error))
                self.wrong.show()
            return
        finally:
            self._refreshing = False
        self.wrong.hide()
        shown = len(self.model.runs)
        plural = "" if shown == 1 else "s"
        more = f"the newest {shown}, there are more" if self.model.more else f"{shown} run{plural}"
        self.count.setText(more)
        self.choose(before)

    def choose(self, paths: list[Any]) -> None:
        flags = QItemSelectionModel.SelectionFlag
        selection = self.table.selectionModel()
        self._refreshing = True
        for row, run in enumerate(self.model.runs):
            if run.path in paths:
                index = self.model.index(row, 0)
                selection.select(index, flags.Select | flags.Rows)
                if not selection.currentIndex().isValid():  # the arrows go on from there
                    selection.setCurrentIndex(index, flags.NoUpdate)
        self._refreshing = False
        self._chosen_changed()

    def chosen(self) -> list[RunSummary]:
        rows = sorted({index.row() for index in self.table.selectionModel().selectedRows()})
        return [self.model.runs[row] for row in rows if row < len(self.model.runs)]

    # Actions

    def difference(self) -> None:
        """Show in what the two chosen runs differ."""
        chosen = self.chosen()
        if len(chosen) != 2:
            self.said.emit("choose two runs to compare (Ctrl+click, or Shift and the arrows)", True)
            return
        one, other = sorted(chosen, key=lambda run: run.number)
        try:
            found = differences(one.path, other.path)
        except (LabError, OSError) as error:
            self.said.emit(str(error), True)
            return
        rows = [(d.part, d.name, d.one or "–", d.other or "–") for d in found]
        heading = ("", "", f"run {one.number}", f"run {other.number}")
        long = any(len(text) > SHORT for row in rows for text in row)
        shares = (8, 22, 35, 35) if long else ()
        table = table_of([heading, *rows], self.theme, shares)
        body = table if rows else "<p>They do not differ.</p>"
        anywhere = QTextOption.WrapMode.WrapAtWordBoundaryOrAnywhere  # in what has no blanks
        self.details.setWordWrapMode(anywhere if long else QTextOption.WrapMode.WordWrap)
        self.details.setHtml(f"<h3>Run {one.number} and run {other.number}</h3>{body}")

    def overlay(self) -> OverlayDialog | None:
        """Draw the chosen runs over each other."""
        chosen = self.chosen()
        if not chosen:
            self.said.emit("choose the runs to draw over each other", True)
            return None
        dialog = OverlayDialog(chosen, self.theme, self)
        dialog.show()
        self.helper.ask(
            "panels", dialog.propose, lambda _: None, key="overlay", run=str(chosen[0].path)
        )
        return dialog

    def star(self) -> None:
        """Star the chosen runs, or take the star away where all have one."""
        chosen = self.chosen()
        on = not all(run.starred for run in chosen)
        self._mark(lambda run: marks.star(run.path, on))

    def label(self, text: str) -> None:
        """Add a label to the chosen runs; with a minus before it, take it away."""
        self._mark(lambda run: marks.label(run.path, text.lstrip("- "), not text.startswith("-")))

    def remark(self, text: str) -> None:
        self._mark(lambda run: marks.remark(run.path, text))

    def _mark(self, action: Any) -> None:
        try:
            for run in self.chosen():
                action(run)
        except (LabError, OSError) as error:
            self.said.emit(str(error), True)
        self.renew.emit([run.path.name for run in self.chosen()])

    def _ask_label(self) -> None:
        text, agreed = QInputDialog.getText(self, "Label", "label (-LABEL takes it away):")
        if agreed and text.strip():
            self.label(text.strip())

    def _ask_remark(self) -> None:
        text, agreed = QInputDialog.getMultiLineText(self, "Remark", "what is worth knowing:")
        if agreed and text.strip():
            self.remark(text)

    def _show(self) -> None:
        for run in self.chosen()[:1]:
            self.show_run.emit(str(run.path))

    def _repeat(self) -> None:
        for run in self.chosen()[:1]:
            self.repeat.emit(run)

    def _resume(self) -> None:
        self.resume.emit([str(run.path) for run in self.chosen()])

    def _export(self) -> None:
        for run in self.chosen()[:1]:
            self.export.emit(run.path)

    def _chosen_changed(self) -> None:
        if self._refreshing:
            return
        chosen = self.chosen()
        for name, button in self.buttons.items():
            button.setEnabled(len(chosen) == 2 if name == "Difference" else bool(chosen))
        if chosen and chosen[0].status == "finished" and len(chosen) == 1:
            self.buttons["Resume"].setEnabled(False)
        if len(chosen) == 1:
            html = details(chosen[0], self.session.runs_dir, self.theme)
        else:
            html = f"<p style='color:{self.theme.dim}'>{self._hint(len(chosen))}</p>"
        if html != self._described:  # what somebody reads is not moved, nor a difference replaced
            self._described = html
            self.details.setWordWrapMode(QTextOption.WrapMode.WordWrap)
            place = self.details.verticalScrollBar().value()
            self.details.setHtml(html)
            self.details.verticalScrollBar().setValue(place)

    def _hint(self, chosen: int) -> str:
        if not self.model.runs:
            return "No run matches." if self.search.text() else "There are no runs yet."
        if not chosen:
            return "Choose a run to see its results, or several (Ctrl+click) to compare them."
        more = " Difference says in what they differ." if chosen == 2 else ""
        return f"{chosen} runs are chosen. Overlay draws them over each other.{more}"

    def _widths(self) -> None:
        if not self._sized and self.model.runs:
            self._sized = True
            for column, width in enumerate((24, 42, 238, 105, 128, 72, 78, 50, 200, 70)):
                self.table.setColumnWidth(column, width)
            self.table.verticalHeader().setDefaultSectionSize(44)
