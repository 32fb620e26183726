"""Behind the form: it asks the helper what there is, what a plan costs, and queues it."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from qtpy.QtCore import QObject, QTimer, Signal

from labctl.errors import LabError
from labctl.gui.dryrun import DryRun
from labctl.gui.formview import FormView
from labctl.gui.helperlink import HelperLink
from labctl.manager import Item, Policy
from labctl.viewing.estimate import Pace
from labctl.viewing.planning import COUNTED, Wish, preview
from labctl.viewing.session import Session
from labctl.viewing.words import breakable

#: Seconds without a key stroke after which the plan is made anew.
PAUSE = 0.25
#: Seconds that a module has to be imported; the first one brings numpy and pymeasure along.
IMPORT = 30.0


class FormControl(QObject):
    """Fills the form and carries out what its buttons ask for."""

    queued = Signal(list, bool)  # numbers of the items; whether to start the queue
    bench_changed = Signal(str)
    dry_running = Signal(object)  # the folder of runs of a dry run
    said = Signal(str, bool)  # a line for the user; whether it is bad news

    def __init__(self, view: FormView, session: Session, helper: HelperLink) -> None:
        super().__init__(view)
        self.view, self.session, self.helper = view, session, helper
        self.wish: Wish | None = None  # the last one that could be queued as it is
        self.editing: int | None = None
        self._asked = ""  # name of the procedure that is shown, or will be
        self._skipped: dict[str, str] = {}  # modules that must not be imported, and why
        self._kept: Item | None = None  # what the form said before another bench was chosen
        self._fill: Item | None = None  # whose values the fields get once they are there
        self._typed: dict[str, tuple[bool, str]] = {}  # in the fields before the bench was edited
        self._dry = DryRun(self)
        self._dry_of = ""  # procedure of the last dry run
        self._version = 0  # of what the form says; an answer about an older one is no longer true
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._plan)
        view.bench_typed.connect(self._bench_typed)
        view.bench_chosen.connect(self.choose_bench)
        view.procedure_chosen.connect(self.choose_procedure)
        view.changed.connect(self._changed)
        view.submit.connect(self.submit)
        view.dry_run.connect(self.dry_run)
        view.save.connect(self._save)
        view.cancel.connect(self.stop_editing)
        self._dry.ended.connect(self._dry_run_ended)
        view.allow(False)

    def begin(self) -> None:
        """Ask for the benches, and fill the form for the session's."""
        self.helper.ask("benches", self._show_benches, self._failed)

    def choose_bench(self, name: str) -> None:
        if name == self.session.bench and self.view.procedure.count():
            return
        self.session.bench = name
        self.bench_changed.emit(name)
        self._kept = self._as_item() or self._kept
        self._void()
        self.view.show_plan("looking for what this bench can measure…")
        self._skipped = {}
        self._ask_procedures()

    def renew(self) -> None:
        """Read the bench again, whose file was edited: what was typed stays, its mode may not."""
        rows = self.view.rows
        self._typed = {n: (row.swept, row.text) for n, row in rows.items()} or self._typed
        self.bench_changed.emit(self.session.bench)
        self._void()
        self.view.show_plan("the bench file was edited…")
        self._skipped = {}
        self._ask_procedures()

    def _ask_procedures(self) -> None:
        self.helper.ask(
            "procedures", self._show_procedures, self._bench_failed, key="procedures",
            seconds=IMPORT, bench=self.session.bench, skip=self._skipped,
        )  # fmt: skip

    def choose_procedure(self, name: str) -> None:
        """Show the parameters of a procedure."""
        box = self.view.procedure
        if box.findData(name) < 0:  # one that the bench's packages do not hold
            box.addItem(name, name)
        box.setCurrentIndex(box.findData(name))
        self._asked = name
        self._void()
        self.view.show_plan("")
        self.helper.ask(
            "describe", self._show_procedure, self._procedure_failed, key="describe",
            seconds=IMPORT, procedure=name, bench=self.session.bench,
        )  # fmt: skip

    def load(self, item: Item, editing: bool) -> None:
        """Put the values of an item (or of a run, as one) into the form."""
        self.editing = item.number if editing else None
        self._fill = item
        self.view.show_editing(self.editing)
        bench = str(item.request.get("bench") or "")
        if bench != self.session.bench:
            self.view.bench.setEditText(bench)
            self.choose_bench(bench)
        else:
            self.choose_procedure(item.request["procedure"])

    def stop_editing(self) -> None:
        self.editing = None
        self.view.show_editing(None)

    def submit(self, start: bool) -> None:
        """Queue what the form says, all runs of a sweep or none."""
        self._ask_to_queue("submit", lambda numbers: self.queued.emit(numbers, start))

    def dry_run(self) -> None:
        """Run once on the simulated bench, in a folder of its own that nobody keeps.

        Asked for while one goes on, it ends that one.
        """
        if self._dry.going:
            self._dry.stop()
        elif self.wish is not None:
            try:
                place = self._dry.start(self.wish)
            except OSError as error:
                self.said.emit(f"no dry run: {error}", True)
                return
            self._dry_of = self.wish.procedure
            self.view.show_dry_run(going=True)
            self.said.emit("a dry run begins; the queue does not wait for it", False)
            self.dry_running.emit(place)

    def end(self) -> None:
        """End what belongs to the window alone."""
        self._dry.close()

    def _dry_run_ended(self, problem: str) -> None:
        """Use what a dry run took for the next preview."""
        self.view.show_dry_run(going=False)
        if problem:
            self.said.emit(f"the dry run {problem}", True)
        self._changed()

    # Answers of the helper

    def _show_benches(self, rows: list[dict[str, str]]) -> None:
        box = self.view.bench
        wanted = self.session.bench or (rows[0]["name"] if rows else "")
        for row in rows:
            box.addItem(row["name"], row["name"])
            box.setItemData(box.count() - 1, row["title"], 3)  # the tool tip
        box.setEditText(wanted)
        self.session.bench = ""
        self.choose_bench(wanted)

    def _show_procedures(self, found: dict[str, Any]) -> None:
        box = self.view.procedure
        box.clear()
        for row in found["procedures"]:
            box.addItem(row["name"] + ("  (broken)" if row["broken"] else ""), row["name"])
            box.setItemData(box.count() - 1, row["summary"], 3)
        world = found["world"]
        self.view.world.setEnabled(bool(world))
        self.view.world.setToolTip(
            "\n".join(
                f"{name} = {w['default']} {w['unit']}: {w['meaning']}" for name, w in world.items()
            )
        )
        whole = [row["name"] for row in found["procedures"] if not row["broken"]]
        if self._fill is None and self._kept and self._kept.request["procedure"] in whole:
            request = {**self._kept.request, "world": {}, "mode": None}  # of the other bench
            self._fill = replace(self._kept, request=request)
        self._kept = None
        first = self._asked if self._asked in whole else (whole or [""])[0]
        wanted = self._fill.request["procedure"] if self._fill else first
        if wanted != self._asked:
            self._typed = {}
        if wanted:
            self.choose_procedure(wanted)
        else:
            self.view.set_fields({})
            self.view.show_plan("no procedure runs on this bench", wrong=True)

    def _show_procedure(self, found: dict[str, Any]) -> None:
        meaning = found["meaning"]
        begin = re.split(r"(?<=[a-z)])\.\s", meaning, maxsplit=1)[0]  # the rest is in the tip
        short = meaning if len(meaning) < 120 else f"{begin[:200]} …"
        self.view.meaning.setText(breakable(short))
        self.view.meaning.setToolTip(meaning)
        self.view.set_fields(found["parameters"])
        if self._fill is not None and self._fill.request["procedure"] == self._asked:
            item, self._fill = self._fill, None
            self._fill_in(item)
        else:
            for name, (swept, text) in self._typed.items():
                if name in self.view.rows:
                    self.view.rows[name].sweep.setChecked(swept)
                    self.view.rows[name].set_text(text)
        self._typed = {}

    def _fill_in(self, item: Item) -> None:
        request, view = item.request, self.view
        for name, value in request["parameters"].items():
            if name in view.rows:
                view.rows[name].set_value(value)
        view.title.setText(str(request.get("title") or ""))
        view.seed.setValue(int(request.get("seed") or 0))
        view.mode.setCurrentIndex(max(0, view.mode.findData(request.get("mode") or "")))
        world: Mapping[str, Any] = request.get("world") or {}
        view.world.setText(", ".join(f"{name}={value}" for name, value in world.items()))
        when = item.policy.not_before
        later = when > time.time()  # a time that has passed delays nothing any more
        view.at.setText(f"{datetime.fromtimestamp(when):%Y-%m-%d %H:%M:%S}" if later else "")
        view.failure.setCurrentIndex(view.failure.findData(item.policy.on_failure))
        view.retries.setValue(max(1, item.policy.retries))
        view.show_retries()

    def _as_item(self) -> Item | None:
        """What the form says now, if it could be queued."""
        if self.wish is None:
            return None
        try:
            policy = Policy(**self.view.policy())
        except LabError:  # its time has passed
            policy = Policy()
        request = {**self.wish.requests()[0], "title": self.wish.title}
        return Item(self.editing or 0, request, policy=policy)

    # Planning

    def _changed(self) -> None:
        self._void()
        self._timer.start(int(PAUSE * 1000))

    def _void(self) -> None:
        """Nothing can be queued until somebody has looked at what the form says now."""
        self._version += 1
        self._timer.stop()
        self.wish = None
        self.view.allow(False)

    def _bench_typed(self) -> None:
        """A bench is taken when its name is whole; until then nothing runs on the one before."""
        if self.view.bench_name() == self.session.bench:
            self._changed()
        else:
            self._kept = self._as_item() or self._kept
            self._void()
            self.view.show_plan("Return takes this bench")

    def _plan(self) -> None:
        if not self.view.rows and not self.view.procedure.count():
            return
        try:
            wish = self.view.wish()
            begin = float(self.view.policy()["not_before"])
            sets = wish.sets()
        except (LabError, ValueError) as error:
            self.view.show_plan(str(error), wrong=True)
            return
        version = self._version

        def planned(found: dict[str, Any]) -> None:
            if version == self._version:
                self._show_plan(wish, begin, len(sets), found)

        def failed(error: str) -> None:
            if version == self._version:
                self._plan_failed(error)

        self.helper.ask(
            "plan", planned, failed,
            key="plan", seconds=20.0, procedure=wish.procedure, bench=wish.bench, mode=wish.mode,
            sets=sets[:COUNTED], runs_dir=str(self.session.runs_dir),
            dry=str(self._dry.run or "") if self._dry_of == wish.procedure else "",
        )  # fmt: skip

    def _show_plan(self, wish: Wish, begin: float, runs: int, found: dict[str, Any]) -> None:
        pace = Pace(**found["pace"]) if found["pace"] else None
        text = preview(
            found["points"], runs, pace, found["mode"], self.session.disk_left(), begin,
            time.time(), found["others"],
        )  # fmt: skip
        self.view.show_plan(text, wrong="NOT ENOUGH" in text)
        self.wish = wish
        self.view.allow(True)

    def _save(self) -> None:
        if self.editing is not None:
            self._ask_to_queue("edit", lambda _: self._saved())

    def _saved(self) -> None:
        self.said.emit(f"item {self.editing} changed", False)
        self.stop_editing()
        self.queued.emit([], False)

    def _ask_to_queue(self, what: str, done: Any) -> None:
        if self.wish is None:
            return
        try:
            policy = self.view.policy()
            requests = self.wish.requests()
        except (LabError, ValueError) as error:
            self.view.show_plan(str(error), wrong=True)
            return
        rest: dict[str, Any] = {"requests": requests}
        if what == "edit":
            if len(requests) != 1:
                self.view.show_plan("one item cannot become a sweep; queue it anew", wrong=True)
                return
            rest = {"item": self.editing, "request": requests[0]}
        self.view.allow(False)  # pressed twice, it would be queued twice
        if len(requests) > 1:
            self.view.show_plan(f"checking and queuing {len(requests)} runs…")

        def finished(found: Any) -> None:
            self.view.show_plan("")
            done(found)
            self._changed()

        self.helper.ask(
            what, finished, self._refused, seconds=120.0 + len(requests), policy=policy,
            runs_dir=str(self.session.runs_dir), **rest,
        )  # fmt: skip

    # Bad news

    def _refused(self, error: str) -> None:
        """Say why nothing was queued."""
        self.view.allow(self.wish is not None)
        self._plan_failed(error)
        self.said.emit(error, True)

    def _plan_failed(self, error: str) -> None:
        """Show a reason below the form, and at the field that it names."""
        for name, row in self.view.rows.items():
            if f"parameter '{name}'" in error or error.startswith(f"{name}: "):
                row.refuse(error.removeprefix(f"{name}: "))
        self.view.show_plan(error, wrong=True)

    def _procedure_failed(self, error: str) -> None:
        self.view.set_fields({})
        self.view.meaning.setText("")
        self.view.show_plan(error, wrong=True)
        self.view.allow(False)
        self._timer.stop()

    def _bench_failed(self, error: str) -> None:
        if (module := self.helper.culprit) and module not in self._skipped:  # the others may do
            self._skipped[module] = f"cannot be imported: {error}"
            self.said.emit(self._skipped[module], True)
            self._ask_procedures()
            return
        self.view.procedure.clear()
        self._procedure_failed(error)

    def _failed(self, error: str) -> None:
        self.said.emit(error, True)
