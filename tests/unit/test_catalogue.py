"""The catalogue: an index that may be lost, damaged, shared or forbidden at any time."""

from __future__ import annotations

import contextlib
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from labctl.errors import RequestError
from labctl.journal import Journal
from labctl.run import catalogue, marks
from labctl.run.catalogue import INDEX, RunSummary, list_runs, newest_runs, renew
from labctl.run.folder import RunFolder

LONG_AGO = datetime(2020, 2, 29, 12).timestamp()


def make(runs: Path, procedure: str = "scan", *, stop: str = "finished", **start: Any) -> RunFolder:
    run = RunFolder.create(runs, procedure, {"bench": {"name": "microcomb"}, "seed": 3, **start})
    run.opened({"stretch": 0})
    run.emit({"index": 0}, 0.0)
    if stop:
        run.stop(stop, "" if stop == "finished" else "lamp broke")
    run.close()
    return run


def numbers(runs: Path, **selection: Any) -> list[int]:
    return [summary.number for summary in list_runs(runs, **selection)]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def test_a_summary_says_what_the_run_says(runs: Path) -> None:
    run = RunFolder.create(
        runs,
        "covariance-sweep",
        {
            "title": "Überblick", "bench": {"name": "microcomb", "text": "..."}, "mode": "sim",
            "seed": 3, "parameters": {"span": 0.1, "weird": float("inf")}, "units": {"span": "nm"},
            "started": LONG_AGO,
        },
    )  # fmt: skip
    run.emit({"index": 0}, 0.0)
    run.results({"nullifier": {"value": -1.5, "uncertainty": 0.1, "unit": "dB"}})
    run.stop("aborted", "too warm")
    run.close()
    assert list_runs(runs) == [
        RunSummary(
            path=run.path, number=1, procedure="covariance-sweep", status="aborted",
            started=datetime(2020, 2, 29, 12), rows=1, title="Überblick", bench="microcomb",
            mode="sim", seed=3, parameters={"span": 0.1, "weird": float("inf")},
            units={"span": "nm"}, tags={}, reason="too warm",
            results={"nullifier": {"value": -1.5, "uncertainty": 0.1, "unit": "dB"}},
        )
    ]  # fmt: skip


def test_new_changed_and_deleted_runs_are_noticed(runs: Path) -> None:
    assert list_runs(runs.parent) == []
    assert list(runs.parent.iterdir()) == []  # a folder without runs is left alone
    first = make(runs)
    assert numbers(runs) == [1]
    second = make(runs, stop="")
    third = make(runs)
    assert [s.status for s in list_runs(runs)] == ["finished", "interrupted", "finished"]
    with RunFolder.resume(second.path) as run:
        assert [s.status for s in list_runs(runs)] == ["finished", "running", "finished"]
        run.paused()
        assert list_runs(runs)[1].status == "paused"
        run.resumed()
        run.emit({"index": 1}, 1.0)
        run.stop("failed", "no light")
        assert list_runs(runs)[1].status == "failed"
        assert list_runs(runs)[1].rows == 2
    for path in sorted(first.path.rglob("*"), reverse=True):
        path.unlink()
    first.path.rmdir()
    (third.path / "run.jsonl").rename(third.path / "gone")
    assert numbers(runs) == [2]


def test_selections(runs: Path) -> None:
    make(runs, "scan", title="Before the Move", started=LONG_AGO)
    make(runs, "scan", parameters={"centre": 1550.12, "topology": "2D_Cluster"})
    with RunFolder.resume(make(runs, "lock", title="100% ΑΒΓ").path) as run:
        run.note("fibre 50:30 replaced")
        run.results({"rms_1": {"value": 0.25}})
        run.stop("finished")
    assert numbers(runs, procedure="scan") == [1, 2]
    assert numbers(runs, procedure="sca") == []
    assert numbers(runs, since="2020-03-01") == [2, 3]
    assert numbers(runs, since="2020-02-29T12:00") == [1, 2, 3]
    assert numbers(runs, since=datetime.now() + timedelta(days=1)) == []
    for words, found in {
        "before move": [1], "BEFORE": [1], "cluster": [2], "1550.12": [2], "topology": [2],
        "rms_1": [3], "0.25": [3], "50:30": [3], "100%": [3], "αβγ": [3], "%": [3], "_": [2, 3],
        "microcomb": [1, 2, 3], "scan": [1, 2], "before fibre": [], "traceback": [], "": [1, 2, 3],
    }.items():  # fmt: skip
        assert numbers(runs, search=words) == found, words
    assert numbers(runs, procedure="scan", since="2020-03-01", search="cluster") == [2]
    with pytest.raises(RequestError, match="'yesterday' is no date; write 2026-11-20"):
        list_runs(runs, since="yesterday")
    with pytest.raises(RequestError, match="no such runs directory"):
        list_runs(runs / "nowhere")


