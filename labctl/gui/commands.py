"""What the window can be told to do, by button or key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtWidgets import QFileDialog

from labctl.bench import find_bench
from labctl.errors import LabError
from labctl.gui.bigview import BigView
from labctl.manager import Item
from labctl.run.catalogue import RunSummary
from labctl.run.reading import RunReader
from labctl.viewing.exporting import export_run

if TYPE_CHECKING:
    from labctl.gui.window import Window

#: How reasons end that were given in this window: whoever pressed the button needs no card.
BY_HAND = "in the window"


class Commands:
    """The actions of one window; what goes wrong becomes a line at its bottom."""

    def __init__(self, window: Window) -> None:
        self.window = window
        self.session = window.session
        self.big: BigView | None = None
        self.ended: set[Path] = set()  # runs that were asked to end here

    def control(self, verb: str, reason: str = "") -> None:
        """Pause, resume or abort the run that goes on."""
        active = self.window.conductor.active
        try:
            run = self.session.control(verb, reason, active.path if active else None)
        except (LabError, OSError) as error:
            self.window.say(str(error), True)
        else:
            if verb == "abort":
                self.ended.add(run)
            self.window.say(f"{verb} asked of {run.name}")

    def pause_or_resume(self) -> None:
        """Whichever of the two the run can do now; the bar's button may not have been painted."""
        active = self.window.conductor.active
        paused = active is not None and active.status == "paused"
        self.control("resume" if paused else "pause")

    def abort(self) -> None:
        """Abort the run that goes on."""
        self.control("abort", f"aborted {BY_HAND}")

    def stop_all(self) -> None:
        """Ask for the bench to be made safe now, and show what each instrument answers."""
        window = self.window
        running = self.session.running() is not None
        if not running:  # what takes one connection only is wanted by who makes it safe
            window.bench.disconnect_bench()
        try:
            places = self.session.stop_all(
                f"STOP ALL SAFE {BY_HAND}", self.session.bench, window.bench.mode
            )
        except (LabError, OSError) as error:
            window.say(str(error), True)
        else:
            self.ended.update(folder for folder, _ in places)
            window.deck.stopping(places, () if running else list(window.bench.states))

    def start_queue(self) -> None:
        """Have the queue worked off by a process of its own."""
        window, manager = self.window, self.session.manager
        try:
            if not manager.worked_off() and not manager.waiting():
                window.say("nothing waits in the queue")
                return
            window.bench.disconnect_bench()  # the run wants the instruments for itself
            started = self.session.start_queue()
        except (LabError, OSError) as error:
            window.say(f"the queue cannot be started: {error}", True)
        else:
            window.say("the queue is being worked off" + ("" if started else " already"))
        window.queue.refresh()

    def resume_runs(self, paths: Sequence[str]) -> None:
        """Queue the rest of runs as the next items, and start; what is refused is said last."""
        refused = []
        for path in reversed(paths):
            try:
                self.session.manager.submit_resume(Path(path))
            except (LabError, OSError) as error:
                refused.append(str(error))
        if len(refused) < len(paths):
            self.start_queue()
        if refused:
            self.window.say("; ".join(refused), True)

    def show_run(self, path: str | Path) -> None:
        """Look at a run."""
        window = self.window
        try:
            window.conductor.show_run(Path(path))
        except (LabError, OSError) as error:
            window.say(str(error), True)
            return
        window.tabs.setCurrentWidget(window.live)

    def repeat(self, run: RunSummary) -> None:
        """Fill the form with what a run was asked for."""
        try:
            start = RunReader(run.path).start
        except (LabError, OSError) as error:
            self.window.say(str(error), True)
            return
        bench = start.get("bench") or {}
        shipped = Path(str(bench.get("path", ""))).parent.name == "benches"
        name = str(bench.get("name" if shipped else "path", ""))
        procedure = start["procedure"]
        try:
            packages = find_bench(name).procedures
        except LabError:
            packages = ()
        if str(start["class"]).partition(".")[0] not in packages:
            procedure = start["class"]  # somebody's own, named as it was asked for
        request = {
            "procedure": procedure, "parameters": start["parameters"],
            "bench": name, "mode": start.get("mode"),
            "world": start.get("world") or {}, "seed": start.get("seed") or 0,
            "title": start.get("title") or "",
        }  # fmt: skip
        self.window.form_control.load(Item(0, request), editing=False)
        self.window.say(f"the form is filled as run {run.number} was asked for")

    def export_shown(self) -> None:
        """Export the run that is looked at, into a folder that the user chooses."""
        feed = self.window.conductor.view
        if feed is not None:
            self.ask_export(feed.path)

    def ask_export(self, run: Path) -> None:
        chosen = QFileDialog.getExistingDirectory(
            self.window, "Export figure, data and manifest into a folder"
        )
        if chosen:
            self.export(run, Path(chosen))

    def export(self, run: Path, place: Path) -> list[Path]:
        """Write the run's figures, the live view as it is, its data and a manifest."""
        window = self.window
        figures = sorted((self.session.runs_dir / ".figures" / run.name).glob("*.png"))
        feed = window.conductor.view
        shot = place / "live-view.png"
        if feed is not None and feed.path == run:
            window.live.grab().save(str(shot))
            figures.append(shot)
        try:
            files = export_run(run, place, figures)
        except (LabError, OSError) as error:
            window.say(str(error), True)
            return []
        finally:
            shot.unlink(missing_ok=True)
        window.say(f"{len(files)} files in {files[0].parent}")
        return files

    def read_from_afar(self) -> BigView:
        """Fill the screen with what can be read from three metres."""
        if self.big is None:
            self.big = BigView(self.window.theme)
        self.refresh_big()
        self.big.setGeometry(self.window.screen().geometry())  # also where no manager does that
        self.big.showFullScreen()
        return self.big

    def refresh_big(self) -> None:
        if self.big is not None:
            self.big.show_run(self.window.conductor.active, self.window.mode())
