"""Files of time tags: known bytes, real recordings, other readers, damage, and any bytes at all."""

from __future__ import annotations

import struct
from datetime import datetime
from fractions import Fraction
from pathlib import Path

import numpy as np
import ptufile
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labctl.analysis.timetags import TagFileError, read_tags, write_ptu
from labctl.analysis.timetags.files import open_tags
from labctl.analysis.timetags.files.model import MARKER, whole
from labctl.analysis.timetags.files.ptu_records import LAYOUTS, Clock, Decoder, Room
from labctl.run.folder import RunFolder

DATA = Path(__file__).parents[1] / "data" / "timetags"
SHARED = Path(__file__).parents[3] / "shared" / "data" / "timetags"  # beside this project

#: The worked examples of the format sheet, as stored: checked with ptufile and the vendor's snAPI.
T2_WORDS = (
    "e8030000 10040002 d0070080 ffffff01 010000fe 00000002 060000fe 7b000000 96000002"
    " 5d0000fe 0500000e"
)
T2_INPUTS = [1, 2, 1, 2, 1, 2, 8]
T2_UNITS = [1000, 1040, 2**25 - 1, 2**25, 7 * 2**25 + 123, 7 * 2**25 + 150, 100 * 2**25 + 5]
T3_WORDS = "05900100 ff230302 010000fe 00b00400 ff0300fe d00300fe 07400604"
T3_EVENTS = [(1, 5, 100), (2, 1023, 200), (1, 1024, 300), (3, 2048007, 400)]

STRUCT = struct.Struct("<32siI8s")


def tag(name: str, value: object, *, index: int = -1, kind: int | None = None) -> bytes:
    """One tag of a header, as the vendor describes it."""
    payload = b""
    if isinstance(value, bytes):
        raw, payload, kind = struct.pack("<q", len(value)), value, kind or 0xFFFFFFFF
    elif isinstance(value, float):
        raw, kind = struct.pack("<d", value), kind or 0x20000008
    else:
        raw, kind = struct.pack("<q", int(value)), 0x10000008 if kind is None else kind
    return STRUCT.pack(name.encode(), index, kind, raw) + payload


def ptu(path: Path, kind: int, words: bytes, *, more: bytes = b"", **changes: object) -> Path:
    """A file with the least header that readers need."""
    entries: dict[str, object] = {
        "File_GUID": b"{00000000-0000-0000-0000-000000000000}\0\0",
        "Measurement_Mode": 2 if kind >> 8 & 0xFF == 2 else 3,
        "Measurement_SubMode": 0,
        "TTResultFormat_TTTRRecType": kind,
        "TTResultFormat_BitsPerRecord": 32,
        "MeasDesc_Resolution": 4e-12,
        "MeasDesc_GlobalResolution": 5e-12 if kind >> 8 & 0xFF == 2 else 12.5e-9,
        "TTResult_SyncRate": 80_000_000,
        "TTResult_NumberOfRecords": len(words) // 4,
    } | changes
    kinds = {"File_GUID": 0x4001FFFF}
    header = b"".join(
        tag(name, value, kind=kinds.get(name))
        for name, value in entries.items()
        if value is not None
    )
    end = STRUCT.pack(b"Header_End", -1, 0xFFFF0008, bytes(8))
    path.write_bytes(b"PQTTTR\0\0" + b"1.0.00\0\0" + header + more + end + words)
    return path


def le(*words: int) -> bytes:
    return struct.pack(f"<{len(words)}I", *words)


# -- known bytes


def test_the_worked_t2_example_is_read(tmp_path: Path) -> None:
    tags = read_tags(ptu(tmp_path / "a.ptu", 0x00010207, bytes.fromhex(T2_WORDS)))
    assert tags.channels.tolist() == [n - 1 for n in T2_INPUTS]
    assert tags.times.tolist() == [5 * n for n in T2_UNITS]
    assert tags.times.tolist()[2:4] == [167772155, 167772160]  # as the vendor's library says
    assert tags.sync.tolist() == [10000]
    assert (tags.resolution, tags.about.mode, tags.warnings) == (5.0, "T2", ())
    assert tags.tally == {"overflow records": 3, "overflows": 100}
    assert tags.dtimes.size == tags.markers.size == 0