def test_the_default_directory(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LABCTL_RUNS", str(runs))
    assert list_runs() == []
    make(runs)
    assert [s.path.parent for s in list_runs()] == [runs]


@pytest.mark.parametrize(
    "damage", ["deleted", "text", "truncated", "zeros", "pages", "other", "old"]
)
def test_a_lost_or_damaged_index_is_rebuilt_silently(runs: Path, damage: str) -> None:
    for _ in range(3):
        make(runs)
    before = list_runs(runs)
    path = runs / INDEX
    content = bytearray(path.read_bytes())
    if damage == "deleted":
        path.unlink()
    elif damage == "text":
        path.write_bytes(b"this is no database" * 500)
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "zeros":
        content[4096 : 4096 + 200] = bytes(200)
        path.write_bytes(content)
    elif damage == "pages":
        path.write_bytes(content[:4096] + bytes(len(content) - 4096))
    else:  # an index of another version of this program
        index = sqlite3.connect(path)
        if damage == "other":
            index.execute("DROP TABLE runs")
            index.execute("PRAGMA user_version = 2")
            index.execute("CREATE TABLE runs (something TEXT)")
        else:
            index.execute("PRAGMA user_version = 99")
        index.commit()
        index.close()
    assert list_runs(runs) == before
    with contextlib.closing(sqlite3.connect(path)) as index:
        assert index.execute("SELECT number FROM runs ORDER BY number").fetchall() == [
            (1,),
            (2,),
            (3,),
        ]
    assert list_runs(runs) == before


def test_unchanged_runs_are_not_read_again(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(runs)
    first = list_runs(runs)
    read = []
    real = catalogue._read
    monkeypatch.setattr(catalogue, "_read", lambda path: read.append(path) or real(path))
    assert list_runs(runs) == first
    assert read == []
    new = make(runs)
    list_runs(runs)
    assert read == [new.path]


def test_where_the_index_cannot_be_written_it_lives_in_memory(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(runs)
    real = sqlite3.connect

    def connect(name: str, **options: Any) -> sqlite3.Connection:
        if name != ":memory:":
            raise sqlite3.OperationalError("unable to open database file")
        return real(name, **options)

    monkeypatch.setattr(catalogue.sqlite3, "connect", connect)
    assert numbers(runs) == [1]
    assert not (runs / INDEX).exists()


def test_an_unreadable_run_is_listed_as_such_and_spoils_nothing(runs: Path) -> None:
    make(runs)
    bad = make(runs)
    (bad.path / "run.jsonl").write_bytes(b"garbage\n" * 3)
    odd = make(runs)
    with Journal(odd.path / "odd") as journal:
        journal.append({"entry": "start", "procedure": "odd", "bench": 7, "started": "today"})
    (odd.path / "odd").replace(odd.path / "run.jsonl")
    make(runs)
    found = list_runs(runs)
    assert [s.status for s in found] == ["finished", "unreadable", "unreadable", "finished"]
    assert "no intact start entry" in found[1].reason
    assert found[1].started is None


def test_many_processes_and_threads_at_once(runs: Path) -> None:
    for _ in range(4):
        make(runs)
    code = f"from labctl.run.catalogue import list_runs, newest_runs; print(len(list_runs({str(runs)!r})))"
    command = [sys.executable, "-c", code]
    others = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: numbers(runs), range(12))) == [[1, 2, 3, 4]] * 12
    assert [other.communicate()[0] for other in others] == ["4\n"] * 3


def test_marks_are_found_and_do_not_touch_the_journal(runs: Path) -> None:
    for title in ("a", "b"):
        with RunFolder.create(runs, "p", {"title": title, "parameters": {"pair": 16}}) as run:
            run.stop("finished")
    before = (run.path / "run.jsonl").read_bytes()
    assert list_runs(runs, search="label:good") == []
    marks.label(run.path, "Good  enough")
    marks.label(run.path, "bad")
    marks.label(run.path, "bad", on=False)
    marks.star(run.path)
    marks.remark(run.path, "the fibre was touched")
    assert marks.read(run.path) == marks.Marks(("Good enough",), True, ("the fibre was touched",))
    for text in ('"label:good enough"', "is:starred", "fibre touched", 'label:"good enough"'):
        (found,) = list_runs(runs, search=text)
        assert (found.title, found.starred, found.labels) == ("b", True, ("Good enough",))
    assert found.remarks == ("the fibre was touched",)
    assert list_runs(runs, search="label:bad") == []
    marks.star(run.path, on=False)
    assert list_runs(runs, search="is:starred") == []
    assert (run.path / "run.jsonl").read_bytes() == before
    for wrong in ("", " ", "x" * 61, "two\x00"):
        with pytest.raises(RequestError, match="a label has"):
            marks.label(run.path, wrong)
    with pytest.raises(RequestError, match="is not a run folder"):
        marks.star(runs)


def test_comparisons_and_dates(runs: Path) -> None:
    for pair, mode in ((5, "slow"), (16, "fast"), (17, "fast")):
        start = {"parameters": {"pair": pair, "mode": mode, "span": pair / 10, "lock": pair > 5},
                 "started": LONG_AGO + pair}  # fmt: skip
        with RunFolder.create(runs, "p", start) as run:
            run.results({"squeezing": {"value": pair / 3, "uncertainty": None, "unit": "dB"}})
            run.stop("finished")
    expected = {
        "pair=16": [16], "pair>5": [16, 17], "pair<=16": [5, 16], "pair!=16": [5, 17],
        "mode=FAST": [16, 17], "mode!=fast": [5], "squeezing>5.4": [17], "squeezing=5.33": [16],
        "span=1.6": [16], "lock=true": [16, 17], "lock=no": [5], "pair>5 mode=fast pair<17": [16],
        "since:2020-03-01": [], "until:2020-03-01": [5, 16, 17], "is:finished": [5, 16, 17],
        "is:failed": [], "procedure:p": [5, 16, 17], "procedure:q": [], "nothing=1": [],
        "unknown>0": [], '"': [5, 16, 17], "pair = 16": [16], "pair==16": [16],
        "pair >= 16 mode = fast": [16, 17], "squeezing>": [5, 16, 17], "unknown>": [],
        "2020-02-29": [5, 16, 17], "2020-02-28": [], "2020-03-01": [], "state:finished": [5, 16, 17],
        "squeezing dB": [5, 16, 17], "tag:good": [],
    }  # fmt: skip
    for text, pairs in expected.items():
        assert [run.parameters["pair"] for run in list_runs(runs, search=text)] == pairs, text
        found, more = newest_runs(runs, text)
        assert [run.parameters["pair"] for run in found] == pairs[::-1], text
        assert not more
    found, more = newest_runs(runs, "", limit=1)
    assert ([run.number for run in found], more) == ([3], True)
    for wrong in ("since:soon", "pair>many", "pair>3dB", "is:nonsense"):
        with pytest.raises(RequestError, match=r"is no date|is no number|is unknown|without a"):
            newest_runs(runs, wrong)


def test_no_index_and_a_damaged_one_are_no_runs_yet(runs: Path) -> None:
    assert newest_runs(runs, "") == ([], False)
    runs.mkdir()
    (runs / "catalogue.sqlite").write_bytes(b"nonsense" * 1000)
    assert newest_runs(runs, "") == ([], False)


def test_a_look_at_the_latest_sees_what_is_new_gone_or_unfinished(
    runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "LATELY", 1)
    for _ in range(3):
        make(runs)
    renew(runs)
    going = make(runs, stop="")
    renew(runs, lately=True)
    looked = []
    read = catalogue._read
    monkeypatch.setattr(catalogue, "_read", lambda path: (looked.append(path.name), read(path))[1])
    new = make(runs)
    marks.star(going.path)
    (old,) = runs.glob("0001-*")
    marks.star(old)
    renew(runs, lately=True)
    assert sorted(looked) == sorted([going.path.name, new.path.name])  # not the old one
    assert [run.starred for run in newest_runs(runs)[0]] == [False, True, False, False, False]
    for file in new.path.iterdir():
        file.unlink()
    new.path.rmdir()
    renew(runs, lately=True)
    assert [run.number for run in newest_runs(runs)[0]] == [4, 3, 2, 1]
    renew(runs, lately=True, also=[old.name])
    assert newest_runs(runs)[0][-1].starred


def test_what_goes_on_is_told_from_what_was_interrupted(runs: Path) -> None:
    """The index only knows that a run has not stopped; its lock and its journal know more."""
    make(runs)
    killed = make(runs, stop="")
    going = RunFolder.create(runs, "scan", {"parameters": {}})
    waiting = RunFolder.create(runs, "scan", {"parameters": {}})
    waiting.paused("tea")

    def found(word: str) -> list[int]:
        here = numbers(runs, search=f"is:{word}")
        assert [s.number for s in newest_runs(runs, f"is:{word}")[0]] == here[::-1]
        return here

    assert found("running") == [3]
    assert found("paused") == [4]
    assert found("interrupted") == [2]
    assert found("finished") == [1]
    going.stop("finished")
    going.close()
    waiting.close()
    as_it_last_was = {s.number: s.status for s in newest_runs(runs)[0]}
    assert as_it_last_was == {1: "finished", 2: "interrupted", 3: "finished", 4: "interrupted"}
    assert [s.number for s in newest_runs(runs, "is:interrupted")[0]] == [4, 2]
    with RunFolder.resume(killed.path):
        assert found("running") == [2]
    assert found("running") == []
    assert found("finished") == [1, 3]
