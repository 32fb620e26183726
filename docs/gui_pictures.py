"""Make the pictures of docs/gui.md: `python docs/gui_pictures.py [dark|light] [SCENE]...`.

It drives the real window through real runs on the simulated benches, offscreen.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

from PIL import Image
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QWidget

from labctl.bench import find_bench
from labctl.gui.app import application, open_window
from labctl.gui.window import Window
from labctl.manager import Manager, Policy
from labctl.manager.delays import moment
from labctl.run import marks
from labctl.run.request import Request

IMAGES = Path(__file__).parent / "images"
WIDTH = 1110  # pixels of a picture
PATIENCE = 180.0


def keep(widget: QWidget, path: Path) -> None:
    """Save a widget as a small picture: scaled, with as many colours as it needs of 256."""
    picture = widget.grab().toImage()
    picture.scaledToWidth(WIDTH, Qt.TransformationMode.SmoothTransformation).save(str(path))
    with Image.open(path) as found:
        small = found.convert("RGB").quantize(256, kmeans=2, dither=Image.Dither.NONE)
    small.save(path, optimize=True)


class Photographer:
    """One window, and a camera."""

    def __init__(self, runs: Path, bench: str, theme: str) -> None:
        self.theme = theme
        self.window: Window = open_window(runs, bench, theme)
        self.until(self.window.conductor._fast.isActive)
        self.idle()

    def until(self, condition: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not condition():
            application().processEvents()
            time.sleep(0.005)
            if time.monotonic() > end:
                raise SystemExit("the window did not get there")

    def wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        self.until(lambda: time.monotonic() > end)

    def idle(self) -> None:
        timer = self.window.form_control._timer
        self.until(lambda: not self.window.helper.busy and not timer.isActive())

    def choose(self, procedure: str, **texts: str) -> None:
        self.window.form_control.choose_procedure(procedure)
        self.idle()
        for name, text in texts.items():
            self.window.form.rows[name].set_text(text)
        self.idle()

    def run(self, **texts: str) -> None:
        self.choose(**texts)
        self.until(self.window.form.start_button.isEnabled)
        self.window.form.start_button.click()

    def ended(self) -> None:
        conductor = self.window.conductor
        self.until(lambda: conductor.active and conductor.active.complete)

    def shot(self, name: str) -> None:
        self.wait(0.6)
        suffix = "" if self.theme == "dark" else f"-{self.theme}"
        keep(self.window, IMAGES / f"gui-{name}{suffix}.png")


def microcomb(runs: Path, theme: str) -> None:
    camera = Photographer(runs, "cluster-microcomb", theme)
    window = camera.window
    camera.run(procedure="covariance-sweep")
    camera.until(lambda: window.conductor.active and window.conductor.active.table.seen > 200)
    camera.shot("live")
    window.toggle_theme()
    camera.shot("live-light" if theme == "dark" else "live-dark")
    window.toggle_theme()
    camera.ended()
    camera.until(lambda: window.results.pictures)
    window.tabs.setCurrentWidget(window.results)
    camera.shot("results")
    manager = queue(camera, runs)
    (path,) = runs.glob("0003-*")
    marks.star(path)
    marks.label(path, "good")
    marks.remark(path, "the best so far")
    window.tabs.setCurrentWidget(window.runs)
    camera.until(lambda: len(window.runs.model.runs) == 3)
    window.renew_catalogue()
    camera.idle()
    window.runs.table.selectRow(0)
    camera.shot("runs")
    window.tabs.setCurrentWidget(window.bench)
    window.bench.connect_bench()
    camera.until(lambda: window.bench.states.get("laser") == "good")
    window.bench.choose("laser")
    camera.until(lambda: window.bench.values.rows)
    window.bench.values.choose("wavelength")
    camera.shot("bench")
    window.bench.disconnect_bench()
    for item in manager.waiting():
        manager.remove(item.number)
    window.close()


def queue(camera: Photographer, runs: Path) -> Manager:
    """Work a queue off, but for what is delayed, and show it with what was added then."""
    window, manager = camera.window, Manager(runs)
    for procedure, title in (("epr-pairs", "morning"), ("ring-transmission", "after alignment")):
        manager.submit(Request(procedure, {}, "cluster-microcomb", title=title))
    night = Policy(moment("22:30"), "retry", 2)
    manager.submit(Request("nullifiers", {}, "cluster-microcomb", title="night"), night)
    window.commands.start_queue()
    camera.until(lambda: sum(item.status == "finished" for item in manager.items()) == 3)
    camera.ended()
    manager.halt()
    for procedure, title in (("covariance-sweep", "after lunch"), ("epr-pairs", "evening")):
        manager.submit(Request(procedure, {}, "cluster-microcomb", title=title))
    window.tabs.setCurrentWidget(window.queue)
    camera.choose("squeezing-spectrum")
    row = window.form.rows["pair"]
    row.sweep.setChecked(True)
    row.set_text("10 to 20, 6 points")
    camera.idle()
    camera.wait(1.0)
    camera.until(lambda: "1 item unknown" in window.queue.outlook.text())
    window.queue.table.selectRow(4)
    camera.shot("queue")
    return manager


def failing(runs: Path, theme: str) -> None:
    """A bench whose analyser falls silent."""
    text = find_bench("cluster-microcomb").text
    text = text.replace(
        "[instruments.analyser]\n", "[instruments.analyser]\nfaults = { hang = 60 }\n", 1
    )
    runs.mkdir(parents=True)
    path = runs.parent / "silent-analyser.toml"
    path.write_text(text, encoding="utf-8")
    camera = Photographer(runs, str(path), theme)
    camera.run(procedure="squeezing-spectrum")
    camera.until(lambda: camera.window.deck.cards)
    camera.shot("failure")
    camera.window.close()


def network(runs: Path, theme: str) -> None:
    camera = Photographer(runs, "entanglement-network", theme)
    window = camera.window
    camera.run(procedure="pair-rates", keep_tags="True", powers="0.4", pairs="C38-C42")
    camera.ended()
    tags = window.tags
    window.tabs.setCurrentWidget(tags)
    camera.until(lambda: tags.start.count() > 4)
    tags.stop.setCurrentText("B/0")
    tags.span.setValue(80)
    tags._region.setRegion((-11.5, -8.5))  # ns, onto a peak
    camera.wait(3.0)
    camera.until(lambda: not tags.host.busy)
    camera.shot("tags")
    big = window.commands.read_from_afar()
    big.showNormal()  # the screen of the offscreen platform is small
    big.resize(1480, 832)
    camera.wait(0.5)
    suffix = "" if theme == "dark" else f"-{theme}"
    keep(big, IMAGES / f"gui-afar{suffix}.png")
    window.close()


SCENES = {"microcomb": microcomb, "failing": failing, "network": network}


def main() -> int:
    theme = sys.argv[1] if len(sys.argv) > 1 else "dark"
    wanted = sys.argv[2:] or list(SCENES)
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        for name in wanted:
            SCENES[name](Path(place) / name / "runs", theme)
    return 0


if __name__ == "__main__":
    sys.exit(main())
