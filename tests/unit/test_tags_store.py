"""Time tags in a run folder: committed, cited by rows, followed live, killed, mended, compared."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xarray as xr
from commandline import call

from labctl.errors import RequestError, StorageError
from labctl.run.catalogue import list_runs
from labctl.run.export import export
from labctl.run.folder import RunFolder
from labctl.run.replay import compare
from labctl.run.tags import TagFollower

START = {"columns": ["index"], "traces": [], "seed": 7}


def create(tmp_path: Path) -> RunFolder:
    run = RunFolder.create(tmp_path / "runs", "tag-test", START)
    run.opened({"t": 0.0})
    return run


def batch(first: int, length: int) -> dict[str, np.ndarray]:
    times = np.arange(first, first + length, dtype=np.int64) * 1000
    return {"channel": (times // 1000 % 4).astype(np.uint8), "time (ps)": times}


def ticks(tags: dict[str, np.ndarray]) -> list[int]:
    return (tags["time (ps)"] // 1000).tolist()


def test_tags_belong_to_the_row_recorded_after_them(tmp_path: Path) -> None:
    with create(tmp_path) as run:
        run.record_tags("alice", batch(0, 10), 0.1)
        run.record_tags("alice", batch(10, 5), 0.2)
        run.record_tags("bob", batch(0, 0), 0.2)
        run.emit({"index": 0}, 0.2)
        run.emit({"index": 1}, 0.3)
        run.record_tags("alice", batch(15, 3), 0.4)
        run.emit({"index": 2, "trace": np.arange(3.0), "nan": float("nan")}, 0.5)
        run.record_tags("alice", batch(18, 2), 0.6)
        readers = [run, RunFolder.open(run.path)]
        run.stop("finished")
    readers += [RunFolder.open(run.path) for _ in range(2)]  # the last one from the cache
    assert (run.path / "rows.arrow").exists()
    for reader in readers:
        assert reader.tag_names == ["alice", "bob"]
        assert reader.tag_fields("alice") == {"channel": "uint8", "time (ps)": "int64"}
        assert [ticks(reader.tags("alice", row)) for row in range(3)] == [
            list(range(15)), [], [15, 16, 17],
        ]  # fmt: skip
        whole = reader.tags("alice")
        assert ticks(whole) == list(range(20))
        assert whole["channel"].dtype == np.uint8
        assert whole["channel"].tolist() == [n % 4 for n in range(20)]
        assert [len(b["channel"]) for b in reader.tag_batches("alice")] == [10, 5, 3, 2]
        assert ticks(reader.tags("bob")) == []
        assert reader.tag_counts() == {"alice": 20, "bob": 0}
        assert reader.verify() == []


def test_any_arrow_reader_opens_the_stream(tmp_path: Path) -> None:
    with create(tmp_path) as run:
        run.record_tags("alice", batch(0, 10), 0.1)
        run.record_tags("alice", batch(10, 7), 0.2)
        with pa.memory_map(str(run.path / "tags" / "alice.arrows")) as file:
            table = pa.ipc.open_stream(file).read_all()
    assert table.column_names == ["channel", "time (ps)"]
    assert table["time (ps)"].to_pylist() == [n * 1000 for n in range(17)]


def test_a_point_measured_again_does_not_count_its_first_attempt(tmp_path: Path) -> None:
    run = create(tmp_path)
    run.record_tags("alice", batch(0, 3), 0.1)
    run.emit({"index": 0}, 0.1)
    run.record_tags("alice", batch(100, 3), 0.2)  # then the process dies
    run.close()
    assert ticks(RunFolder.open(run.path).tags("alice")) == [0, 1, 2, 100, 101, 102]
    with RunFolder.resume(run.path) as run:
        run.opened({"t": 0.2})
        assert ticks(run.tags("alice")) == [0, 1, 2]
        run.record_tags("alice", batch(3, 2), 0.3)
        run.emit({"index": 1}, 0.3)
        run.stop("finished")
    for reader in (RunFolder.open(run.path), RunFolder.open(run.path)):
        assert ticks(reader.tags("alice")) == [0, 1, 2, 3, 4]
        assert ticks(reader.tags("alice", 1)) == [3, 4]
        assert reader.tag_counts() == {"alice": 5}
        assert reader.verify() == []
    batches = TagFollower(run.path).poll()
    assert [ticks(b.columns) for b in batches] == [[0, 1, 2], [3, 4]]


def test_what_is_refused_leaves_nothing_behind(tmp_path: Path) -> None:
    with create(tmp_path) as run:
        run.record_tags("alice", batch(0, 3), 0.1)
        size = (run.path / "tags" / "alice.arrows").stat().st_size
        wrong: list[tuple[str, Any, str]] = [
            ("alice", {"channel": np.zeros(2, np.uint8), "time (ps)": np.zeros(3, np.int64)}, "equally long"),
            ("alice", {"channel": np.zeros((2, 2), np.uint8)}, "one-dimensional"),
            ("alice", {}, "none at all"),
            ("alice", {"time (ps)": np.zeros(3, np.int64)}, "has columns 'channel', 'time"),
            ("alice", {"channel": np.full(1, 300), "time (ps)": np.zeros(1, np.int64)}, "does not fit exactly"),
            ("bob", {"channel": np.array(["a"])}, "cannot be stored"),
            ("", batch(0, 1), "must be a text"),
        ]  # fmt: skip
        for name, columns, said in wrong:
            with pytest.raises(StorageError, match=said):
                run.record_tags(name, columns, 0.1)
        assert (run.path / "tags" / "alice.arrows").stat().st_size == size
        swapped = dict(reversed(batch(3, 2).items()))
        run.record_tags("alice", swapped, 0.2)
        assert ticks(run.tags("alice")) == [0, 1, 2, 3, 4]
        with pytest.raises(RequestError, match="no tags 'alise', did you mean 'alice'"):
            run.tags("alise")
    with pytest.raises(StorageError, match="reading only"):
        RunFolder.open(run.path).record_tags("alice", batch(0, 1), 0.0)


def test_a_failed_write_takes_its_batch_back(tmp_path: Path, monkeypatch) -> None:
    with create(tmp_path) as run:
        run.record_tags("alice", batch(0, 3), 0.1)
        size = (run.path / "tags" / "alice.arrows").stat().st_size
        monkeypatch.setattr(run._journal, "append", lambda entry: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run.record_tags("alice", batch(3, 3), 0.1)
        with pytest.raises(ZeroDivisionError):
            run.record_tags("bob", batch(0, 3), 0.1)
        monkeypatch.undo()
        assert (run.path / "tags" / "alice.arrows").stat().st_size == size
        run.record_tags("bob", batch(7, 1), 0.2)
        run.record_tags("alice", batch(3, 1), 0.2)
        run.emit({"index": 0}, 0.2)
        assert ticks(run.tags("alice", 0)) == [0, 1, 2, 3]
        assert ticks(run.tags("bob", 0)) == [7]
        assert run.verify() == []


def test_what_an_entry_cites_is_on_the_disk_before_it(tmp_path: Path, monkeypatch) -> None:
    synced: list[str] = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)
        real(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("no way here to see which file is synced")
    with RunFolder.create(tmp_path, "durable", START, durable_every=0.0) as run:
        run.record_tags("alice", batch(0, 3), 0.1)
        monkeypatch.setattr(os, "fsync", fsync)
        run.record_tags("bob", batch(0, 3), 0.1)
        assert synced == ["alice.arrows", "bob.arrows", "run.jsonl"]
        synced.clear()
        run.emit({"index": 0}, 0.1)
        assert synced == ["alice.arrows", "bob.arrows", "run.jsonl"]
        monkeypatch.undo()


def test_damage_is_named_and_spoils_nothing_else(tmp_path: Path) -> None:
    with create(tmp_path) as run:
        for n in range(3):
            run.record_tags("alice", batch(10 * n, 10), n)
            run.emit({"index": n}, n)
        run.stop("finished")
    stream = run.path / "tags" / "alice.arrows"
    entries = run.tag_entries("alice")
    data = bytearray(stream.read_bytes())
    data[entries[1]["cited"]["end"] - 4] ^= 1
    stream.write_bytes(data)
    reader = RunFolder.open(run.path)
    assert ticks(reader.tags("alice", 0)) == list(range(10))
    with pytest.raises(StorageError, match=r"alice\.arrows: batch 1 .*checksum does not match"):
        reader.tags("alice", 1)
    (line,) = reader.verify()
    assert "batch 1" in line
    follower = TagFollower(run.path)
    assert [ticks(b.columns)[0] for b in follower.poll()] == [0, 20]
    assert len(follower.damage) == 1

    (run.path / "rows.arrow").unlink()
    journal = run.path / "run.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b'"batch":2', b'"batch":3'))
    assert any("cites batch 2, but its entry" in line for line in RunFolder.open(run.path).verify())


def test_a_shortened_stream_is_left_alone_and_another_file_begun(tmp_path: Path) -> None:
    with create(tmp_path) as run:
        for n in range(2):
            run.record_tags("alice", batch(10 * n, 10), n)
            run.emit({"index": n}, n)
    stream = run.path / "tags" / "alice.arrows"
    cut = run.tag_entries("alice")[1]["cited"]["start"] + 8
    os.truncate(stream, cut)
    with RunFolder.resume(run.path) as run:
        run.opened({"t": 2.0})
        run.record_tags("alice", batch(20, 2), 3.0)
        run.emit({"index": 2}, 3.0)
        run.stop("finished")
    assert stream.stat().st_size == cut
    reader = RunFolder.open(run.path)
    assert ticks(reader.tags("alice", 0)) == list(range(10))
    assert ticks(reader.tags("alice", 2)) == [20, 21]
    with pytest.raises(StorageError, match="batch 1 ends at byte"):
        reader.tags("alice", 1)


def test_a_follower_gives_each_batch_once_while_the_run_is_written(tmp_path: Path) -> None:
    follower = TagFollower(tmp_path / "runs" / "0001-none")
    assert follower.poll() == []
    with create(tmp_path) as run:
        follower = TagFollower(run.path)
        assert follower.poll() == []
        seen: list[int] = []
        for n in range(20):
            run.record_tags("alice" if n % 2 else "bob", batch(10 * n, 10), n / 10)
            if n % 3 == 0:
                new = follower.poll()
                assert new[-1].t == n / 10
                seen += [t for b in new for t in ticks(b.columns)]
            run.emit({"index": n}, n / 10)
        seen += [t for b in follower.poll() for t in ticks(b.columns)]
        assert seen == list(range(200))
        assert follower.counts == {"alice": 100, "bob": 100}
        assert follower.poll() == []


def test_a_replay_is_compared_tag_by_tag(tmp_path: Path) -> None:
    def record(where: str, cuts: list[int], spoil: int = -1) -> RunFolder:
        with create(tmp_path / where) as run:
            everything = batch(0, 12)
            if spoil >= 0:
                everything["time (ps)"][spoil] += 1
            for first, end in zip(cuts, [*cuts[1:], 12], strict=True):
                run.record_tags("alice", {k: v[first:end] for k, v in everything.items()}, 0.1)
            run.emit({"index": 0}, 0.1)
        return RunFolder.open(run.path)

    one = record("one", [0, 6])
    assert compare(one, record("two", [0, 6])) == (1, "")
    assert compare(one, record("three", [0, 2, 9])) == (1, "")  # other commits, same tags
    rows, difference = compare(one, record("four", [0, 6], spoil=7))
    assert rows == 0
    assert "point 0, tags 'alice': 'time (ps)': value 7 was" in difference
    assert "'alice'" in compare(one, RunFolder.open(finish_without_tags(tmp_path / "five")))[1]


def finish_without_tags(tmp_path: Path) -> Path:
    with create(tmp_path) as run:
        run.emit({"index": 0}, 0.1)
    return run.path


#: Goes on with the point after the last; says a batch's number after `record_tags` has returned.
WRITER = """
import os, sys
import numpy as np
import pandas as pd
import pyarrow
from labctl.run.catalogue import list_runs
from labctl.run.export import export
from labctl.run.folder import RunFolder