def test_the_worked_t2_example_is_written(tmp_path: Path) -> None:
    path = tmp_path / "a.ptu"
    times = 5 * np.array(T2_UNITS)
    write_ptu(path, np.array(T2_INPUTS) - 1, times, resolution=5.0, sync=[10000])
    assert path.read_bytes().endswith(bytes.fromhex(T2_WORDS))


def test_the_worked_t3_example_is_read_and_written(tmp_path: Path) -> None:
    tags = read_tags(ptu(tmp_path / "a.ptu", 0x00010307, bytes.fromhex(T3_WORDS)))
    inputs, pulses, dtimes = map(list, zip(*T3_EVENTS, strict=True))
    assert (tags.channels + 1).tolist() == inputs
    assert tags.sync.tolist() == pulses
    assert tags.dtimes.tolist() == dtimes
    assert tags.times.tolist() == [12_500 * p + 4 * d for p, d in zip(pulses, dtimes, strict=True)]
    assert (tags.resolution, tags.about.sync_period) == (4.0, 12_500.0)
    path = tmp_path / "b.ptu"
    write_ptu(
        path, np.array(inputs) - 1, sync=pulses, dtimes=dtimes, resolution=4.0, sync_period=12_500.0
    )
    assert path.read_bytes().endswith(bytes.fromhex(T3_WORDS))
    again = read_tags(path)
    np.testing.assert_array_equal(again.times, tags.times)


#: By record type: overflow record (bytes of one), what it adds, and whether ptufile has channel + 1.
HYDRA = 0xFE000000
KINDS = {
    0x00010203: (le(0xF0000000), 210698240), 0x00010303: (le(0xF0000000), 65536),
    0x00010204: (le(HYDRA | 7), 33552000), 0x00010304: (le(HYDRA | 7), 1024),
    0x01010204: (le(HYDRA | 7), 7 * 33554432), 0x01010304: (le(HYDRA | 7), 7 * 1024),
    0x00010205: (le(HYDRA | 7), 7 * 33554432), 0x00010305: (le(HYDRA | 7), 7 * 1024),
    0x00010206: (le(HYDRA | 7), 7 * 33554432), 0x00010306: (le(HYDRA | 7), 7 * 1024),
    0x00010207: (le(HYDRA | 7), 7 * 33554432), 0x00010307: (le(HYDRA | 7), 7 * 1024),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS, ids=hex)
@pytest.mark.parametrize("compiled", [False, True])
def test_every_record_type(tmp_path: Path, monkeypatch, kind: int, compiled: bool) -> None:
    monkeypatch.setattr(
        "labctl.analysis.timetags.files.ptu.worth_compiling", lambda records: compiled
    )
    overflow, ticks = KINDS[kind]
    picoharp, t3 = kind & 0xFF == 3, kind >> 8 & 0xFF == 3
    if picoharp:
        photon = le(2 << 28 | 9 << 16 | 5) if t3 else le(2 << 28 | 50)
        marker = le(0xF << 28 | 4 << 16 | 6) if t3 else le(0xF << 28 | 0x60 | 4)
    else:
        photon = le(2 << 25 | 9 << 10 | 5) if t3 else le(2 << 25 | 50)
        marker = le(1 << 31 | 4 << 25 | 6) if t3 else le(1 << 31 | 4 << 25 | 0x60)
    words = photon + overflow + photon + marker + overflow + overflow + photon * 40
    path = ptu(tmp_path / "a.ptu", kind, words)
    tags = read_tags(path)
    laps = np.array([0, ticks] + 40 * [3 * ticks])
    assert tags.channels.tolist() == [2] * 42
    if t3:
        assert tags.sync.tolist() == (laps + 5).tolist()
        assert tags.dtimes.tolist() == [9] * 42
        assert tags.times.tolist() == (12_500 * (laps + 5) + 36).tolist()
        assert tags.markers["sync"].tolist() == [ticks + 6]
        assert tags.markers["time"].tolist() == [12_500 * (ticks + 6)]
    else:
        assert tags.times.tolist() == (5 * (laps + 50)).tolist()
        assert tags.markers["time"].tolist() == [5 * (ticks + 0x60)]
    assert tags.markers["marker"].tolist() == [4]
    assert tags.warnings == ()
    with ptufile.PtuFile(path) as file:
        records = file.decode_records()
    theirs = records["time"][records["channel"] >= 0]
    assert theirs.tolist() == (tags.sync if t3 else laps + 50).tolist()


