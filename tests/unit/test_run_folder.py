"""A run folder: what is written is read back, by whom, in which state, and after which accident."""

from __future__ import annotations

import errno
import json
import math
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl.errors import RequestError, RunLocked, StorageError
from labctl.filelock import FileLock
from labctl.journal import Journal
from labctl.run import locate
from labctl.run.folder import RunFolder, default_runs_dir, find_run
from labctl.run.traces import file_names

START = {"columns": ["index", "x (nm)", "signal (dBm)"], "traces": ["signal (dBm)"], "seed": 7}
ROWS = [
    {"index": 0, "x (nm)": 1550.12, "signal (dBm)": np.array([1.0, np.nan, -0.0])},
    {"index": 1, "x (nm)": math.inf, "signal (dBm)": np.array([])},
    {"index": 2, "x (nm)": None, "signal (dBm)": np.arange(1001.0)},
]


def start(tmp_path: Path, **more: Any) -> RunFolder:
    return RunFolder.create(tmp_path / "runs", "covariance-sweep", {**START, **more})


def fill(run: RunFolder, rows: list[dict[str, Any]] = ROWS) -> None:
    run.opened({"stretch": run.stretches, "t": 0.0, "settings": {"laser": {"power": 1.5}}})
    for row in rows:
        run.emit(row, 0.5 * row["index"])


def finish(run: RunFolder) -> Path:
    run.stop("finished")
    run.close()
    return run.path


def check_rows(run: RunFolder, rows: list[dict[str, Any]] = ROWS) -> None:
    assert len(run.rows) == len(rows)
    for i, row in enumerate(rows):
        scalars = {k: v for k, v in row.items() if not isinstance(v, np.ndarray)}
        assert repr(run.rows[i]) == repr(scalars)  # repr: types, -0.0 and NaN count
        for name, value in row.items():
            if isinstance(value, np.ndarray):
                found = run.trace(name, i)
                assert found.dtype == value.dtype
                assert found.tobytes() == value.tobytes()
                assert found.shape == value.shape
    assert run.times.tolist() == [0.5 * row["index"] for row in rows]
    assert run.points_done == {row["index"] for row in rows}


def test_what_is_written_is_read_by_writer_and_readers_before_and_after_the_end(
    tmp_path: Path,
) -> None:
    with start(tmp_path, title="first") as run:
        fill(run)
        check_rows(run)
        check_rows(RunFolder.open(run.path))
        run.note("a remark")
        run.note("Traceback ...", level="traceback")
        run.save_derived("psd (dBm)", np.arange(6.0).reshape(2, 3))
        run.results({"nullifier": {"value": -1.5, "uncertainty": None, "unit": "dB"}})
        run.stop("finished")
    for again in (run, RunFolder.open(run.path)):
        check_rows(again)
        assert again.status == "finished"
        assert again.start["title"] == "first"
        assert again.start["procedure"] == "covariance-sweep"
        assert again.result == {"nullifier": {"value": -1.5, "uncertainty": None, "unit": "dB"}}
        assert again.notes == ["a remark"]
        assert again.settings == {"laser": {"power": 1.5}}
        assert again.derived()["psd (dBm)"].tolist() == [[0, 1, 2], [3, 4, 5]]
        assert again.trace_names == ["signal (dBm)"]
        assert again.last_time == 1.0
        assert again.damage == again.verify() == []
        assert again.number == 1


