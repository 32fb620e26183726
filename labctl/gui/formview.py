"""The form: choose a procedure and a bench, set or sweep parameters, see the plan, queue it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from labctl.errors import LabError, RequestError
from labctl.gui.fieldrow import FieldRow
from labctl.gui.still import Choice, Count
from labctl.manager import ON_FAILURE
from labctl.manager.delays import moment
from labctl.viewing.fields import Field
from labctl.viewing.planning import Wish
from labctl.viewing.words import breakable

#: What the list says of the ways to go on after a failure.
FAILURE_WORDS = {"skip": "go on with the next", "stop": "stop the queue", "retry": "try again"}

#: Pixels that caption, field, unit and the button of a sweep need.
LEAST_WIDTH = 310


#: Pixels that fields may ask for: with more, the window would not fit a screen of 1024.
WIDEST = 400


class FormView(QWidget):
    """The widgets of the form. It asks nobody: `FormControl` connects it with the helper."""

    bench_typed = Signal()
    bench_chosen = Signal(str)
    procedure_chosen = Signal(str)
    changed = Signal()
    submit = Signal(bool)  # True: and start the queue
    dry_run = Signal()
    save = Signal()
    cancel = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, FieldRow] = {}
        self._dry_going = False
        self.bench = self._combo("a shipped bench, or the path of a bench file")
        self.bench.setEditable(True)
        self.procedure = self._combo(
            "what to measure; procedures that need instruments which this bench lacks are left out"
        )
        self.mode = self._combo("hardware or simulators")
        self.mode.addItem("as the bench file says", "")
        self.mode.addItem("simulators", "sim")
        self.mode.addItem("real instruments", "real")
        self.title = QLineEdit()
        self.title.setPlaceholderText("for the catalogue")
        self.seed = Count()
        self.seed.setRange(0, 2**31 - 1)
        self.world = QLineEdit()
        self.world.setPlaceholderText("NAME=VALUE, … (simulation only)")
        self.at = QLineEdit()
        self.at.setPlaceholderText("at once; or 22:30, or 90 min")
        self.failure = self._combo("what the queue does if this run fails")
        for name in ON_FAILURE:
            self.failure.addItem(FAILURE_WORDS[name], name)
        self.retries = Count()
        self.retries.setRange(1, 100)
        self.meaning = QLabel("")
        self.meaning.setObjectName("dim")
        self.meaning.setWordWrap(True)
        self.together = QCheckBox("swept together, first with first (not every combination)")
        self.plan = QLabel("")
        self.plan.setWordWrap(True)
        self.fields = QWidget()
        self.field_box = QVBoxLayout(self.fields)
        self.queue_button = self._button("Queue", "add to the queue (Ctrl+Return)")
        self.start_button = self._button("Queue and start", "…and work it off (Ctrl+Shift+Return)")
        self.start_button.setProperty("role", "go")
        self.dry_button = self._button(
            "Dry run", "once on the simulated bench, outside of the queue (Ctrl+D)"
        )
        self.save_button = self._button("Save changes", "to the waiting item of the queue")
        self.cancel_button = self._button("Cancel", "leave the item as it is")
        self._lay_out()
        self._connect()
        self.show_editing(None)

    def _combo(self, tip: str) -> QComboBox:
        box = Choice()
        box.setToolTip(tip)
        box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        box.setMinimumContentsLength(12)
        box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        return box

    def _button(self, text: str, tip: str) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        return button

    def _lay_out(self) -> None:
        top = QFormLayout()
        top.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        top.addRow("&Bench", self.bench)
        top.addRow("&Mode", self.mode)
        top.addRow("P&rocedure", self.procedure)
        inside = QWidget()
        inner = QVBoxLayout(inside)
        inner.setContentsMargins(2, 0, 8, 0)
        area = self._area = QScrollArea()
        area.setWidgetResizable(True)
        area.setWidget(inside)
        inside.installEventFilter(self)
        area.setMinimumWidth(LEAST_WIDTH)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.field_box.setContentsMargins(0, 0, 0, 0)
        below = QFormLayout()
        widget: QWidget
        below.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        for caption, widget in (
            ("&Title", self.title), ("World", self.world), ("Seed", self.seed),
            ("Not before", self.at), ("If it fails", self.failure), ("Retries", self.retries),
        ):  # fmt: skip
            below.addRow(caption, widget)
        self._retries_caption = below.labelForField(self.retries)
        heading = QLabel("This run")
        heading.setObjectName("heading")
        inner.addWidget(self.meaning)
        inner.addWidget(self.fields)
        inner.addWidget(self.together)
        inner.addWidget(heading)
        inner.addLayout(below)
        inner.addStretch(1)
        buttons = QHBoxLayout()
        for button in (
            self.dry_button, self.queue_button, self.start_button, self.cancel_button,
            self.save_button,
        ):  # fmt: skip
            buttons.addWidget(button, stretch=1)
        box = QVBoxLayout(self)
        box.addLayout(top)
        box.addWidget(area, stretch=1)
        box.addWidget(self.plan)
        box.addLayout(buttons)

    def _connect(self) -> None:
        self.bench.activated.connect(lambda _: self.bench_chosen.emit(self.bench_name()))
        self.bench.editTextChanged.connect(lambda _: self.bench_typed.emit())
        line = self.bench.lineEdit()
        if line is not None:
            line.editingFinished.connect(lambda: self.bench_chosen.emit(self.bench_name()))
        self.procedure.activated.connect(
            lambda _: self.procedure_chosen.emit(str(self.procedure.currentData() or ""))
        )
        self.mode.activated.connect(self.changed)
        for edit in (self.title, self.world, self.at):
            edit.textChanged.connect(self.changed)
        self.seed.valueChanged.connect(self.changed)
        self.together.toggled.connect(self.changed)
        self.failure.activated.connect(self.show_retries)
        self.queue_button.clicked.connect(lambda: self.submit.emit(False))
        self.start_button.clicked.connect(lambda: self.submit.emit(True))
        self.dry_button.clicked.connect(self.dry_run)
        self.save_button.clicked.connect(self.save)
        self.cancel_button.clicked.connect(self.cancel)

    # What the form shows

    def bench_name(self) -> str:
        text = self.bench.currentText().strip()
        place = self.bench.findText(text)
        return str(self.bench.itemData(place) or text) if place >= 0 else text

    def show_retries(self) -> None:
        """The number of retries is asked for only where it means something."""
        shown = self.failure.currentData() == "retry"
        self.retries.setVisible(shown)
        if self._retries_caption is not None:
            self._retries_caption.setVisible(shown)

    def show_editing(self, item: int | None) -> None:
        """Offer to save changes to a waiting item, or to queue something new."""
        for button in (self.queue_button, self.start_button, self.dry_button):
            button.setVisible(item is None)
        for button in (self.save_button, self.cancel_button):
            button.setVisible(item is not None)
        self.save_button.setText(f"Save changes to item {item}")
        self.show_retries()

    def set_fields(self, table: Mapping[str, Mapping[str, Any]]) -> None:
        """Make a row for each parameter: the procedure's own first, then those it inherits."""
        while self.field_box.count():
            taken = self.field_box.takeAt(0)
            if taken is not None and (widget := taken.widget()) is not None:
                widget.deleteLater()
        self.rows = {}
        fields = [Field.from_table(name, entry) for name, entry in table.items()]
        for group in dict.fromkeys(sorted((f.group for f in fields), key=bool)):
            if group:
                heading = QLabel(group)
                heading.setObjectName("heading")
                self.field_box.addWidget(heading)
            for one in fields:
                if one.group == group:
                    row = self.rows[one.name] = FieldRow(one)
                    row.changed.connect(self.changed)
                    self.field_box.addWidget(row)
        self.changed.emit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Let nothing be cut off at the side, whatever the views beside the form would like."""
        if event.type() == QEvent.Type.LayoutRequest and isinstance(watched, QWidget):
            bar = self._area.verticalScrollBar().sizeHint().width()
            self._area.setMinimumWidth(min(WIDEST, watched.minimumSizeHint().width() + bar + 4))
        return False

    def show_plan(self, text: str, wrong: bool = False) -> None:
        self.plan.setText(breakable(text))
        self.plan.setObjectName("wrong" if wrong else "")
        self.plan.style().unpolish(self.plan)
        self.plan.style().polish(self.plan)

    def allow(self, allowed: bool) -> None:
        for button in (self.queue_button, self.start_button, self.save_button):
            button.setEnabled(allowed)
        self.dry_button.setEnabled(allowed or self._dry_going)

    def show_dry_run(self, going: bool) -> None:
        """Offer to end the dry run while one goes on."""
        self._dry_going = going
        self.dry_button.setText("Stop dry run" if going else "Dry run")
        self.dry_button.setEnabled(going or self.queue_button.isEnabled())

    # What the form says

    def wish(self) -> Wish:
        """What is asked for.

        Raises:
            RequestError: a field holds no value; the field says why.
        """
        wrong = [row.field.label for row in self.rows.values() if not row.check()]
        swept = {name: row.value() for name, row in self.rows.items() if row.swept and not wrong}
        self.together.setVisible(len(swept) > 1)
        if wrong:
            raise RequestError(f"look at {', '.join(wrong)}")
        if not self.procedure.currentData():
            raise RequestError("choose a procedure")
        return Wish(
            str(self.procedure.currentData()), self.bench_name(), str(self.mode.currentData()),
            {name: row.value() for name, row in self.rows.items() if not row.swept},
            swept, self.together.isChecked() and len(swept) > 1, self.title.text().strip(),
            self.seed.value(), self._world(),
        )  # fmt: skip

    def policy(self) -> dict[str, Any]:
        """When the run begins and what follows if it fails.

        Raises:
            RequestError: the time cannot be read.
        """
        try:
            not_before = moment(self.at.text())
        except LabError as error:
            raise RequestError(f"not before: {error}") from None
        return {
            "not_before": not_before, "on_failure": str(self.failure.currentData()),
            "retries": self.retries.value(),
        }  # fmt: skip

    def _world(self) -> dict[str, str]:
        found = {}
        for part in self.world.text().split(","):
            if part.strip():
                name, equals, value = part.partition("=")
                if not equals:
                    raise RequestError(f"world: {part.strip()!r} must be written NAME=VALUE")
                found[name.strip()] = value.strip()
        return found