@pytest.mark.parametrize(
    ("kind", "adds", "said"),
    [(0x01010204, 1, "one"), (0x00010206, 1, "one"), (0x00010207, 0, "none"), (0x00010204, 1, "")],
)  # fmt: skip
def test_an_overflow_that_counts_zero(tmp_path: Path, kind: int, adds: int, said: str) -> None:
    tags = read_tags(ptu(tmp_path / "a.ptu", kind, le(HYDRA, 5)))
    assert tags.times.tolist() == [5 * (5 + adds * LAYOUTS[kind].wrap)]
    assert [said in line for line in tags.warnings] == [True] * bool(said)


# -- both decoders


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(list(LAYOUTS)), st.integers(0, 2**32 - 1), st.integers(0, 600),
       st.sampled_from([0.5, 0.9, 0.97, 1.0]),
       st.sampled_from([Fraction(1), Fraction(5), Fraction(25, 2), Fraction(10**9)]))  # fmt: skip
def test_loops_and_numpy_agree_on_any_records(kind, seed, length, part, unit) -> None:
    rng = np.random.default_rng(seed)
    words = rng.integers(0, 2**32, length, dtype=np.uint32)
    mostly_tags = rng.random(length) < part
    picoharp = LAYOUTS[kind].picoharp
    words[mostly_tags] &= np.uint32(0x4FFFFFFF if picoharp else 0x7FFFFFFF)
    words[~mostly_tags & (rng.random(length) < 0.9)] |= np.uint32(0xFE000000)
    found = []
    for compiled in (False, True):
        decoder = Decoder(LAYOUTS[kind], Clock(unit, 3.7), compiled)
        room = Room(length, LAYOUTS[kind].mode)
        said = []
        at = 0
        for piece in (words[: length // 3], words[length // 3 :]):
            specials = decoder.decode(piece, room, at)
            at += specials.tags
            said += [specials.codes.tolist(), specials.ticks.tolist(), specials.wrong]
            if specials.wrong >= 0:
                break
        late = decoder.ticks > decoder.clock.limit
        found.append(
            [
                at, said, room.channels[:at].tolist(), room.times[:at].tolist(),
                room.ticks[:at].tolist(), room.dtimes[:at].tolist(), late,
                decoder.zeros if not late else 0,
                decoder.overflow_records, None if late else (decoder.ticks, decoder.overflows),
            ]
        )  # fmt: skip
    assert found[0] == found[1]


def test_times_of_t3_are_exact_over_weeks(tmp_path: Path) -> None:
    period = 1 / 76.123456e6
    gap = 0x3FF << 0
    words = le(*[HYDRA | gap] * 600_000, 5)
    tags = read_tags(ptu(tmp_path / "a.ptu", 0x00010307, words, MeasDesc_GlobalResolution=period))
    pulses = 600_000 * gap * 1024 + 5
    assert tags.sync.tolist() == [pulses]
    exact = pulses * Fraction(period) * 10**12
    assert abs(int(tags.times[0]) - exact) <= 1


def test_times_of_t3_wait_until_they_are_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.ptu"
    write_ptu(path, [0, 1], sync=[3, 9], dtimes=[7, 2], resolution=4, sync_period=12_500)
    tags = read_tags(path)
    assert len(tags) == 2
    assert callable(vars(tags)["times"])
    assert tags.times.tolist() == [37_528, 112_508]
    assert tags.times is tags.times
    assert "times=array" in repr(tags)


@settings(max_examples=100)
@given(st.integers(0, 2**32 - 1), st.integers(0, 300), st.integers(0, 1 << 40),
       st.sampled_from([Fraction(12_500), Fraction(25, 2), Fraction(10**12) / 76_123_456]))  # fmt: skip
def test_times_of_pulses_by_loop_and_by_numpy(seed, length, gap, period) -> None:
    from labctl.analysis.timetags.files import ptu_records, record_kernels

    rng = np.random.default_rng(seed)
    clock = Clock(period, 3.7)
    ticks = np.minimum(np.cumsum(rng.integers(0, gap + 1, length)), clock.limit)
    dtimes = rng.integers(0, 1 << 15, length).astype(np.uint16)
    looped = np.empty(length, np.int64)
    if length:
        record_kernels.paired_ps(ticks, dtimes, clock.anchored(int(ticks[0])), looped)
    assert clock.paired(ticks, dtimes).tolist() == looped.tolist()
    assert ptu_records.worth_compiling(length) is False  # so those were of numpy
    exact = (int(t) * period + int(d) * Fraction(3.7) for t, d in zip(ticks, dtimes, strict=True))
    assert all(abs(int(t) - e) <= 1 for t, e in zip(looped, exact, strict=True))


# -- what others read


@st.composite
def events(draw: st.DrawFn):
    gaps = draw(st.lists(st.integers(0, 2**27), min_size=1, max_size=60))
    channels = draw(st.lists(st.integers(0, 7), min_size=len(gaps), max_size=len(gaps)))
    return np.array(channels, np.uint8), np.cumsum(np.array(gaps, np.int64))


@settings(max_examples=40)
@given(
    events(), st.lists(st.integers(0, 2**32), max_size=5), st.lists(st.integers(1, 15), max_size=5)
)
def test_what_is_written_is_read_back_by_us_and_by_ptufile(tmp_path_factory, tags, sync, codes):
    channels, times = tags
    path = tmp_path_factory.mktemp("ptu") / "a.ptu"
    sync = np.sort(np.array(sync, np.int64))
    markers = np.zeros(len(codes), MARKER)
    markers["marker"] = codes
    markers["time"] = np.sort(np.random.default_rng(3).integers(0, 2**33, len(codes)))
    write_ptu(path, channels, times, sync=sync, markers=markers)
    again = read_tags(path)
    for ours, read in ((channels, again.channels), (times, again.times), (sync, again.sync)):
        np.testing.assert_array_equal(ours, read)
    np.testing.assert_array_equal(again.markers["time"], markers["time"])
    np.testing.assert_array_equal(again.markers["marker"], markers["marker"])
    assert again.warnings == ()
    with ptufile.PtuFile(path) as file:
        records = file.decode_records()
        assert file.global_resolution == 1e-12
    if not len(sync):  # ptufile cannot tell a sync event from input 1
        photons = records[records["channel"] >= 0]
        np.testing.assert_array_equal(photons["time"], times)
        np.testing.assert_array_equal(photons["channel"], channels)
    np.testing.assert_array_equal(records["marker"][records["marker"] > 0], codes)


@settings(max_examples=40)
@given(events(), st.integers(0, 2**31))
def test_t3_is_read_back_by_us_and_by_ptufile(tmp_path_factory, tags, seed):
    channels, pulses = tags
    pulses >>= 5
    path = tmp_path_factory.mktemp("ptu") / "a.ptu"
    dtimes = np.random.default_rng(seed).integers(0, 32768, len(pulses)).astype(np.uint16)
    write_ptu(path, channels, sync=pulses, dtimes=dtimes, resolution=25.0, sync_period=50_000.0)
    again = read_tags(path)
    np.testing.assert_array_equal(again.sync, pulses)
    np.testing.assert_array_equal(again.dtimes, dtimes)
    np.testing.assert_array_equal(again.times, 50_000 * pulses + 25 * dtimes.astype(int))
    with ptufile.PtuFile(path) as file:
        records = file.decode_records()
    photons = records[records["channel"] >= 0]
    np.testing.assert_array_equal(photons["time"], pulses)
    np.testing.assert_array_equal(photons["dtime"], dtimes)
    np.testing.assert_array_equal(photons["channel"], channels)


# -- real recordings


def test_the_head_of_a_real_recording(tmp_path: Path) -> None:
    path = DATA / "v30_t2_head.ptu"
    tags = read_tags(path)
    assert tags.about.header["HW_Type"] == "HydraHarp 400"
    assert tags.about.header["File_CreatingTime"].date() == datetime(2017, 5, 15).date()
    assert tags.about.header["CurSWSetting_DispCurve_MapTo"] == list(range(8))
    (line,) = tags.warnings
    assert line.startswith("is truncated: the header announces 435319 records, the file has ")
    with ptufile.PtuFile(path) as file:
        records = file.decode_records()
    photons = records[records["channel"] >= 0]
    np.testing.assert_array_equal(tags.times, photons["time"])
    assert tags.times[0] == 24433765


@pytest.mark.skipif(not SHARED.is_dir(), reason=f"the whole recording would be in {SHARED}")
def test_a_real_recording() -> None:
    tags = read_tags(SHARED / "v30_t2.ptu")
    assert tags.counts() == {0: 305565}
    assert tags.times[-1] == 4999964931763
    assert tags.tally == {"overflow records": 129754, "overflows": 149011}
    assert tags.warnings == ()
    assert tags.about.format == "PicoQuant PTU, HydraHarp (format 2)"


def test_a_real_becker_and_hickl_recording() -> None:
    tags = read_tags(DATA / "test_noise.spc")
    export = np.loadtxt(DATA / "test_noise.asc", dtype=np.int64)
    np.testing.assert_array_equal(tags.sync, export[:, 0])
    np.testing.assert_array_equal(tags.dtimes, export[:, 1])
    np.testing.assert_array_equal(tags.times, export[:, 0] * 9500)
    assert tags.counts() == {0: 6114}
    assert tags.resolution == pytest.approx(2.4430455)
    assert tags.about.format == "Becker & Hickl FIFO, SPC-150"
    assert tags.warnings == ()


@pytest.mark.parametrize("name", ["v30_t2_head.ptu", "test_noise.spc"])
def test_what_was_read_is_written_as_it_is(tmp_path: Path, name: str) -> None:
    tags = read_tags(DATA / name)
    write_ptu(tmp_path / "copy.ptu", tags)
    again = read_tags(tmp_path / "copy.ptu")
    assert (again.about.mode, again.about.sync_period) == (tags.about.mode, tags.about.sync_period)
    assert again.resolution == pytest.approx(tags.resolution, rel=1e-12)
    for column in ("channels", "sync", "dtimes", "markers"):
        np.testing.assert_array_equal(getattr(again, column), getattr(tags, column))
    if tags.about.mode == "T2":
        np.testing.assert_array_equal(again.times, tags.times)


# -- other formats


def test_becker_and_hickl_flags(tmp_path: Path) -> None:
    path = tmp_path / "a.spc"
    photon = 100 << 16 | 3 << 12 | 7
    path.write_bytes(
        le(
            0x80000000 | 250, photon, photon | 1 << 30, 0xC0000000 | 10, photon | 1 << 29,
            0x90000000 | 5 << 12 | 9, 0xD0000000 | 2 << 12 | 1, 0x80000000 | 4,
        )
    )  # fmt: skip
    tags = read_tags(path)
    assert tags.sync.tolist() == [7, 4096 + 7, 11 * 4096 + 7]
    assert tags.times.tolist() == [25_000 * n for n in tags.sync.tolist()]
    assert tags.channels.tolist() == [3, 3, 3]
    assert tags.dtimes.tolist() == [3995] * 3
    assert tags.markers["marker"].tolist() == [5, 2]
    assert tags.markers["sync"].tolist() == [11 * 4096 + 9, 12 * 4096 + 1]
    assert np.isnan(tags.resolution)
    assert tags.tally == {"overflows": 12, "gaps": 1, "invalid records": 1}
    assert [line.split()[0] for line in tags.warnings] == ["what", "1"]


def test_six_byte_records_of_becker_and_hickl(tmp_path: Path) -> None:
    record = struct.Struct("<HBBH")
    path = tmp_path / "a.spc"
    path.write_bytes(
        struct.pack("<HHH", 3, 500, 0) + record.pack(95, 1, 2, 7)
        + record.pack(95 | 1 << 13, 0, 1, 9) + record.pack(1 << 12 | 1 << 13, 0, 0, 0)
        + record.pack(4095 | 1 << 14, 0xFF, 0, 0xFFFF)
    )  # fmt: skip
    tags = read_tags(path)
    assert tags.sync.tolist() == [65536 + 7, 2**24 + 9, 3 * 2**24 - 1]
    assert tags.times.tolist() == [50_000 * n for n in tags.sync.tolist()]
    assert tags.channels.tolist() == [2, 1, 0]
    assert tags.dtimes.tolist() == [4000, 4000, 0]


def test_id900_binary_and_text(tmp_path: Path) -> None:
    times = np.array([5, 5, 1000, 2**40], "<u8")
    index = np.array([1, 1, 2, 9], "<u8")
    plain, pairs = tmp_path / "timestamps_C3.bin", tmp_path / "timestamps_C4.bin"
    plain.write_bytes(times.tobytes())
    pairs.write_bytes(np.column_stack([times, index]).tobytes())
    for path, channel, sync in ((plain, 3, []), (pairs, 4, [1, 1, 2, 9])):
        tags = read_tags(path)
        assert tags.times.tolist() == [5, 5, 1000, 2**40]
        assert tags.counts() == {channel: 4}
        assert tags.sync.tolist() == sync
        assert tags.about.mode == ("T3" if sync else "T2")
    assert len(read_tags(pairs, with_index=False)) == 8
    text = tmp_path / "tags_C2.txt"
    text.write_text("5\n5\n1000\n1099511627776\n")
    assert read_tags(text).times.tolist() == [5, 5, 1000, 2**40]
    text.write_text("5;1\r\n1000;2\r\n")
    assert read_tags(text).sync.tolist() == [1, 2]
    text.write_text("5\n7\nseven\n")
    with pytest.raises(TagFileError, match="line 3 is b'seven"):
        read_tags(text)
    text.write_text("5;1\n7;2\n9")
    assert read_tags(text).warnings == ("ends in the middle of line 3",)
    plain.write_bytes(times.tobytes() + b"\1\2\3")
    assert read_tags(plain).warnings == ("ends in the middle of tag 4, at byte 32",)
    plain.write_bytes(times.tobytes() + b"\xff" * 8)
    with pytest.raises(TagFileError, match="tag 4 holds 18446744073709551615"):
        read_tags(plain)


def test_id900_times_that_count_from_reference_pulses(tmp_path: Path) -> None:
    times, pulses = np.array([700, 20, 900, 30, 30, 1, 5, 999]), np.array([0, 1, 1, 2, 2, 7, 9, 9])
    path = tmp_path / "tags_C1.bin"
    path.write_bytes(np.column_stack([times, pulses]).astype("<u8").tobytes())
    tags = read_tags(path)
    assert (tags.times.tolist(), tags.sync.tolist()) == (times.tolist(), pulses.tolist())
    assert "times count from reference pulses" in tags.warnings[0]
    tags = read_tags(path, reference_period=1000.3)
    assert tags.times.tolist() == [700, 1020, 1900, 2031, 2031, 7003, 9008, 10002]
    assert (tags.warnings, tags.about.sync_period) == ((), 1000.3)
    assert tags.of(1).tolist() == tags.times.tolist()


def test_our_own_streams(tmp_path: Path) -> None:
    start = {"columns": ["index"], "traces": []}
    with RunFolder.create(tmp_path, "tags", start) as run:
        for n in range(3):
            times = np.arange(5, dtype=np.int64) + 100 * n
            run.record_tags("alice", {"channel": times.astype(np.uint8), "time (ps)": times}, 0.0)
    path = run.path / "tags" / "alice.arrows"
    tags = read_tags(path)
    assert tags.times.tolist() == [n + 100 * k for k in range(3) for n in range(5)]
    assert tags.warnings == ()
    path.write_bytes(path.read_bytes()[:-40])
    tags = read_tags(path)
    assert len(tags) == 10
    assert "batch 2 cannot be read" in tags.warnings[0]
    other = tmp_path / "x.arrow"
    table = pa.table({"time (ps)": pa.array([1, 2], pa.uint64()), "channel": [1, 300]})
    with pa.ipc.new_file(str(other), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(TagFileError, match="channels from 1 to 300"):
        read_tags(other)
    table = pa.table({"time (ps)": [1.5]})
    with pa.ipc.new_file(str(other), table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(TagFileError, match=r"no column 'time \(ps\)' of whole numbers"):
        read_tags(other)


# -- odd and broken headers


def test_a_header_may_hold_anything(tmp_path: Path) -> None:
    more = b"".join(
        [
            tag("Some_Unknown", 5, kind=0x12345678),
            tag("Wide", "Überblick µ".encode("utf-16-le") + b"\0\0", kind=0x4002FFFF),
            tag("Text", "20 µs".encode("cp1252") + b"\0\0\0", kind=0x4001FFFF),
            tag("Floats", struct.pack("<3d", 1.5, 2.5, -1), kind=0x2001FFFF),
            tag("Blob", b"\0\1\2\3\4", kind=0xFFFFFFFF),
            tag("Flag", -1, kind=0x00000008),
            tag("When", 42000.5, kind=0x21000008),
            tag("Never", 1e300, kind=0x21000008),
            tag("List", 7, index=1), tag("List", 6, index=0),
            tag("Holes", 7, index=2**31 - 1), tag("Empty", 0, kind=0xFFFF0008),
            tag("", 0),
        ]
    )  # fmt: skip
    header = read_tags(ptu(tmp_path / "a.ptu", 0x00010207, le(5), more=more)).about.header
    assert header["Some_Unknown"] == 5
    assert header["Wide"] == "Überblick µ"
    assert header["Text"] == "20 µs"
    assert header["Floats"] == [1.5, 2.5, -1]
    assert header["Blob"] == b"\0\1\2\3\4"
    assert header["Flag"] is True
    assert header["When"] == datetime(2014, 12, 27, 12)
    assert header["Never"] == 1e300
    assert header["List"] == [6, 7]
    assert header["Holes"] == {2**31 - 1: 7}
    assert header["Empty"] is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"TTResultFormat_TTTRRecType": 0x00010208}, "records of type 0x00010208"),
        ({"TTResultFormat_TTTRRecType": None}, "records of type None"),
        ({"TTResultFormat_TTTRRecType": 2.5}, "records of type 2.5"),
        ({"TTResultFormat_BitsPerRecord": 64}, "records of 64 bits"),
        ({"MeasDesc_GlobalResolution": None}, "MeasDesc_GlobalResolution is None"),
        ({"MeasDesc_GlobalResolution": 0.0}, "MeasDesc_GlobalResolution is 0.0"),
        ({"MeasDesc_GlobalResolution": float("nan")}, "MeasDesc_GlobalResolution is nan"),
        ({"MeasDesc_GlobalResolution": float("inf")}, "MeasDesc_GlobalResolution is inf"),
    ],
)
def test_headers_that_cannot_be_used(tmp_path: Path, changes, said: str) -> None:
    path = ptu(tmp_path / "a.ptu", 0x00010207, le(5), **changes)
    with pytest.raises(TagFileError, match=said) as failure:
        read_tags(path)
    assert str(failure.value).startswith(f"{path}: ")
    assert "\n" not in str(failure.value)


