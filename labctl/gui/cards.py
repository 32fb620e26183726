"""Cards above the views: a failure, runs that can be resumed, confirmations of a stop."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QFrame,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QVBoxLayout,
)

from labctl.gui.elided import Elided
from labctl.viewing.failure import Failure
from labctl.viewing.words import breakable


class Card(QFrame):
    """A heading, lines of facts, and buttons. Escape or ✕ puts it away."""

    closed = Signal()

    def __init__(self, heading: str, name: str = "card") -> None:
        super().__init__()
        self.setObjectName(name)
        self.runs: set[Path] = set()  # runs that it offers to take up again
        self.box = QVBoxLayout(self)
        self.box.setContentsMargins(10, 8, 8, 8)
        top = QHBoxLayout()
        self.heading = QLabel(breakable(heading))
        self.heading.setObjectName("heading")
        self.heading.setWordWrap(True)
        top.addWidget(self.heading, stretch=1)
        close = QPushButton("✕")
        close.setProperty("role", "flat")
        close.setToolTip("put this card away (Esc)")
        close.setAccessibleName("put this card away")
        close.clicked.connect(self.put_away)
        top.addWidget(close)
        self.box.addLayout(top)
        self.buttons = QHBoxLayout()

    def put_away(self) -> None:
        self.hide()
        self.closed.emit()

    def add_button(self, text: str, tip: str, action: Any, go: bool = False) -> QPushButton:
        button = QPushButton(text)
        button.setToolTip(tip)
        if go:
            button.setProperty("role", "go")
        button.clicked.connect(lambda *_: action())
        self.buttons.addWidget(button)
        return button


class FailureCard(Card):
    """The command, the instrument, the answer, the last messages, the safe state."""

    resume = Signal(object)
    retry = Signal(object)
    skip = Signal()

    def __init__(self, failure: Failure, name: str) -> None:
        super().__init__(f"{name} {failure.status}")
        self.failure = failure
        self.runs = {failure.run}
        facts = QGridLayout()
        facts.setColumnStretch(1, 1)
        rows = [
            ("what happened", failure.reason),
            ("instrument", failure.instrument),
            ("last command", failure.command),
            ("answer", failure.answer),
            ("bench", failure.safety),
        ]
        for number, (name_of_fact, text) in enumerate(row for row in rows if row[1]):
            key, value = QLabel(name_of_fact), QLabel(breakable(text))
            key.setObjectName("dim")
            value.setWordWrap(True)
            value.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            if name_of_fact == "bench":
                value.setObjectName("safe" if failure.safe else "unsafe")
            facts.addWidget(key, number, 0, Qt.AlignmentFlag.AlignTop)
            facts.addWidget(value, number, 1)
        facts.setRowStretch(len(rows), 1)
        both = QHBoxLayout()
        both.addLayout(facts, stretch=1)
        self.box.addLayout(both)
        self.wire = QPlainTextEdit()
        self.wire.setReadOnly(True)
        self.wire.setPlainText("\n".join(map(str, failure.messages)))
        self.wire.setStyleSheet("font-family: monospace; font-size: 9pt;")
        self.wire.setFixedHeight(150)
        self.wire.setLineWrapMode(QPlainTextEdit.LineWrapMode.NoWrap)
        self.wire.setAccessibleName("the last messages on the wire")
        if failure.messages:
            right = QVBoxLayout()
            caption = QLabel(f"the last {len(failure.messages)} messages on the wire")
            caption.setObjectName("dim")
            right.addWidget(caption)
            right.addWidget(self.wire)
            right.addStretch(1)
            both.addLayout(right, stretch=1)
            bar = self.wire.verticalScrollBar()
            bar.setValue(bar.maximum())
        if failure.can_resume:
            self.add_button(
                "Resume", "queue the rest of this run as the next item and start the queue",
                lambda: self.resume.emit(failure.run), go=True,
            )  # fmt: skip
        self.add_button(
            "Retry", "queue the same again as a new run and start the queue",
            lambda: self.retry.emit(failure.run),
        )  # fmt: skip
        self.add_button("Skip", "go on with the queue without this run", self.skip.emit)
        self.buttons.addStretch(1)
        self.box.addLayout(self.buttons)


class OfferCard(Card):
    """Runs that were interrupted, and the offer to resume them."""

    resume = Signal(list)
    show_run = Signal(str)

    def __init__(self, runs: Sequence[dict[str, Any]]) -> None:
        plural = "s were" if len(runs) > 1 else " was"
        super().__init__(f"{len(runs)} run{plural} interrupted: resume?", "offer")
        for run in runs[-5:]:
            title = f" – {run['title']}" if run["title"] else ""
            line = Elided(f"{run['number']}  {run['procedure']}{title}: {run['rows']} points there")
            self.box.addWidget(line)
        if len(runs) > 5:
            self.box.addWidget(QLabel(f"… and {len(runs) - 5} older ones"))
        paths = [str(run["path"]) for run in runs]
        self.runs = set(map(Path, paths))
        self.add_button(
            "Resume all" if len(runs) > 1 else "Resume",
            "queue the rest of each and start the queue; each point is measured once",
            lambda: self.resume.emit(paths), go=True,
        )  # fmt: skip
        self.add_button("Look at it", "show the newest", lambda: self.show_run.emit(paths[-1]))
        self.add_button("Not now", "they stay in the catalogue", self.put_away)
        self.buttons.addStretch(1)
        self.box.addLayout(self.buttons)