def test_the_files_are_where_the_architecture_says(tmp_path: Path) -> None:
    run = start(tmp_path)
    fill(run)
    run.save_derived("psd (dBm)", np.zeros(2))
    path = finish(run)
    found = {str(p.relative_to(path)) for p in path.rglob("*") if p.is_file()}
    assert found == {
        "run.jsonl", "rows.arrow", "writer.lock", "arrays/signal_dBm.arrows", "derived/psd_dBm.npy",
    }  # fmt: skip
    kinds = [
        json.loads(line)["entry"] for line in (path / "run.jsonl").read_text("utf-8").splitlines()
    ]
    assert kinds == ["start", "start", "opened", "row", "row", "row", "derived", "stop"]
    row = json.loads((path / "run.jsonl").read_text("utf-8").splitlines()[3])
    assert row["row"] == {"index": 0, "x (nm)": 1550.12}
    cited = row["arrays"]["signal (dBm)"]
    assert (cited["batch"], cited["length"], cited["file"]) == (0, 3, "arrays/signal_dBm.arrows")
    assert np.load(path / "derived/psd_dBm.npy", allow_pickle=False).tolist() == [0, 0]
    with pa.memory_map(str(path / "rows.arrow")) as file:
        table = pa.ipc.open_file(file).read_all()
    assert table.column_names[:3] == ["t (s)", "index", "x (nm)"]
    assert table["index"].to_pylist() == [0, 1, 2]


AWKWARD = st.one_of(
    st.floats(), st.integers(-(2**70), 2**70), st.booleans(), st.none(),
    st.text(st.characters(exclude_categories=()), max_size=5), st.lists(st.integers(), max_size=2),
)  # fmt: skip
COLUMNS = st.dictionaries(
    st.sampled_from(["a", "b (V)", "t (s)", "arrays", "$"]),
    st.one_of(
        st.lists(st.floats() | st.none(), min_size=6, max_size=6),
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=6, max_size=6),
        st.lists(st.booleans() | st.none(), min_size=6, max_size=6),
        st.lists(st.text(max_size=4) | st.none(), min_size=6, max_size=6),
        st.lists(st.none(), min_size=6, max_size=6),
        st.lists(AWKWARD, min_size=6, max_size=6),
    ),
)


