"""Array streams: bit-exact, readable by any Arrow program, believed only where cited."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl.arrays import ArrayReader, ArrayStream, Citation
from labctl.errors import StorageError

AWKWARD = {
    "float16": [0.1, -0.0, np.nan, np.inf, 6e-8],
    "float32": [0.1, -0.0, np.nan, -np.inf, 1e-45],
    "float64": [0.1, -0.0, np.nan, np.inf, 5e-324, np.nextafter(1, 2)],
    "complex64": [0.1 - 0.2j, complex(-0.0, np.nan), complex(np.inf, 1e-45)],
    "complex128": [0.1 - 0.2j, complex(-0.0, np.nan), complex(-np.inf, 5e-324)],
    "int8": [-128, 127],
    "int64": [-(2**63), 2**63 - 1, 0],
    "uint64": [2**64 - 1, 0],
    "bool": [True, False, True],
}


def bits(array: np.ndarray) -> tuple[str, bytes]:
    return array.dtype.name, array.tobytes()


@pytest.mark.parametrize("kind", AWKWARD)
def test_each_dtype_comes_back_bit_for_bit(tmp_path: Path, kind: str) -> None:
    array = np.array(AWKWARD[kind], dtype=kind)
    stream = ArrayStream(tmp_path / "a.arrows", {"value": kind})
    pieces = [array, array[:0], array[::-1], np.tile(array, 1000)]
    cited = [stream.append(piece) for piece in pieces]
    reader = ArrayReader(tmp_path / "a.arrows", {"value": kind})  # while it is being written
    for piece, citation in zip(pieces, cited, strict=True):
        (found,) = reader.read(citation)
        assert bits(found) == bits(piece)
        assert citation.length == len(piece)
    cited.append(stream.append(array))  # the file grew after it was mapped
    assert bits(reader.read(cited[-1])[0]) == bits(array)
    assert [c.batch for c in cited] == [0, 1, 2, 3, 4]
    stream.close()
    stream.close()


def test_foreign_byte_order_and_strides_are_only_a_matter_of_form(tmp_path: Path) -> None:
    array = np.arange(6, dtype=">f8").reshape(2, 3).T[1]
    stream = ArrayStream(tmp_path / "a.arrows", {"value": "float64"})
    (found,) = ArrayReader(tmp_path / "a.arrows", {"value": "float64"}).read(stream.append(array))
    assert found.tolist() == [1.0, 4.0]


def test_a_plain_arrow_reader_understands_the_file(tmp_path: Path) -> None:
    fields = {"time": "int64", "channel": "int16"}
    with ArrayStream(tmp_path / "tags.arrows", fields) as stream:
        stream.append(np.array([10, 20], np.int64), np.array([1, 2], np.int16))
        stream.append(np.array([30], np.int64), np.array([1], np.int16))
    with pa.OSFile(str(tmp_path / "tags.arrows")) as file, pa.ipc.open_stream(file) as reader:
        table = reader.read_all()
    assert table.to_pydict() == {"time": [10, 20, 30], "channel": [1, 2, 1]}
    assert table.schema.field("time").type == pa.int64()


def test_tables_come_back_by_column(tmp_path: Path) -> None:
    fields = {"time": "int64", "channel": "int16"}
    stream = ArrayStream(tmp_path / "tags.arrows", fields)
    citation = stream.append(np.array([10, 20]), np.array([1, 2], np.int16))
    time, channel = ArrayReader(tmp_path / "tags.arrows", fields).read(citation)
    assert time.tolist() == [10, 20]
    assert channel.tolist() == [1, 2]
    assert channel.dtype == np.int16


def test_reading_does_not_copy(tmp_path: Path) -> None:
    stream = ArrayStream(tmp_path / "a.arrows", {"value": "float64"})
    citation = stream.append(np.arange(1000.0))
    (found,) = ArrayReader(tmp_path / "a.arrows", {"value": "float64"}).read(citation)
    assert not found.flags.owndata
    assert not found.flags.writeable


def test_what_is_on_disk_when_append_returns_is_all_of_it(tmp_path: Path) -> None:
    stream = ArrayStream(tmp_path / "a.arrows", {"value": "float64"})
    for n in range(3):
        assert stream.append(np.arange(float(n))).end == (tmp_path / "a.arrows").stat().st_size


def test_a_citation_survives_json() -> None:
    citation = Citation(3, 100, 200, "0123abcd", 7)
    entry = {**json.loads(json.dumps(citation.as_entry())), "type": "float64"}
    assert Citation.from_entry(entry) == citation


@pytest.fixture
def three(tmp_path: Path) -> tuple[Path, list[Citation], bytes]:
    path = tmp_path / "a.arrows"
    with ArrayStream(path, {"value": "float64"}) as stream:
        cited = [stream.append(np.arange(float(n)) + n) for n in (3, 0, 5)]
    return path, cited, path.read_bytes()


def test_after_a_crash_the_tail_nobody_cites_is_cut(
    three: tuple[Path, list[Citation], bytes],
) -> None:
    path, cited, data = three
    for size in range(cited[1].end, len(data) + 1):  # the third batch torn anywhere
        path.write_bytes(data[:size])
        with ArrayStream(path, {"value": "float64"}, keep=cited[1]) as stream:
            assert path.stat().st_size == cited[1].end
            again = stream.append(np.arange(5.0) + 5)
        assert again == cited[2]
        assert path.read_bytes() == data


def test_a_stream_shorter_than_cited_is_refused(three: tuple[Path, list[Citation], bytes]) -> None:
    path, cited, data = three
    path.write_bytes(data[:-1])
    with pytest.raises(StorageError, match="data were lost"):
        ArrayStream(path, {"value": "float64"}, keep=cited[2])
    with pytest.raises(StorageError, match=r"batch 2 ends at byte \d+, but the file has"):
        ArrayReader(path, {"value": "float64"}).read(cited[2])
    path.unlink()
    with pytest.raises(StorageError, match="cannot be read"):
        ArrayReader(path, {"value": "float64"}).read(cited[2])


@given(data=st.data())
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_flipped_bit_spoils_its_batch_only_and_is_named(
    three: tuple[Path, list[Citation], bytes], data: st.DataObject
) -> None:
    path, cited, whole = three
    place = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(flipped)
    reader = ArrayReader(path, {"value": "float64"})
    hit = [c for c in cited if c.start <= place < c.end]  # none: it hit the schema
    complaints = reader.check(cited)
    assert len(complaints) == len(hit)
    for citation, complaint in zip(hit, complaints, strict=True):
        assert f"{path}: batch {citation.batch} " in complaint
        assert "\n" not in complaint
    for n, citation in zip((3, 0, 5), cited, strict=True):
        if citation not in hit:
            assert reader.read(citation)[0].tolist() == (np.arange(float(n)) + n).tolist()


def test_a_full_disk_leaves_whole_batches_and_the_stream_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.arrows"
    stream = ArrayStream(path, {"value": "float64"})
    first = stream.append(np.arange(10.0))
    real, real_cut, room = os.write, os.ftruncate, [100]

    def full(descriptor: int, data: Any) -> int:
        if room[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = real(descriptor, bytes(data)[: room[0]])
        room[0] -= written
        return written

    def broken(descriptor: int, size: int) -> None:
        raise OSError(errno.EIO, "broken")

    for cut in (real_cut, broken):
        room[0] = 100
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", full)
            patch.setattr(os, "ftruncate", cut)
            with pytest.raises(StorageError, match=r"a\.arrows: disk full"):
                stream.append(np.arange(10.0))
    second = stream.append(np.arange(3.0))
    assert second.start == first.end
    assert path.stat().st_size == second.end
    assert ArrayReader(path, {"value": "float64"}).check([first, second]) == []


@pytest.mark.parametrize(
    ("first", "later"),
    [
        (np.zeros(2, np.int64), np.array([0.5])),
        (np.zeros(2, np.float32), np.array([0.1])),
        (np.zeros(2, np.float64), np.array([2**53 + 1])),
        (np.zeros(2, np.int16), np.array([2**15])),
        (np.zeros(2, np.int64), np.array([3.0])),
        (np.zeros(2, np.int64), np.array([2**63], np.uint64)),
        (np.zeros(2, np.float64), np.array([1j])),
        (np.zeros(2, np.uint64), np.array([-1])),
        (np.zeros(2, np.uint64), np.array([-0.0])),
    ],
)
def test_a_value_that_would_change_is_refused(
    tmp_path: Path, first: np.ndarray, later: np.ndarray
) -> None:
    stream = ArrayStream(tmp_path / "a.arrows", {"value": first.dtype.name})
    stream.append(first)
    with pytest.raises(StorageError, match="does not fit exactly"):
        stream.append(later)


@pytest.mark.parametrize(
    ("kind", "later"),
    [
        ("float64", np.array([1, -3, 2**53])),
        ("float64", np.array([0.1, np.nan], np.float32)),
        ("int64", np.array([3, 2**31], np.uint32)),
        ("complex128", np.array([1.5, np.nan])),
        ("float64", np.array([True, False])),
    ],
)
def test_another_dtype_is_fine_where_no_value_changes(
    tmp_path: Path, kind: str, later: np.ndarray
) -> None:
    stream = ArrayStream(tmp_path / "a.arrows", {"value": kind})
    (found,) = ArrayReader(tmp_path / "a.arrows", {"value": kind}).read(stream.append(later))
    np.testing.assert_array_equal(found, later)


@pytest.mark.parametrize("array", [np.array(["a"]), np.array([None]), np.array(["2026"], "M8[s]")])
def test_other_dtypes_are_refused_in_one_line(tmp_path: Path, array: np.ndarray) -> None:
    with pytest.raises(StorageError, match="cannot be stored"):
        ArrayStream(tmp_path / "a.arrows", {"value": "float64"}).append(array)