def test_damage_in_a_header(tmp_path: Path) -> None:
    path = ptu(tmp_path / "a.ptu", 0x00010207, le(5))
    whole_file = path.read_bytes()
    path.write_bytes(whole_file[:200])
    with pytest.raises(TagFileError, match="the header breaks off at byte "):
        read_tags(path)
    path.write_bytes(whole_file.replace(struct.pack("<q", 40), struct.pack("<q", 2**40), 1))
    with pytest.raises(TagFileError, match=f"'File_GUID' at byte 16 is said to have {2**40} bytes"):
        read_tags(path)
    path.write_bytes(b"PQHISTO\0" + whole_file[8:])
    with pytest.raises(TagFileError, match="is a PicoQuant histogram"):
        read_tags(path)
    path.write_bytes(b"GIF89a  " + whole_file)
    with pytest.raises(TagFileError, match="no PTU file"):
        read_tags(path)
    path.write_bytes(b"")
    with pytest.raises(TagFileError, match="is empty"):
        read_tags(path)
    for name, said in (("a.dat", "known here"), ("a.ttbin", "Swabian")):
        other = tmp_path / name
        other.write_bytes(b"whatever this is")
        with pytest.raises(TagFileError, match=said):
            read_tags(other)


def test_records_that_are_missing_too_many_or_cut(tmp_path: Path) -> None:
    words = le(1, 2, 3)
    path = ptu(tmp_path / "a.ptu", 0x00010207, words, TTResult_NumberOfRecords=0)
    assert (len(read_tags(path)), read_tags(path).warnings) == (3, ())  # an interrupted recording
    path = ptu(tmp_path / "a.ptu", 0x00010207, words, TTResult_NumberOfRecords=10**15)
    assert len(read_tags(path)) == 3
    assert "announces 1000000000000000 records, the file has 3" in read_tags(path).warnings[0]
    path = ptu(tmp_path / "a.ptu", 0x00010207, words, TTResult_NumberOfRecords=2)
    assert len(read_tags(path)) == 2
    assert "4 bytes behind the 2 records" in read_tags(path).warnings[0]
    path = ptu(tmp_path / "a.ptu", 0x00010207, words + b"\1\2", TTResult_NumberOfRecords=3)
    assert len(read_tags(path)) == 3
    assert "ends in the middle of record 3, at byte " in read_tags(path).warnings[0]


