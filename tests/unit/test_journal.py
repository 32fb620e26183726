"""A journal gives back exactly what it was given, and survives what happens to its file."""

from __future__ import annotations

import errno
import json
import math
import os
import struct
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl import journal as journal_module
from labctl.errors import StorageError
from labctl.journal import Follower, Journal, append_shared
from labctl.jsonline import decode, encode

ROWS = [
    {"entry": "start", "columns": ["index", "x (nm)"], "title": 'a "quoted" ünïcode\ntitle'},
    {"entry": "row", "t": 0.1, "row": {"index": 0, "x (nm)": 1550.12}},
    {"entry": "row", "t": 0.2, "row": {"index": 1, "x (nm)": float("inf")}},
    {"entry": "row", "t": 0.3, "row": {"index": 2, "x (nm)": None, "arrays": {"crc": "00000000"}}},
    {"entry": "stop", "status": "finished"},
]

FILES = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def write(path: Path, rows: list[dict[str, Any]]) -> bytes:
    with Journal(path) as journal:
        for row in rows:
            journal.append(row)
    return path.read_bytes()


def same(a: Any, b: Any) -> bool:
    """Equality to the last bit: NaN equals NaN, -0.0 differs from 0.0, 1 differs from 1.0."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return math.isnan(a) == math.isnan(b) and (
            math.isnan(a) or struct.pack("d", a) == struct.pack("d", b)
        )
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


def test_every_line_is_plain_json_with_a_checksum_of_what_stands_before_it(tmp_path: Path) -> None:
    lines = write(tmp_path / "j", ROWS).splitlines()
    assert len(lines) == len(ROWS)
    for line in lines:
        entry = json.loads(line)
        assert list(entry)[-1] == "crc"
        body = line[: line.rindex(b',"crc"')]
        assert entry["crc"] == f"{crc32(body):08x}"


def test_a_line_written_by_hand_from_the_rule_is_read(tmp_path: Path) -> None:
    body = b'{"entry":"note","text":"by hand"'
    (tmp_path / "j").write_bytes(body + b',"crc":"%08x"}\n' % crc32(body))
    assert list(Journal.read(tmp_path / "j")) == [{"entry": "note", "text": "by hand"}]


text = st.text(st.characters(exclude_categories=()), max_size=8)  # lone surrogates included
values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers(-(2**80), 2**80) | text
    | st.sampled_from(["null", "$float", "$", '"$', "crc"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.text(max_size=4) | st.sampled_from(["$float", "$int", "$utf8", "$object", "crc"]),
        inner,
        max_size=3,
    ),
    max_leaves=8,
)  # fmt: skip


@given(value=values)
@settings(max_examples=400, deadline=None, derandomize=True)
def test_any_value_comes_back_to_the_last_bit(value: Any) -> None:
    line = encode({"entry": "x", "value": value})
    assert line.count(b"\n") == 1
    json.loads(line)
    assert same(decode(line), {"entry": "x", "value": value})


@given(key=st.sampled_from(["$float", "$int", "$utf8", "$object"]), value=values)
@settings(deadline=None, derandomize=True)
def test_an_entry_that_looks_like_an_encoding_stays_what_it_is(key: str, value: Any) -> None:
    assert same(decode(encode({key: value})), {key: value})


def test_numpy_values_become_what_they_are_worth() -> None:
    entry = {
        "f8": np.float64(0.1), "f4": np.float32(0.1), "f2": np.float16(0.1),
        "nan": np.float32("nan"),
        "i": np.int64(-(2**63)), "u": np.uint64(2**64 - 1), "b": np.bool_(True), "s": np.str_("ä"),
        "zero": np.array(2.5), "many": np.array([[1.5, np.inf], [-0.0, np.nan]]), "null": None,
    }  # fmt: skip
    plain = {
        "f8": 0.1, "f4": float(np.float32(0.1)), "f2": float(np.float16(0.1)), "nan": math.nan,
        "i": -(2**63), "u": 2**64 - 1, "b": True, "s": "ä",
        "zero": 2.5, "many": [[1.5, math.inf], [-0.0, math.nan]], "null": None,
    }  # fmt: skip
    assert same(decode(encode(entry)), plain)


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ({"entry": "row", "row": {1: 2.0}}, "key 1 is not text"),
        ({"entry": "row", "z": 1j}, "complex"),
        ({"entry": "row", "z": np.array([1j])}, "ndarray"),
        ({"entry": "row", "z": np.longdouble(1)}, "longdouble"),
        ({"entry": "row", "z": {1, 2}}, "set"),
        ({"entry": "row", "crc": "x"}, "crc"),
        ({}, "at least one"),
    ],
)
def test_what_cannot_be_kept_is_refused_in_one_line_and_leaves_no_trace(
    tmp_path: Path, entry: dict[Any, Any], complaint: str
) -> None:
    with Journal(tmp_path / "j") as journal:
        journal.append(ROWS[0])
        with pytest.raises(StorageError, match=complaint) as caught:
            journal.append(entry)
        journal.append(ROWS[1])
    assert "\n" not in str(caught.value)
    assert str(tmp_path / "j") in str(caught.value)
    assert list(Journal.read(tmp_path / "j")) == ROWS[:2]


def test_one_write_per_entry_and_nothing_held_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes = []
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: writes.append(1) or real(fd, data))
    journal = Journal(tmp_path / "j")
    for n, row in enumerate(ROWS, 1):
        journal.append(row)
        assert len(writes) == n
        assert len(list(Journal.read(tmp_path / "j"))) == n  # before close
    journal.close()
    journal.close()


@pytest.mark.parametrize("reopen", [False, True])
def test_torn_at_any_byte_keeps_every_whole_row_and_can_be_continued(
    tmp_path: Path, reopen: bool
) -> None:
    data = write(tmp_path / "whole", ROWS)
    ends = [i + 1 for i, byte in enumerate(data) if byte == 10]
    for cut in range(len(data) + 1):
        path = tmp_path / f"torn{cut}"
        path.write_bytes(data[:cut])
        # A row is whole once its closing brace is there; only its newline may be missing.
        expected = ROWS[: sum(end - 1 <= cut for end in ends)]
        if reopen:
            with Journal(path) as journal:
                journal.append({"entry": "after"})
            entries, damage = Journal.read_all(path)
            assert entries == [*expected, {"entry": "after"}]
            assert damage == []
            evidence = b"".join(p.read_bytes() for p in tmp_path.glob(f"torn{cut}.torn-*"))
            assert evidence == data[sum(len(encode(row)) for row in expected) : cut]
        else:
            entries, damage = Journal.read_all(path)
            assert entries == expected
            assert [d.torn for d in damage] == [True] * (
                cut not in (0, *ends) and cut + 1 not in ends
            )


@given(data=st.data())
@FILES
def test_a_flipped_bit_costs_one_row_and_is_named(tmp_path: Path, data: st.DataObject) -> None:
    whole = bytearray(write(tmp_path / "j", ROWS)) if not (tmp_path / "j").exists() else bytearray(
        (tmp_path / "j").read_bytes()
    )  # fmt: skip
    place = data.draw(st.integers(0, len(whole) - 1))
    whole[place] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "flipped"
    path.write_bytes(whole)
    entries, damage = Journal.read_all(path)
    ends = np.cumsum([len(encode(row)) for row in ROWS])
    hit = int(np.searchsorted(ends, place, side="right"))
    if place == ends[hit] - 1:  # the newline: both its rows are still to be had
        assert entries == ROWS
    else:
        assert entries == ROWS[:hit] + ROWS[hit + 1 :]
    assert len(damage) >= 1
    starts = [0, *ends]
    assert damage[0].line == hit + 1
    assert damage[0].offset == starts[hit]
    assert str(path) in str(damage[0])
    assert "\n" not in str(damage[0])


@given(
    data=st.data(),
    garbage=st.binary(max_size=30) | st.just(b"\0" * 4096) | st.just(b'{"entry":"row","t":1'),
)
@FILES
def test_garbage_anywhere_between_rows_costs_no_row(
    tmp_path: Path, data: st.DataObject, garbage: bytes
) -> None:
    lines = [encode(row) for row in ROWS]
    lines.insert(data.draw(st.integers(0, len(lines))), garbage)
    path = tmp_path / "garbage"
    path.write_bytes(b"".join(lines))
    entries, damage = Journal.read_all(path)
    assert entries == ROWS
    assert bool(damage) == bool(garbage.strip(b"\n"))  # an empty line loses nothing
    with Journal(path) as journal:  # opening for writing loses none either
        journal.append({"entry": "after"})
    assert list(Journal.read(path)) == [*ROWS, {"entry": "after"}]


@given(st.binary(max_size=300))
@settings(deadline=None, derandomize=True)
def test_no_bytes_whatsoever_break_the_reader(data: bytes) -> None:
    for line in data.splitlines(keepends=True):
        assert decode(line) is None


class Disk:
    """A disk with some room left, in place of os.write."""

    def __init__(self, room: int, code: int = errno.ENOSPC) -> None:
        self.room, self.code, self.write = room, code, os.write

    def __call__(self, descriptor: int, data: bytes) -> int:
        if self.room <= 0:
            raise OSError(self.code, os.strerror(self.code))
        written = self.write(descriptor, bytes(data)[: self.room])
        self.room -= written
        return written


@pytest.mark.parametrize(
    ("code", "words"), [(errno.ENOSPC, "disk full"), (errno.EIO, "cannot be written")]
)
def test_a_full_disk_leaves_whole_lines_only_and_the_journal_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    size = len(encode(ROWS[1]))
    for room in range(size):
        path = tmp_path / f"full{room}"
        journal = Journal(path)
        journal.append(ROWS[0])
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", Disk(room, code))
            with pytest.raises(StorageError, match=words) as caught:
                journal.append(ROWS[1])
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
        assert path.read_bytes() == encode(ROWS[0])
        journal.append(ROWS[1])  # space was freed
        journal.close()
        assert Journal.read_all(path) == (ROWS[:2], [])


def test_a_half_line_that_cannot_be_cut_at_once_is_cut_before_the_next_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = Journal(tmp_path / "j")
    journal.append(ROWS[0])

    def broken(descriptor: int, size: int) -> None:
        raise OSError(errno.EIO, "broken")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", Disk(10))
        patch.setattr(os, "ftruncate", broken)
        with pytest.raises(StorageError):
            journal.append(ROWS[1])
    assert list(Journal.read(tmp_path / "j")) == ROWS[:1]
    journal.append(ROWS[1])
    journal.close()
    assert Journal.read_all(tmp_path / "j") == (ROWS[:2], [])


def test_short_writes_are_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data)[:7]))
    write(tmp_path / "j", ROWS)
    assert Journal.read_all(tmp_path / "j") == (ROWS, [])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs the kernel's always-full device")
def test_the_kernels_own_full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Journal, "_mend_tail", lambda self: None)  # it has no size and no tail
    with pytest.raises(StorageError, match="/dev/full: disk full"):
        Journal("/dev/full").append(ROWS[0])


def test_a_missing_folder_or_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="nowhere"):
        Journal(tmp_path / "nowhere" / "j")
    with pytest.raises(StorageError, match="no such journal"):
        Journal.read_all(tmp_path / "nowhere")


def test_flushing_to_disk_happens_when_asked_and_no_oftener(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now, flushed = [100.0], []
    monkeypatch.setattr(journal_module.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(os, "fsync", lambda fd: flushed.append(now[0]))
    with Journal(tmp_path / "never") as journal:
        journal.append(ROWS[0])
    assert flushed == []
    with Journal(tmp_path / "asked") as journal:
        journal.append(ROWS[0], durable=True)
        assert flushed == [100.0]
    journal = Journal(tmp_path / "periodic", durable_every=1.0)
    for moment in (100.5, 101.0, 101.5, 102.5):
        now[0] = moment
        journal.append(ROWS[0])
    assert flushed == [100.0, 101.0, 102.5]
    journal.close()
    assert len(flushed) == 4


def test_a_follower_sees_each_entry_once_and_only_when_whole(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "j")
    assert follower.poll() == []  # not there yet
    data = write(tmp_path / "other", ROWS)
    seen = []
    with (tmp_path / "j").open("wb", buffering=0) as file:
        for i in range(0, len(data), 11):
            file.write(data[i : i + 11])
            seen += follower.poll()
            assert seen == list(Journal.read(tmp_path / "j"))[: len(seen)]
    assert seen == ROWS
    assert follower.poll() == []
    assert follower.damage == []


def test_a_follower_can_pass_over_lines(tmp_path: Path) -> None:
    write(tmp_path / "j", ROWS)
    follower = Follower(tmp_path / "j", skip=b'{"entry":"row"')
    assert follower.poll() == [ROWS[0], ROWS[4]]
    assert follower.skipped == 3


def test_several_writers_of_one_journal_lose_nothing(tmp_path: Path) -> None:
    import threading

    def work(name: int) -> None:
        for i in range(20):
            append_shared(tmp_path / "control.jsonl", {"from": name, "i": i})

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    entries, damage = Journal.read_all(tmp_path / "control.jsonl")
    assert damage == []
    for name in range(4):
        assert [e["i"] for e in entries if e["from"] == name] == list(range(20))
