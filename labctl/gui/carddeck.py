"""Which cards lie above the views, and what their buttons do."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QScrollArea, QVBoxLayout, QWidget

from labctl.errors import LabError
from labctl.gui.cards import Card, FailureCard, OfferCard
from labctl.gui.stopcard import StopCard
from labctl.gui.theme import Theme
from labctl.viewing.failure import look
from labctl.viewing.feed import Feed

#: The part of the window's height that cards may take.
SHARE = 0.34


class CardDeck(QWidget):
    """At most one card of each kind; the newest on top."""

    area: QScrollArea

    def __init__(self, window: Any, theme: Theme) -> None:
        super().__init__()
        self.window_, self.theme = window, theme
        self.box = QVBoxLayout(self)
        self.box.setContentsMargins(4, 0, 4, 0)
        self.cards: list[Card] = []

    def offer(self, runs: list[dict[str, Any]]) -> None:
        """Offer to resume interrupted runs."""
        if runs:
            card = OfferCard(runs)
            card.resume.connect(self._resume_all)
            card.show_run.connect(self.window_.commands.show_run)
            self._put(card)

    def failed(self, feed: Feed) -> None:
        """Show why a run did not finish."""
        name = f"Run {feed.number} {feed.procedure}"
        card = FailureCard(look(feed), name)
        card.resume.connect(lambda run: self._resume_all([str(run)]))
        card.retry.connect(self._retry)
        card.skip.connect(self._skip)
        self._put(card)

    def stopping(self, places: Sequence[tuple[Path, int]], names: Sequence[str]) -> None:
        """Show the confirmations of a stop as they come.

        Args:
            places: folders in which accounts will be, and how many each has from before.
            names: of instruments of which something will be said.
        """
        self._put(StopCard(places, names, self.theme, self.window_.session.stop_problem))

    def refresh(self, active: Feed | None) -> None:
        """Look again at what a stop has reached."""
        for card in self.cards:
            if isinstance(card, StopCard):
                if active is not None and active.path in card.folders and not card.names:
                    card.names = list(active.opened.get("identities") or {})
                card.look()
        self._fit()

    def taken_up(self, going: Collection[Path]) -> None:
        """Put away what offers runs that go on again, from here or from elsewhere."""
        for card in [card for card in self.cards if card.runs]:
            card.runs.difference_update(going)
            if not card.runs:
                self._take(card)

    def restyle(self, theme: Theme) -> None:
        """Take other colours, also for a stop that is over."""
        self.theme = theme
        for card in self.cards:
            if isinstance(card, StopCard):
                card.theme, card.done = theme, False
                card.look()

    def put_away(self) -> bool:
        """Put the topmost card away; tells whether there was one."""
        for card in self.cards[:1]:
            card.put_away()
            return True
        return False

    def _put(self, card: Card) -> None:
        for other in [old for old in self.cards if type(old) is type(card)]:
            self._take(other)
        self.cards.insert(0, card)
        self.box.insertWidget(0, card)
        card.closed.connect(lambda: self._take(card))
        self._fit()

    def _take(self, card: Card) -> None:
        if card in self.cards:
            self.cards.remove(card)
            self.box.removeWidget(card)
            card.hide()
            card.deleteLater()
        self._fit()

    def _fit(self) -> None:
        self.area.setVisible(bool(self.cards))
        if self.cards:
            width = self.area.viewport().width()  # how high lines are that break depends on it
            height = sum(max(card.heightForWidth(width), 40) + 8 for card in self.cards)
            most = max(200, int(SHARE * self.window_.height()))
            self.area.setFixedHeight(min(most, height + 8))

    def _resume_all(self, paths: list[str]) -> None:
        self.put_away()
        self.window_.commands.resume_runs(paths)

    def _retry(self, run: Path) -> None:
        """Queue the item that led to a run once more, or what its folder says was asked."""
        manager = self.window_.session.manager
        try:
            for item in manager.items():
                if item.run and Path(item.run) == run:
                    copy = manager.duplicate(item.number)
                    manager.move(copy, 1)
                    break
            else:
                self.window_.say(f"{run.name} was not queued; copy it to the form", True)
                return
        except (LabError, OSError) as error:
            self.window_.say(str(error), True)
            return
        self.put_away()
        self.window_.commands.start_queue()

    def _skip(self) -> None:
        self.put_away()
        if self.window_.session.manager.waiting():
            self.window_.commands.start_queue()