def test_a_record_that_means_nothing_is_named_with_what_can_be_saved(tmp_path: Path) -> None:
    path = ptu(tmp_path / "a.ptu", 0x00010207, le(1, 2, 0x80000000 | 20 << 25, 3))
    at = path.stat().st_size - 8
    with pytest.raises(TagFileError, match=rf"record 2 \(byte {at}\) is 0xa8000000.*the 2 tags"):
        read_tags(path)
    tags = read_tags(path, partial=True)
    assert tags.times.tolist() == [5, 10]
    assert "only the 2 tags before it are read" in tags.warnings[0]
    late = le(1, *[0xFFFFFFFF] * 1_700_000)
    with pytest.raises(TagFileError, match="beyond the 93 days"):
        read_tags(ptu(tmp_path / "a.ptu", 0x00010207, late))


def test_a_channel_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "a.ptu"
    write_ptu(path, [0, 1, 0], [10, 20, 30])
    tags = read_tags(path)
    assert tags.of(0).tolist() == [10, 30]
    with pytest.raises(TagFileError, match="channel 7 has no tags; there are 0, 1"):
        tags.of(7)
    unsorted = tmp_path / "x_C1.bin"
    unsorted.write_bytes(np.array([5, 9, 7, 8], "<u8").tobytes())
    with pytest.raises(TagFileError, match="tag 2 at 7 ps comes after 9 ps"):
        read_tags(unsorted).of(1)


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        (([0, 1], [5, 4]), {}, "times are not in order: number 1"),
        (([0], [5, 6]), {}, "different lengths: 1, 2"),
        (([63], [5]), {}, "channels: 63"),
        (([0], [-5]), {}, "times: -5"),
        (([0], [2.5]), {}, "integers"),
        (([0], [7]), {"resolution": 5.0}, "7 ps .* is no multiple of the resolution of 5 ps"),
        (([0], [7]), {"resolution": float("nan")}, "resolution nan"),
        (([0], [7]), {"sync_period": -1.0}, "sync_period -1.0"),
        (([0],), {"sync_period": 5.0, "sync": [2**48], "dtimes": [1]}, "overflow records"),
        (([0],), {"sync_period": 5.0, "sync": [1], "dtimes": [32768]}, "dtimes: 32768"),
    ],
)
def test_what_cannot_be_written_leaves_no_file(tmp_path: Path, columns, options, said) -> None:
    path = tmp_path / "a.ptu"
    with pytest.raises(TagFileError, match=f"a.ptu: .*{said}"):
        write_ptu(path, *(np.array(column) for column in columns), **options)
    assert list(tmp_path.iterdir()) == []


