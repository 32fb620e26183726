"""Small pictures of runs in the catalogue: made once, in the background, for what is looked at."""

from __future__ import annotations

import os

import pytest
from PIL import Image

from labctl.errors import RequestError
from labctl.gui import thumbnails as module
from labctl.gui.processes.drawer import HEIGHT, WIDTH, picture_of, thumbnail
from labctl.gui.thumbnails import Thumbnails
from labctl.run.catalogue import list_runs
from labctl.run.folder import RunFolder


def colours(path):
    with Image.open(path) as found:
        assert found.size == (WIDTH, HEIGHT)
        return {colour for _, colour in found.convert("RGB").getcolors(1 << 16)}


def make(runs, *values, stop="failed"):
    run = RunFolder.create(runs, "scan", {"columns": ["index", "y"], "parameters": {}})
    for index, value in enumerate(values):
        run.emit({"index": index, "y": value}, float(index))
    run.stop(stop)
    run.close()
    return run.path


def test_a_run_without_figures_shows_its_last_column(tmp_path):
    place = tmp_path / ".figures"
    run = make(tmp_path, 1.0, 3.0, float("nan"), 2.0)
    path = thumbnail(str(run), str(place))
    assert path == str(picture_of(run, place))
    assert len(colours(path)) > 10
    for values in ((), (float("nan"),), ("text",)):
        with pytest.raises(RequestError, match="nothing to draw"):
            thumbnail(str(make(tmp_path, *values)), str(place))


def test_figures_that_are_there_are_made_small(tmp_path):
    place = tmp_path / ".figures"
    run = make(tmp_path, 1.0, stop="finished")
    (place / run.name).mkdir(parents=True)
    Image.new("RGB", (700, 500), (200, 30, 30)).save(place / run.name / "1-map.png")
    assert (200, 30, 30) in colours(thumbnail(str(run), str(place)))
    os.utime(place / run.name / "1-map.png", (1, 1))  # older than the run: it was resumed
    assert (200, 30, 30) not in colours(thumbnail(str(run), str(place)))


def test_pictures_are_asked_for_once_the_last_looked_at_first(tmp_path, monkeypatch, gui):
    asked = []

    class Link:
        """Draws at once, in this process; as the real one it is busy until it has answered."""

        def __init__(self, *_):
            self.busy = False

        def ask(self, what, done, failed, *, seconds, run, place):
            asked.append(run)
            self.busy = True
            try:
                made = thumbnail(run, place)
            except RequestError as error:
                later.append((failed, str(error)))
            else:
                later.append((done, made))

        def close(self):
            asked.append("closed")

    later = []
    monkeypatch.setattr(module, "HelperLink", Link)
    monkeypatch.setattr(module, "MOST_WAITING", 2)
    gui.spin()  # there must be an application
    for value in (1.0, 2.0, 3.0, 4.0):
        make(tmp_path, value, value)
    make(tmp_path)
    runs = list_runs(tmp_path)
    found = Thumbnails(tmp_path)
    assert [found.icon(run) for run in runs] == [None] * 5
    drawn = []
    found.drawn.connect(drawn.append)
    while later:
        done, answer = later.pop()
        found._link.busy = False
        done(answer)
        gui.until(lambda: later or not found._waiting)
        gui.spin(0.02)
    first, _, third, fourth, _ = [run.path for run in runs]
    assert asked == [str(first), str(fourth), str(third)]  # the second was scrolled away
    assert drawn == [path.name for path in (first, fourth, third)]
    assert found.icon(runs[0]) is not None
    assert found.icon(runs[4]) is None
    again = Thumbnails(tmp_path)  # another window: what was drawn is there at once
    assert again.icon(runs[2]) is not None
    assert len(asked) == 3
    found.close()
    assert asked[-1] == "closed"