@given(columns=COLUMNS, holes=st.sets(st.tuples(st.integers(0, 5), st.sampled_from("ab$"))))
@settings(
    max_examples=80,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_rows_from_the_cache_are_the_rows_of_the_journal(
    tmp_path: Path, columns: dict[str, list[Any]], holes: set[tuple[int, str]]
) -> None:
    rows = [
        {n: values[i] for n, values in columns.items() if (i, n[0]) not in holes} for i in range(6)
    ]
    run = start(tmp_path)
    for i, row in enumerate(rows):
        run.emit(row, float(i))
    live = RunFolder.open(run.path)
    from_journal = list(live.rows), {n: repr(c.tolist()) for n, c in live.columns().items()}
    cached = RunFolder.open(finish(run))
    assert (run.path / "rows.arrow").exists()
    from_cache = list(cached.rows), {n: repr(c.tolist()) for n, c in cached.columns().items()}
    assert cached._cache is not None
    for row, journal, cache in zip(rows, from_journal[0], from_cache[0], strict=True):
        assert repr(sorted(journal.items())) == repr(sorted(row.items()))
        assert repr(sorted(cache.items())) == repr(sorted(row.items()))
    assert from_cache[1] == from_journal[1]


def test_columns_are_numbers_where_that_is_exact(tmp_path: Path) -> None:
    run = start(tmp_path)
    for i in range(3):
        run.emit(
            {
                "float": i + 0.5, "int": 2**62 + i, "bool": i > 0, "text": "abc"[i],
                "gap": None if i else 1.5, "counts": None if i else 7, "huge": None if i else 2**60,
                "mixed": [1, 2.5, None][i], "big": 2**70 + i,
            },
            0.0,
        )  # fmt: skip
    for found in (run.columns(), RunFolder.open(finish(run)).columns()):
        kinds = {n: c.dtype.name for n, c in found.items()}
        assert kinds == {
            "float": "float64", "int": "int64", "bool": "bool", "text": "object",
            "gap": "float64", "counts": "float64", "huge": "object", "mixed": "float64",
            "big": "object",
        }  # fmt: skip
        assert found["int"].tolist() == [2**62, 2**62 + 1, 2**62 + 2]
        assert found["huge"].tolist() == [2**60, None, None]
        assert found["big"].tolist() == [2**70, 2**70 + 1, 2**70 + 2]
        assert repr(found["mixed"].tolist()) == "[1.0, 2.5, nan]"


def test_a_run_without_rows_still_has_its_columns(tmp_path: Path) -> None:
    run = RunFolder.open(finish(start(tmp_path)))
    assert list(run.columns()) == ["index", "x (nm)"]
    assert [len(c) for c in run.columns().values()] == [0, 0]
    assert run.points_done == set()
    assert run.last_time == 0.0
    assert list(run.rows) == []


def test_arrays_of_any_shape_and_several_columns(tmp_path: Path) -> None:
    rows = [
        {"index": 0, "image": np.arange(6, dtype=np.int16).reshape(2, 3), "z": np.array([1 + 2j])},
        {"index": 1, "image": np.zeros((0, 4), dtype=np.int16)},
        {"index": 2, "z": np.array([], dtype=complex), "s": np.float64(3.5), "n": np.array(4)},
    ]
    run = start(tmp_path)
    fill(run, rows)
    run = RunFolder.open(finish(run))
    check_rows(run, [rows[0], rows[1], {**rows[2], "s": 3.5, "n": 4}])
    assert run.has_trace("z", 0)
    assert not run.has_trace("z", 1)
    with pytest.raises(RequestError, match="row 1 has no array 'z'"):
        run.trace("z", 1)


def test_traces_whose_names_differ_only_in_punctuation_do_not_mix(tmp_path: Path) -> None:
    rows = [{"index": i, "s (V)": np.array([i]), "s [V]": np.array([-i])} for i in range(3)]
    run = start(tmp_path)
    fill(run, rows[:1])
    run.close()
    with RunFolder.resume(run.path) as run:
        for row in rows[1:]:
            run.emit(row, 0.5 * row["index"])
        check_rows(run, rows)


def test_rows_grow_under_a_reader(tmp_path: Path) -> None:
    run = start(tmp_path)
    rows = run.rows
    other = RunFolder.open(run.path)
    for i in range(5):
        run.emit({"index": i}, float(i))
        assert len(rows) == len(other.rows) == other.row_count == i + 1
        assert rows[-1] == other.rows[i] == {"index": i}
    assert rows[1:3] == [{"index": 1}, {"index": 2}]
    with pytest.raises(IndexError):
        rows[5]
    finish(run)
    assert other.status == "finished"
    assert len(RunFolder.open(run.path).rows) == 5


# -- status, stretches, lock ------------------------------------------------------------------


def test_the_status_is_what_really_is(tmp_path: Path) -> None:
    run = start(tmp_path)

    def seen() -> set[str]:
        return {run.status, RunFolder.open(run.path).status}

    assert seen() == {"running"}
    run.paused("coffee")
    assert seen() == {"paused"}
    run.resumed()
    assert seen() == {"running"}
    run.close()
    assert seen() == {"interrupted"}
    with RunFolder.resume(run.path) as run:
        assert seen() == {"running"}
        for status in ("aborted", "failed", "paused", "finished"):
            run.stop(status, "because")
            assert seen() == {status}
            assert run.stop_entry is not None
            assert run.stop_entry["reason"] == "because"
            run.opened({})
            assert seen() == {"running"}
        with pytest.raises(ValueError, match="finished, failed, aborted, paused"):
            run.stop("done")


def test_stretches_count_and_know_their_rows(tmp_path: Path) -> None:
    run = start(tmp_path)
    assert run.stretches == 0
    fill(run, ROWS[:2])
    assert run.stretches == 1
    run.stop("aborted")
    run.close()
    run = RunFolder.resume(run.path)
    assert run.status == "aborted"
    fill(run, ROWS[2:])
    for found in (run, RunFolder.open(finish(run))):
        assert found.stretches == 2
        assert [found.rows_in_stretch(n) for n in (0, 1)] == [2, 1]
        check_rows(found)


def test_resuming_a_finished_run_changes_nothing_by_itself(tmp_path: Path) -> None:
    run = start(tmp_path)
    fill(run)
    path = finish(run)
    before = {p: p.read_bytes() for p in path.rglob("*") if p.is_file()}
    RunFolder.resume(path).close()
    assert {p: p.read_bytes() for p in path.rglob("*") if p.is_file()} == before


def test_one_writer_at_a_time_and_the_second_is_told_who_it_is(tmp_path: Path) -> None:
    run = start(tmp_path)
    with pytest.raises(RunLocked) as caught:
        RunFolder.resume(run.path)
    assert f"process {os.getpid()} on {socket.gethostname()}" in str(caught.value)
    assert str(run.path) in str(caught.value)
    assert "\n" not in str(caught.value)
    run.emit({"index": 0}, 0.0)  # the first is not disturbed
    run.close()
    RunFolder.resume(run.path).close()


def test_the_lock_of_another_process_counts_until_it_dies(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.close()
    code = f"""
import sys
from labctl.run import locate
from labctl.run.folder import RunFolder
run = RunFolder.resume({str(run.path)!r})
print("held", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(RunLocked, match=f"process {other.pid} "):
            RunFolder.resume(run.path)
        assert RunFolder.open(run.path).status == "running"
        other.kill()
        other.wait()
    assert RunFolder.open(run.path).status == "interrupted"
    RunFolder.resume(run.path).close()


def test_a_lock_file_nobody_signed_still_locks(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.close()
    lock = FileLock(run.path / "writer.lock")
    assert lock.acquire()
    (run.path / "writer.lock").write_bytes(b"garbage")
    with pytest.raises(RunLocked, match="another process"):
        RunFolder.resume(run.path)
    lock.release()


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    run = RunFolder.open(finish(start(tmp_path)))
    writes: list[Callable[[], None]] = [
        lambda: run.emit({"index": 0}, 0.0), lambda: run.note("x"), lambda: run.stop("failed"),
        lambda: run.save_derived("x", np.zeros(1)),
    ]  # fmt: skip
    for write in writes:
        with pytest.raises(StorageError, match="reading only"):
            write()


# -- accidents --------------------------------------------------------------------------------


def test_a_row_that_cannot_be_stored_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = start(tmp_path)
    fill(run, ROWS[:1])
    before = {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()}
    bad: list[dict[str, Any]] = [
        {"index": 1, "signal (dBm)": np.ones(3), "z": 1j},
        {"index": 1, "signal (dBm)": np.ones(3), "other": np.array(["text"])},
        {"index": 1, "signal (dBm)": np.array([1j])},
    ]
    for row in bad:
        with pytest.raises(StorageError) as caught:
            run.emit(row, 1.0)
        assert "\n" not in str(caught.value)
    real, room = os.write, 0

    def full(descriptor: int, data: bytes) -> int:
        nonlocal room
        if room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(descriptor, bytes(data)[:room])
        room -= written
        return written

    for enough in (0, 100, 9000):  # nothing, part of the array, part of the line
        room = enough
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            with pytest.raises(StorageError, match="disk full"):
                run.emit({**ROWS[2], "text": "x" * 1000}, 1.0)
    assert {p: p.read_bytes() for p in run.path.rglob("*") if p.is_file()} == before
    for row in ROWS[1:]:
        run.emit(row, 0.5 * row["index"])
    check_rows(RunFolder.open(finish(run)))


def test_resume_cuts_what_the_journal_does_not_vouch_for(tmp_path: Path) -> None:
    run = start(tmp_path)
    fill(run, ROWS[:2])
    run.close()
    stream = run.path / "arrays/signal_dBm.arrows"
    whole = stream.stat().st_size
    with stream.open("ab") as file:  # a batch whose row was never written
        file.write(b"half a batch")
    with (run.path / "run.jsonl").open("ab") as file:
        file.write(b'{"entry":"row","t":9.0,"row":{"ind')
    assert RunFolder.open(run.path).points_done == {0, 1}
    assert ["unfinished write" in line for line in RunFolder.open(run.path).damage] == [True]
    with RunFolder.resume(run.path) as again:
        assert stream.stat().st_size == whole
        assert again.points_done == {0, 1}
        again.emit(ROWS[2], 1.0)
        assert again.verify() == []
    check_rows(RunFolder.open(run.path))


def test_resume_goes_on_where_a_stream_lost_data(tmp_path: Path) -> None:
    run = start(tmp_path)
    fill(run)
    run.close()
    stream = run.path / "arrays/signal_dBm.arrows"
    stream.write_bytes(stream.read_bytes()[:-8])
    with RunFolder.resume(run.path) as again:
        again.emit({"index": 3, "signal (dBm)": np.array([7.0])}, 1.5)
        assert again.trace("signal (dBm)", 0).tobytes() == ROWS[0]["signal (dBm)"].tobytes()
        assert again.trace("signal (dBm)", 3).tolist() == [7.0]
        with pytest.raises(StorageError, match=r"checksum|ends at"):
            again.trace("signal (dBm)", 2)
        assert len(again.verify()) == 1


@given(data=st.data())
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_flipped_bit_anywhere_in_the_folder_is_found_and_costs_one_row(
    tmp_path: Path, data: st.DataObject
) -> None:
    run = start(tmp_path)
    fill(run, [{"index": i, "signal (dBm)": np.arange(4.0) + i} for i in range(4)])
    run.save_derived("psd", np.arange(3.0))
    path = finish(run)
    file = path / data.draw(
        st.sampled_from(["run.jsonl", "arrays/signal_dBm.arrows", "rows.arrow"])
    )
    content = bytearray(file.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    file.write_bytes(content)
    again = RunFolder.open(path)
    right, named = 0, []
    for i in range(len(again.rows)):
        try:
            trace = again.trace("signal (dBm)", i)
        except StorageError as exc:
            named.append(str(path) in str(exc))
        else:
            assert trace.tolist() == [again.rows[i]["index"] + k for k in range(4)]
            right += 1
    assert right >= 3
    assert all(named)
    complaints = again.verify()
    if file.name == "rows.arrow":  # only a cache: nothing is lost
        assert right == 4
        assert complaints == []
    assert all("\n" not in line for line in complaints)
    if right < 4:
        assert complaints


def test_one_damaged_start_entry_does_no_harm(tmp_path: Path) -> None:
    run = start(tmp_path, title="first")
    fill(run)
    path = finish(run)
    journal = path / "run.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"first"', b'"worst"', 1))
    again = RunFolder.open(path)
    assert again.start["title"] == "first"
    assert len(again.rows) == 3
    assert len(again.damage) == 1


@pytest.mark.parametrize("where", ["start", "all"])
def test_a_run_without_a_start_entry_says_so(tmp_path: Path, where: str) -> None:
    run = start(tmp_path)
    fill(run)
    path = finish(run)
    journal = path / "run.jsonl"
    damaged = journal.read_bytes().replace(b'"entry":"start"', b'"entry":"stamp"')
    journal.write_bytes(b"" if where == "all" else damaged)
    again = RunFolder.open(path)
    assert len(again.rows) == (0 if where == "all" else 3)
    with pytest.raises(StorageError, match="no intact start entry"):
        _ = again.start


def test_damaged_results_of_the_analysis_are_named(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.save_derived("psd", np.arange(3.0))
    run.save_derived("psd", np.arange(4.0))
    run.save_derived("PSD", np.array(["text"]))
    with pytest.raises(StorageError, match="'objects' cannot be stored"):
        run.save_derived("objects", np.array([None]))
    path = finish(run)
    assert RunFolder.open(path).derived()["psd"].tolist() == [0, 1, 2, 3]
    assert RunFolder.open(path).derived()["PSD"].tolist() == ["text"]
    file = path / "derived" / "psd.npy"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(StorageError, match=r"psd\.npy: checksum does not match"):
        RunFolder.open(path).derived()
    file.unlink()
    assert len(RunFolder.open(path).verify()) == 1


def test_a_run_that_could_not_begin_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StorageError, match="complex"):
        start(tmp_path, parameters={"z": 1j})

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(StorageError):
            start(tmp_path)
    assert list((tmp_path / "runs").glob("[!.]*")) == []


def test_with_fsync_arrays_reach_the_disk_before_the_row_that_cites_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunFolder.create(tmp_path / "runs", "scan", START, durable_every=0.0)
    flushed: list[str] = []

    def flush(descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        flushed.append(next(p.name for p in run.path.rglob("*") if p.stat().st_ino == inode))

    monkeypatch.setattr(os, "fsync", flush)
    run.emit(ROWS[0], 0.0)
    assert flushed == ["signal_dBm.arrows", "run.jsonl"]
    run.stop("finished")
    assert flushed[2:] == ["signal_dBm.arrows", "run.jsonl"]
    run.close()


# -- the cache --------------------------------------------------------------------------------


def cached_run(tmp_path: Path) -> Path:
    run = start(tmp_path)
    fill(run)
    return finish(run)


def test_the_cache_is_deleted_and_rebuilt_at_will(tmp_path: Path) -> None:
    path = cached_run(tmp_path)
    before = (path / "rows.arrow").read_bytes()
    (path / "rows.arrow").unlink()
    check_rows(RunFolder.open(path))
    assert (path / "rows.arrow").read_bytes() == before


def test_a_cache_of_another_state_of_the_journal_is_never_believed(tmp_path: Path) -> None:
    path = cached_run(tmp_path)
    stale = (path / "rows.arrow").read_bytes()
    with RunFolder.resume(path) as run:
        run.opened({})
        run.emit({"index": 3}, 1.5)
        run.stop("finished")
    (path / "rows.arrow").write_bytes(stale)
    assert RunFolder.open(path).points_done == {0, 1, 2, 3}
    assert (path / "rows.arrow").read_bytes() != stale
    # Same size, same time, another content: an edit in place.
    journal = path / "run.jsonl"
    stat, content = journal.stat(), journal.read_bytes()
    with Journal(tmp_path / "edited") as edited:
        for entry in Journal.read(journal):
            edited.append({**entry, "t": 7.5} if entry.get("t") == 1.5 else entry)
    journal.write_bytes((tmp_path / "edited").read_bytes())
    assert journal.stat().st_size == len(content)
    os.utime(journal, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert RunFolder.open(path).times[-1] == 7.5


def test_a_flipped_bit_in_the_cache_is_never_believed(tmp_path: Path) -> None:
    path = cached_run(tmp_path)
    whole = (path / "rows.arrow").read_bytes()
    for place in range(0, len(whole), 7):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        (path / "rows.arrow").write_bytes(flipped)
        check_rows(RunFolder.open(path))


def test_a_reader_notices_that_the_run_went_on(tmp_path: Path) -> None:
    path = cached_run(tmp_path)
    reader = RunFolder.open(path)
    assert len(reader.rows) == 3
    with RunFolder.resume(path) as run:
        run.opened({})
        run.emit({"index": 3}, 1.5)
        assert len(reader.rows) == 4
        assert reader.status == "running"


def test_nothing_is_cached_of_a_run_that_is_being_written(tmp_path: Path) -> None:
    run = start(tmp_path)
    fill(run)
    check_rows(RunFolder.open(run.path))
    assert not (run.path / "rows.arrow").exists()
    run.close()
    check_rows(RunFolder.open(run.path))  # interrupted: the first reader builds it
    assert (run.path / "rows.arrow").exists()


def test_a_folder_that_cannot_be_written_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cached_run(tmp_path)
    (path / "rows.arrow").unlink()

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("labctl.run.cache.tempfile.NamedTemporaryFile", refuse)
    check_rows(RunFolder.open(path))
    assert not (path / "rows.arrow").exists()


def test_a_large_run_is_opened_from_its_cache_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cached_run(tmp_path)
    monkeypatch.setattr("labctl.run.reading._LARGE", 0)

    def forbidden(*_: Any, **__: Any) -> None:
        raise AssertionError("the journal was parsed")

    monkeypatch.setattr("labctl.journal.decode", forbidden)
    run = RunFolder.open(path)
    assert run.status == "finished"
    assert run.start["seed"] == 7
    assert run.row_count == 3
    check_rows(run)


# -- finding runs -----------------------------------------------------------------------------


def test_numbers_are_given_out_once_among_many_writers(tmp_path: Path) -> None:
    def work(_: int) -> int:
        run = start(tmp_path)
        run.close()
        return run.number

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(work, range(40)))
    assert sorted(numbers) == list(range(1, 41))
    assert len(list((tmp_path / "runs").glob("[!.]*"))) == 40


def test_a_number_that_was_taken_since_the_look_is_not_given_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(tmp_path).close()
    looks: list[list[tuple[int, Path]]] = [[]]  # the first look sees an empty directory
    real = locate.numbered
    monkeypatch.setattr(locate, "numbered", lambda d: looks.pop() if looks else real(d))
    run = start(tmp_path)
    run.close()
    assert run.number == 2
    assert len(list((tmp_path / "runs").glob("[!.]*"))) == 2


def test_folder_names(tmp_path: Path) -> None:
    run = start(tmp_path)
    run.close()
    number, *words, day, clock = run.path.name.split("-")
    assert (number, words) == ("0001", ["covariance", "sweep"])
    assert (len(day), len(clock)) == (8, 6)
    (tmp_path / "runs" / "0041-old").mkdir()
    (tmp_path / "runs" / "notes.txt").touch()
    run = start(tmp_path)
    run.close()
    assert run.number == 42


def test_a_run_is_found_by_path_number_and_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = tmp_path / "runs"
    with pytest.raises(RequestError, match="there are no runs in"):
        find_run("last", runs)
    paths = [cached_run(tmp_path) for _ in range(3)]
    (runs / "0009-made-but-never-started").mkdir()
    assert find_run("last", runs) == paths[2]
    assert find_run("2", runs) == find_run("0002", runs) == paths[1]
    assert find_run(str(paths[0]), runs) == paths[0]
    assert find_run(paths[0].name, runs) == paths[0]
    monkeypatch.setenv("LABCTL_RUNS", str(runs))
    assert default_runs_dir() == runs
    assert find_run("3") == paths[2]
    for wrong in ("4", "9", "first", "", "-1", "lastt", str(tmp_path)):
        with pytest.raises(RequestError, match=r"numbers there: 1 to 3") as caught:
            find_run(wrong, runs)
        assert "\n" not in str(caught.value)
    with pytest.raises(RequestError, match=paths[1].name):
        find_run(paths[1].name.replace("sweep", "swep"), runs)
    monkeypatch.delenv("LABCTL_RUNS")
    assert default_runs_dir() == Path("runs")


@pytest.mark.skipif(os.name == "nt", reason="symbolic links need a privilege there")
def test_a_run_has_its_number_also_through_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cached_run(tmp_path)
    for name in ("best", "2026-imported"):
        (tmp_path / name).symlink_to(path, target_is_directory=True)
    assert RunFolder.open(tmp_path / "best").number == 1
    assert RunFolder.open(tmp_path / "2026-imported").number == 2026  # as it is listed there
    monkeypatch.chdir(path)
    assert RunFolder.open(find_run(".")).number == 1
    assert RunFolder.open(path.rename(tmp_path / "renamed")).number == 0


def test_what_is_no_run_folder_is_refused(tmp_path: Path) -> None:
    for attempt in (RunFolder.open, RunFolder.resume):
        with pytest.raises(RequestError, match="not a run folder"):
            attempt(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(
        StorageError, match="file: cannot be written: File exists; choose another place with --runs"
    ):
        RunFolder.create(tmp_path / "file", "x", {})


def test_file_names_are_portable_and_never_the_same() -> None:
    names = ["signal (dBm)", "signal [dBm]", "SIGNAL dBm", "con", "a/b\\c:d", "..", "µ", "x" * 300]
    found = file_names(names)
    assert found["signal (dBm)"] == "signal_dBm"
    assert len({n.lower() for n in found.values()}) == len(names)
    for name in found.values():
        assert name.isascii()
        assert 0 < len(name) <= 110
        assert not set(name) & set('/\\:*?"<>| ')
        assert name.lower() != "con"
        assert not name.startswith(".")
    assert file_names(names) == found
