"""The time-tag panel: what its process counts, and what the panel shows of it."""

from __future__ import annotations

import numpy as np
import pytest

from labctl.errors import RequestError
from labctl.gui.processes.taghost import Tagger, background
from labctl.run.folder import RunFolder

RATE, SECONDS, DELAY = 20_000, 4.0, 3_000


def record(run, seed=1, shift=0.0):
    """Two channels of random tags; a tenth of those of the second follow the first by 3 ns."""
    rng = np.random.default_rng(seed)
    count = int(RATE * SECONDS)
    a = np.sort(rng.integers(0, int(SECONDS * 1e12), count)) + int(shift * 1e12)
    partners = a[rng.random(count) < 0.1] + DELAY
    b = np.sort(np.concatenate([rng.integers(0, int(SECONDS * 1e12), count) + int(shift * 1e12),
                                partners]))  # fmt: skip
    for name, times in (("alice", a), ("bob", b)):
        run.record_tags(name, {"channel": np.ones(len(times), np.uint8), "time (ps)": times}, shift)
    return len(partners)


@pytest.fixture
def run(tmp_path):
    with RunFolder.create(tmp_path, "p", {"columns": ["index"], "points": 2}) as run:
        run.opened({})
        yield run


def test_rates_coincidences_and_g2(run):
    pairs = record(run)
    tagger = Tagger()
    found = tagger.look(str(run.path), "alice/1", "bob/1", window=1000, delay=DELAY, span=1e6)
    rates = {one["name"]: one["rate"] for one in found["channels"]}
    assert rates["alice/1"] == pytest.approx(RATE, rel=0.01)
    pair = found["pair"]
    assert pair["coincidences"] - pair["accidentals"] == pytest.approx(pairs, rel=0.01)
    assert pair["g2"] == pytest.approx(1 + pairs / pair["accidentals"], rel=0.1)
    aside = tagger.look(str(run.path), "alice/1", "bob/1", window=200_000, delay=5e5, span=1e6)
    assert aside["pair"]["g2"] == pytest.approx(1.0, abs=5 * aside["pair"]["g2_error"])


def test_gaps_between_points_do_not_change_what_chance_gives(run):
    record(run)
    record(run, seed=2, shift=100.0)  # nothing in between
    pair = Tagger().look(str(run.path), "alice/1", "bob/1", 200_000, 5e5, 1e6)["pair"]
    assert pair["g2"] == pytest.approx(1.0, abs=5 * pair["g2_error"])


def test_only_new_tags_are_read_and_a_channel_with_itself_has_no_peak(run):
    record(run)
    tagger = Tagger()
    before = {c["name"]: c["tags"] for c in tagger.look(str(run.path))["channels"]}
    record(run, seed=2, shift=SECONDS)
    after = {c["name"]: c["tags"] for c in tagger.look(str(run.path))["channels"]}
    assert after["alice/1"] == 2 * before["alice/1"]
    pair = tagger.look(str(run.path), "alice/1", "alice/1", 1000, 0, 1e6)["pair"]
    assert max(pair["counts"]) < 5 * pair["by_chance"]


def test_what_cannot_be_shown_is_refused(run):
    record(run)
    with pytest.raises(RequestError, match="the window must be shorter"):
        Tagger().look(str(run.path), "alice/1", "bob/1", window=1e6, delay=0, span=1000)


def test_the_background_ignores_a_peak():
    counts = np.random.default_rng(0).poisson(100, 200)
    counts[90:100] = 5000
    assert background(counts) == pytest.approx(100, rel=0.03)
    assert background(np.zeros(0, dtype=np.int64)) == 0.0


def test_the_panel_shows_rates_and_follows_its_sliders(gui):
    with RunFolder.create(gui.runs, "p", {"columns": ["index"], "points": 1, "mode": "sim",
                                          "parameters": {}}) as run:  # fmt: skip
        run.opened({})
        record(run)
        run.emit({"index": 0}, 1.0)
        run.stop("finished")
    tags = gui.open().tags
    gui.window.tabs.setCurrentWidget(tags)
    gui.until(lambda: tags.start.count() == 2)
    assert (tags.start.currentText(), tags.stop.currentText()) == ("alice/1", "bob/1")
    tags._region.setRegion((2.5, 3.5))  # drag the window onto the peak, in ns
    assert tags.delay_ps == pytest.approx(DELAY, rel=0.1)
    gui.until(lambda: "coincidences" in tags.more.text())
    gui.until(lambda: float(tags.numbers.text().split("=")[1].split()[0]) > 50)
    assert tags.channels.item(0, 0).text() == "alice/1"
