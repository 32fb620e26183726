"""One line of the parameter form: name, field, unit and limits, and why a value is refused."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from labctl.gui.still import Choice
from labctl.units import unit_text
from labctl.viewing.fields import Field
from labctl.viewing.sweeps import example, values
from labctl.viewing.words import breakable

#: Letters without a space in a caption before it breaks, and pixels for a unit; the field comes
#: first.
LONGEST, WIDEST_UNIT = 18, 90


class FieldRow(QWidget):
    """A parameter. Wrong texts stay in the field, with the reason below."""

    changed = Signal()

    def __init__(self, field: Field) -> None:
        super().__init__()
        self.field = field
        self.reason = ""
        self._single = ""  # the text before a sweep was asked for
        box = QVBoxLayout(self)
        box.setContentsMargins(0, 2, 0, 2)
        box.setSpacing(1)
        row = QHBoxLayout()
        row.setSpacing(6)
        self.caption = QLabel(breakable(field.label, LONGEST))
        self.caption.setMinimumWidth(100)
        self.caption.setWordWrap(True)
        row.addWidget(self.caption, stretch=2)
        self.edit: QLineEdit | QComboBox = self._editor()
        self.edit.setAccessibleName(field.label)
        self.caption.setBuddy(self.edit)
        row.addWidget(self.edit, stretch=5)
        self.unit = QLabel(unit_text(field.unit))
        self.unit.setMinimumWidth(36)
        self.unit.setMaximumWidth(WIDEST_UNIT)
        self.unit.setToolTip(field.unit)
        row.addWidget(self.unit)
        self.sweep = QPushButton("sweep")
        self.sweep.setCheckable(True)
        self.sweep.setToolTip(f"several values, one run each: {example(field)}")
        self.sweep.setAccessibleName(f"sweep {field.label}")
        self.sweep.setStyleSheet("padding: 2px 6px;")
        self.sweep.toggled.connect(self._toggle_sweep)
        row.addWidget(self.sweep)
        box.addLayout(row)
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        box.addWidget(self.hint)
        self.set_value(field.default)

    def _editor(self) -> QLineEdit | QComboBox:
        choices = [True, False] if self.field.kind == "boolean" else self.field.choices
        if self.field.kind in ("boolean", "choice"):
            box = Choice()
            box.setSizeAdjustPolicy(
                QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
            )
            box.addItems([str(choice) for choice in choices])
            box.currentTextChanged.connect(self._edited)
            return box
        line = QLineEdit()
        line.textChanged.connect(self._edited)
        return line

    @property
    def text(self) -> str:
        return self.edit.currentText() if isinstance(self.edit, QComboBox) else self.edit.text()

    def set_value(self, value: Any) -> None:
        """Show a value with all its digits."""
        self.set_text(self.field.text(value))

    def set_text(self, text: str) -> None:
        if isinstance(self.edit, QComboBox):
            self.edit.setCurrentText(text)
        else:
            self.edit.setText(text)
            self.edit.setCursorPosition(0)
        self.check()

    @property
    def swept(self) -> bool:
        """Whether a list or range of values is taken instead of one."""
        return self.sweep.isChecked()

    def _toggle_sweep(self, swept: bool) -> None:
        """A sweep begins with all choices there are; afterwards the single value is back."""
        if swept:
            self._single = self.text
        if isinstance(self.edit, QComboBox):
            self.edit.setEditable(swept)
            if swept:
                choices = [self.edit.itemText(i) for i in range(self.edit.count())]
                self.edit.setEditText(", ".join(choices))
            else:
                self.edit.setCurrentText(self._single)
        elif not swept:
            self.edit.setText(self._single)
        self.unit.setVisible(not swept)  # the hint says it; a range needs the room
        self._edited()

    def value(self) -> Any:
        """The value, or the list of values where it is swept.

        Raises:
            ValueError: one line that says why there is none.
        """
        return values(self.text, self.field) if self.swept else self.field.read(self.text)

    def check(self) -> bool:
        """Look at the text; the reason why it is refused stands below it."""
        try:
            value = self.value()
        except ValueError as error:
            self.reason = str(error)
        else:
            self.reason = ""
            self._show_hint(value)
        if self.reason:
            self._say(self.reason, wrong=True)
        self.edit.setProperty("wrong", bool(self.reason))
        self.edit.style().unpolish(self.edit)
        self.edit.style().polish(self.edit)
        return not self.reason

    def refuse(self, reason: str) -> None:
        """Show a reason that somebody else has found."""
        self.reason = reason
        self._say(reason, wrong=True)

    def _show_hint(self, value: Any) -> None:
        """Meaning and limits; and the value where the text does not say it plainly."""
        field = self.field
        parts = []
        if self.swept:
            texts = [field.text(one) for one in value]
            between = "; " if field.kind == "numbers" else ", "
            some = between.join(texts if len(texts) < 6 else [*texts[:3], "…", texts[-1]])
            if len(texts) == 1:
                parts.append(f"one value; for several write {example(field)}")
            else:
                parts.append(f"{len(texts)} values: {some} {unit_text(field.unit)}".strip())
        elif field.kind in ("number", "integer") and self.text.strip() != field.text(value):
            plain = self.text.replace(" ", "")
            try:
                same = float(plain) == value
            except ValueError:
                same = False
            if not same:
                parts.append(f"= {field.text(value)} {unit_text(field.unit)}".strip())
        parts += [part for part in (field.meaning, field.limits) if part]
        self._say("; ".join(parts), wrong=False)

    def _say(self, text: str, wrong: bool) -> None:
        self.hint.setText(breakable(text))
        self.hint.setVisible(bool(text))
        self.hint.setObjectName("wrong" if wrong else "dim")
        self.hint.style().unpolish(self.hint)
        self.hint.style().polish(self.hint)
        self.setToolTip(text)

    def _edited(self) -> None:
        self.check()
        self.changed.emit()