run = RunFolder.resume(sys.argv[1])
point = len(run.points_done)
run.opened({"t": 0.0})
os.write(1, b"ready\\n")
while True:
    for part in range(3):
        size = (3 * point + part) * 7919 % 5000
        times = np.arange(size, dtype=np.int64) + 1_000_000 * (3 * point + part)
        for name in ("alice", "bob"):
            run.record_tags(name, {"channel": times.astype(np.uint8), "time (ps)": times}, 0.0)
        os.write(1, b"b %d %d\\n" % (point, part))
    run.emit({"index": point}, 0.0)
    os.write(1, b"r %d\\n" % point)
    point += 1
"""


def expected(point: int, parts: int = 3) -> np.ndarray:
    return np.concatenate(
        [
            np.arange((3 * point + part) * 7919 % 5000, dtype=np.int64)
            + 1_000_000 * (3 * point + part)
            for part in range(parts)
        ]
        or [np.empty(0, np.int64)]
    )


def test_killed_writers_lose_no_commit_and_no_point_counts_twice(tmp_path: Path) -> None:
    """LABCTL_KILLS sets how many writers are killed (8 unless told)."""
    rng = random.Random(5)
    with RunFolder.create(tmp_path, "kill-test", START) as run:
        path = run.path
    for _ in range(int(os.environ.get("LABCTL_KILLS", "8"))):
        said = write_until_killed(path, rng.uniform(0.0, 0.05))
        reader = RunFolder.open(path)
        rows = len(reader.rows)
        rows_said = sum(line[0] == "r" for line in said)
        parts_said = [line for line in said if line[0] == "b" and int(line[1]) >= rows]
        assert rows >= rows_said
        assert [row["index"] for row in reader.rows] == list(range(rows))
        for name in reader.tag_names:
            found = reader.tags(name)["time (ps)"]
            whole = [expected(point) for point in range(rows)]
            least = np.concatenate([*whole, expected(rows, len(parts_said))])
            most = np.concatenate([*whole, expected(rows)])
            assert len(found) >= len(least)  # every acknowledged batch is there
            np.testing.assert_array_equal(found, most[: len(found)])
            for point in range(rows):
                np.testing.assert_array_equal(
                    reader.tags(name, point)["time (ps)"], expected(point)
                )
    with RunFolder.resume(path) as run:
        assert run.verify() == []
        for name in run.tag_names:  # a crash leaves no bytes behind that nobody cites
            stream = path / "tags" / f"{name}.arrows"
            every = [e for e in run.events if e["entry"] == "tags" and e["name"] == name]
            assert stream.stat().st_size == every[-1]["cited"]["end"]


def write_until_killed(path: Path, seconds: float) -> list[list[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        time.sleep(seconds)  # a kill may come at any moment
        writer.kill()
        return [line.split() for line in writer.stdout if line.endswith("\n")]


def test_the_folder_can_be_moved(tmp_path: Path) -> None:
    with create(tmp_path) as run:
        run.record_tags("alice", batch(0, 3), 0.1)
        run.emit({"index": 0}, 0.1)
        run.stop("finished")
    moved = shutil.move(run.path, tmp_path / "elsewhere")
    assert ticks(RunFolder.open(moved).tags("alice")) == [0, 1, 2]


def tagged_run(tmp_path: Path) -> RunFolder:
    with create(tmp_path) as run:
        run.record_tags("alice", batch(0, 4), 0.1)
        run.record_tags("alice", batch(4, 3), 0.2)
        run.emit({"index": 0}, 0.2)
        run.record_tags("alice", batch(7, 2), 0.3)
        phases = {"z": np.array([1 + 2j, 3.5 - 1j]), "on": np.array([True, False])}
        run.record_tags("b/o b", phases, 0.3)
        run.emit({"index": 1}, 0.4)
        run.record_tags("alice", batch(9, 1), 0.5)
        run.stop("finished")
    return run


ROWS = [0] * 7 + [1] * 2 + [-1]


def test_exports_hold_every_tag_with_its_row(tmp_path: Path) -> None:
    run = tagged_run(tmp_path)
    whole = batch(0, 10)
    files = export(run, "csv", tmp_path / "run.csv")
    assert [file.name for file in files] == ["run.csv", "run.tags-alice.csv", "run.tags-b_o_b.csv"]
    table = pd.read_csv(files[1])
    assert table["row"].tolist() == ROWS
    for column, values in whole.items():
        assert table[column].tolist() == values.tolist()
    assert [complex(z) for z in pd.read_csv(files[2])["z"]] == [1 + 2j, 3.5 - 1j]

    files = export(run, "parquet", tmp_path / "run.parquet")
    table = pd.read_parquet(tmp_path / "run.tags-alice.parquet")
    assert table["row"].tolist() == ROWS
    for column, values in whole.items():
        assert table[column].dtype == values.dtype
        np.testing.assert_array_equal(table[column], values)
    other = pd.read_parquet(files[2])
    assert other["z"].tolist() == [{"real": 1, "imaginary": 2}, {"real": 3.5, "imaginary": -1}]
    assert other["on"].tolist() == [True, False]

    (file,) = export(run, "netcdf", tmp_path / "run.nc")
    with xr.open_dataset(file, group="tags/alice") as data:
        assert data["row"].to_numpy().tolist() == ROWS
        assert data.attrs["name"] == "alice"
        for column, values in whole.items():
            assert data[column].dtype == values.dtype
            np.testing.assert_array_equal(data[column], values)
        assert data["time (ps)"].attrs["units"] == "ps"
    with xr.open_dataset(file, group="tags/b_o_b") as data:
        assert data["z.imaginary"].to_numpy().tolist() == [2, -1]
        assert data["on"].to_numpy().tolist() == [1, 0]


def test_show_and_the_catalogue_count_tags(tmp_path: Path, capsys) -> None:
    run = tagged_run(tmp_path)
    (summary,) = list_runs(run.path.parent)
    assert summary.tags == {"alice": 10, "b/o b": 2}
    entry = {**START, "parameters": {}, "units": {}, "bench": None, "mode": "", "world": {}}
    with RunFolder.create(
        tmp_path / "shown", "x", {**entry, "versions": {}, "commit": ""}
    ) as shown:
        shown.record_tags("alice", batch(0, 1234), 0.1)
    assert call(capsys, "show", str(shown.path))[1].count("1,234") == 1
    code, out, _ = call(capsys, "show", str(shown.path), "--json")
    assert (code, json.loads(out)["tags"]) == (0, {"alice": 1234})
