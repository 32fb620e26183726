"""A run that records time tags: killed, resumed, replayed, analysed again, shown."""

from __future__ import annotations

import json

import numpy as np
import pytest
import toybench
from commandline import call

from labctl.run.folder import RunFolder


@pytest.fixture
def clicks(capsys, place):
    """Run the toy bench's clicks; returns the document on standard output."""

    def run(*words: str, verb: tuple[str, ...] = ("run", "toybench:Clicks", "--bench", "toy.toml")):
        code, out, err = call(capsys, *verb, "--json", *words)
        assert code == 0, err
        return json.loads(out)

    return run


def test_tags_reach_the_analysis_and_replay_to_the_bit(clicks, capsys) -> None:
    document = clicks()
    assert document["results"]["clicks"]["value"] == 1500
    run = RunFolder.open(document["run"])
    assert run.tag_counts() == {"alice": 1500}
    assert document["results"]["last"]["value"] == run.tags("alice")["time (ps)"][-1]
    for mode in ("wire", "sim"):
        again = clicks("last", "--mode", mode, verb=("replay",))
        assert (again["identical"], again["compared"]) == (True, 10)


def test_a_replay_with_other_tags_says_where(clicks, capsys, monkeypatch) -> None:
    clicks()
    measure = toybench.Clicks.measure_point

    def another(self, point):
        if point["step"] == 4:
            record = self.record_tags
            self.record_tags = lambda name, columns: record(
                name, {**columns, "time (ps)": columns["time (ps)"] + 1}
            )
        row = measure(self, point)
        vars(self).pop("record_tags", None)
        return row

    monkeypatch.setattr(toybench.Clicks, "measure_point", another)
    code, _, err = call(capsys, "replay", "last")
    assert code == 4
    assert "point 4, tags 'alice': 'time (ps)': value 0 was" in err


def test_an_analysis_again_has_the_same_tags(clicks) -> None:
    first = clicks()
    second = clicks("last", verb=("analyse",))
    assert second["results"] == first["results"]
    old, new = RunFolder.open(first["run"]), RunFolder.open(second["run"])
    for row in range(10):
        for column, values in old.tags("alice", row).items():
            np.testing.assert_array_equal(new.tags("alice", row)[column], values)


def test_a_point_that_failed_is_measured_again_and_counts_once(clicks, capsys, monkeypatch) -> None:
    words = ("run", "toybench:Clicks", "--bench", "toy.toml", "--set", "fail_at=6")
    assert call(capsys, *words)[0] == 1
    path = json.loads(call(capsys, "show", "last", "--json")[1])["run"]
    run = RunFolder.open(path)
    assert len(run.rows) == 6
    assert run.tag_counts() == {"alice": 7 * 150}
    first_attempt = RunFolder.open(path).tags("alice")["time (ps)"][6 * 150 :]

    monkeypatch.setattr(
        toybench.Clicks, "set", lambda self, **values: toybench.Watch.set(
            self, **{**values, "fail_at": -1}
        ),
    )  # fmt: skip
    document = clicks("last", verb=("resume",))
    assert document["results"]["clicks"]["value"] == 1500
    run = RunFolder.open(path)
    assert run.tag_counts() == {"alice": 1500}
    times = run.tags("alice")["time (ps)"]
    assert len(times) == 1500
    assert not np.isin(first_attempt, times).any()
    assert clicks("last", verb=("replay",))["identical"]