# -- any bytes at all


def mangled(draw: st.DrawFn, data: bytes) -> bytes:
    content = bytearray(data)
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(content) - 1))
        content[at : at + 1] = draw(st.binary(min_size=0, max_size=9))
        content = content or bytearray(b"\0")
    return bytes(content[: draw(st.integers(0, len(content)))])


@st.composite
def files(draw: st.DrawFn, base: Path):
    suffix = draw(st.sampled_from([".ptu", ".spc", ".bin", ".txt", ".arrows"]))
    seeds = {
        ".ptu": ptu(base / "seed.ptu", draw(st.sampled_from(list(LAYOUTS))),
                    bytes.fromhex(T2_WORDS)).read_bytes(),
        ".spc": (DATA / "test_noise.spc").read_bytes()[:400],
        ".bin": np.arange(20, dtype="<u8").tobytes(), ".txt": b"1;5\n2;7\n8;9\n",
        ".arrows": arrow_bytes(),
    }  # fmt: skip
    content = draw(st.binary(max_size=300)) if draw(st.booleans()) else mangled(draw, seeds[suffix])
    return suffix, content


def arrow_bytes() -> bytes:
    table = pa.table(
        {"time (ps)": pa.array([1, 2], pa.int64()), "channel": pa.array([1, 2], pa.uint8())}
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


@settings(max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_any_bytes_are_tags_or_one_line(tmp_path: Path, data: st.DataObject) -> None:
    suffix, content = data.draw(files(tmp_path))
    path = tmp_path / f"any{suffix}"
    path.write_bytes(content)
    for partial in (False, True):
        try:
            tags = read_tags(path, partial=partial)
        except TagFileError as error:
            said = str(error)
        else:
            said = f"{path}: read"
            assert len(tags.times) == len(tags.channels) <= 8 * len(content)
            again = whole(path, open_tags(path, partial=partial))  # piece by piece
            np.testing.assert_array_equal(again.times, tags.times)
            np.testing.assert_array_equal(again.sync, tags.sync)
        assert said.startswith(f"{path}: ")
        assert "\n" not in said
