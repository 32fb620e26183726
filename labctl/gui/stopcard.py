"""The card of a stop: what each instrument answered to STOP ALL SAFE, as it comes."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from qtpy.QtWidgets import QLabel

from labctl.filelock import is_locked
from labctl.gui.cards import Card
from labctl.gui.theme import Theme
from labctl.run import safety
from labctl.run.locate import folder_number
from labctl.viewing.words import breakable

#: Seconds after which what has not been confirmed will not be.
LATE = 40.0


class StopCard(Card):
    """Reads the accounts of the runs that are stopped, or of a bench that no run has.

    Args:
        places: folders in which accounts will be, and how many each has from before.
        names: of instruments of which something will be said.
        theme: colours.
        problem: tells why whoever makes everything safe gave up; "" as long as he did not.
    """

    def __init__(
        self, places: Sequence[tuple[Path, int]], names: Sequence[str], theme: Theme,
        problem: Callable[[], str] = str,
    ) -> None:  # fmt: skip
        super().__init__("STOP ALL SAFE")
        self._problem = problem
        self.places, self.names, self.theme = list(places), list(names), theme
        self.began = time.monotonic()
        self.done = False
        self.lines = QLabel("")
        self.lines.setWordWrap(True)
        self.box.addWidget(self.lines)
        self.look()

    @property
    def folders(self) -> list[Path]:
        return [folder for folder, _ in self.places]

    def look(self) -> None:
        """Show what is known by now."""
        if self.done:
            return
        accounts = [safety.read(folder, skip) for folder, skip in self.places]
        self.done = all(map(safety.is_closed, accounts))
        runs = [folder for folder in self.folders if folder_number(folder.name)]
        over = bool(runs) and not any(is_locked(run / "writer.lock") for run in runs)
        lines: list[str] = []
        bad = 0
        for folder, account in zip(self.folders, accounts, strict=True):
            run = f"{folder_number(folder.name)} " if len(runs) > 1 else ""
            said = {str(line["instrument"]): line for line in account if "instrument" in line}
            expected = account[0]["expected"] if account else () if over else self.names
            bad += sum(line["state"] != safety.SAFE for line in said.values())
            lines += [self._line(run, n, said.get(n)) for n in dict.fromkeys([*expected, *said])]
            lines += [escape(str(line["ended"])) for line in account if "ended" in line]
        ended = over and not any(accounts)  # by itself, before it was asked
        waited = time.monotonic() - self.began
        problem = "" if self.done or ended else self._problem()
        self._show_heading(bad, ended, waited, gave_up=bool(problem))
        if problem:
            lines.append(escape(breakable(problem)))
        elif not self.done and not ended and waited > LATE:
            lines.append("queue.log beside the runs may say more")
        self.lines.setText("<br>".join(lines))

    def _show_heading(self, bad: int, ended: bool, waited: float, gave_up: bool) -> None:
        theme = self.theme
        if bad:
            text, colour = f"{bad} NOT SAFE, CHECK BY HAND", theme.bad
        elif self.done:
            text, colour = "every instrument safe", theme.good
        elif ended:
            text, colour = "the run had ended and made the bench safe itself", theme.good
        elif gave_up or waited > LATE:
            text, colour = "NOT EVERYTHING CONFIRMED, CHECK BY HAND", theme.bad
        else:
            text, colour = f"asked {waited:.1f} s ago", theme.warn
        self.heading.setText(f"STOP ALL SAFE: {text}")
        self.heading.setStyleSheet(f"color: {colour};")

    def _line(self, run: str, name: str, said: Mapping[str, Any] | None) -> str:
        """What one instrument answered, in colour."""
        theme = self.theme
        if said is None:
            colour, text = theme.warn, f"… {run}{name}: waiting"
        else:
            good = said["state"] == safety.SAFE
            colour = theme.good if good else theme.bad
            detail = f" – {said['detail']}" if said.get("detail") else ""
            text = f"{'✓' if good else '✕'} {run}{name}: {said['state']}{detail}"
        return f"<span style='color:{colour}'>{escape(breakable(text))}</span>"
