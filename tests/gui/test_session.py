"""What the window finds out about runs and queue without looking at everything each time."""

from __future__ import annotations

from pathlib import Path

from labctl.run.folder import RunFolder
from labctl.viewing import session as sessions
from labctl.viewing.session import Session


def make(runs: Path, stop: bool = True) -> RunFolder:
    run = RunFolder.create(runs, "p", {"columns": ["index"], "points": 1, "parameters": {}})
    if stop:
        run.stop("finished")
        run.close()
    return run


def test_newest_runs_are_listed_again_only_when_the_folder_changed(tmp_path, monkeypatch):
    session = Session(tmp_path / "runs")
    assert session.newest() == []
    first = make(session.runs_dir)
    assert session.newest() == [first.path]
    looks = []
    listing = sessions.newest
    monkeypatch.setattr(sessions, "newest", lambda *a: (looks.append(1), listing(*a))[1])
    assert session.newest() == [first.path]
    assert not looks
    second = make(session.runs_dir)
    assert session.newest() == [second.path, first.path]
    (second.path / "run.jsonl").rename(second.path / "hidden")  # made, but no journal yet
    (session.runs_dir / "other").mkdir()
    assert session.newest() == [first.path]
    (second.path / "hidden").rename(second.path / "run.jsonl")
    assert session.newest() == [second.path, first.path]


def test_a_run_that_goes_on_is_found_however_old_it_is(tmp_path, monkeypatch):
    monkeypatch.setattr(sessions, "LATEST", 2)
    session = Session(tmp_path / "runs")
    old = make(session.runs_dir)
    for _ in range(3):
        make(session.runs_dir)
    assert session.running() is None
    resumed = RunFolder.resume(old.path)  # as `labctl resume` does, which the queue knows not of
    assert old.path not in session.newest()
    assert session.running() == old.path
    newer = make(session.runs_dir, stop=False)
    assert session.running() == newer.path
    newer.close()
    assert session.running() == old.path
    resumed.close()
    assert session.running() is None


def test_a_queue_that_cannot_be_read_is_empty(tmp_path):
    session = Session(tmp_path / "runs")
    session.runs_dir.mkdir()
    (session.runs_dir / "queue.jsonl").mkdir()
    assert session.items() == []
