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
from labctl.run import catalogue
from labctl.run.catalogue import INDEX, RunSummary, list_runs
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
    code = f"from labctl.run.catalogue import list_runs; print(len(list_runs({str(runs)!r})))"
    command = [sys.executable, "-c", code]
    others = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda _: numbers(runs), range(12))) == [[1, 2, 3, 4]] * 12
    assert [other.communicate()[0] for other in others] == ["4\n"] * 3
