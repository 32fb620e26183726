"""labctl tags: on files of each kind and on runs, and what it says to nonsense."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from commandline import call

from labctl.analysis.timetags import correlation_histogram, read_tags, write_ptu

DATA = Path(__file__).parents[1] / "data" / "timetags"
DELAY = 2300


@pytest.fixture
def files(place):
    """Pairs at a delay of 2.3 ns among other tags: a PTU file, two of an ID900, and their times."""
    rng = np.random.default_rng(3)
    pairs = rng.integers(0, 10**11, 2000)
    one = np.sort(np.concatenate([pairs, rng.integers(0, 10**11, 1000)]))
    two = np.sort(np.concatenate([pairs + DELAY, rng.integers(0, 10**11, 1500)]))
    times = np.concatenate([one, two])
    channels = np.repeat([0, 1], [len(one), len(two)]).astype(np.uint8)
    order = np.argsort(times, kind="stable")
    write_ptu("pairs.ptu", channels[order], times[order])
    one.astype("<u8").tofile("tags_C1.bin")
    two.astype("<u8").tofile("tags_C2.bin")
    return one, two


def tags(capsys, *words: str, code: int = 0):
    found, out, err = call(capsys, "tags", *words, "--json")
    assert found == code, err
    return json.loads(out) if code == 0 else err


def test_info(files, capsys) -> None:
    ptu, spc = tags(capsys, "info", "pairs.ptu", str(DATA / "test_noise.spc"))
    assert {n: of["tags"] for n, of in ptu["channels"].items()} == {"0": 3000, "1": 3500}
    assert (ptu["format"], ptu["mode"]) == ("PicoQuant PTU, MultiHarp or later", "T2")
    assert ptu["span"] == pytest.approx(0.1, rel=0.01)
    assert (spc["tags"], spc["sync_period"], spc["in_order"]) == (6114, 9500, True)
    code, out, _ = call(capsys, "tags", "info", str(DATA / "v30_t2_head.ptu"), "--header")
    assert code == 0
    assert "HydraHarp 400" in out
    assert "WARNING: is truncated: the header announces 435319 records" in out


def test_correlate_counts_what_the_analysis_counts(files, capsys) -> None:
    one, two = files
    counts, edges = correlation_histogram(one, two, 100, 10_000)
    for words in (["pairs.ptu"], ["tags_C1.bin", "tags_C2.bin"],
                  ["tags_C2.bin", "tags_C1.bin", "--start", "1", "--stop", "tags_C2:2"]):  # fmt: skip
        found = tags(capsys, "correlate", *words)
        assert found["counts"] == counts.tolist()
        assert found["edges"] == edges.tolist()
        assert found["peak"] == {"delay": DELAY + 50, "counts": int(counts.max())}
        assert found["coincidences"] >= 2000
        assert found["accidentals"] == pytest.approx(3000 * 3500 * 1e3 / 1e11, rel=0.01)
    turned = tags(capsys, "correlate", "pairs.ptu", "--start", "1", "--stop", "0")
    assert turned["peak"]["delay"] == -DELAY + 50
    alone = tags(capsys, "correlate", "pairs.ptu", "--start", "0", "--stop", "0")
    assert sum(alone["counts"]) == correlation_histogram(one, one, 100, 10_000)[0].sum() - 3000
    code, out, _ = call(capsys, "tags", "correlate", "pairs.ptu", "--bin", "50ps")
    assert code == 0
    assert "peak at 2.325 ns (stop - start)" in out


@pytest.mark.parametrize("suffix", [".png", ".svg", ".html"])
def test_the_plot(files, capsys, suffix: str) -> None:
    code, out, err = call(capsys, "tags", "correlate", "pairs.ptu", "-o", f"plot{suffix}")
    assert (code, err) == (0, "")
    assert out.endswith(f"plot{suffix}\n")
    content = Path(f"plot{suffix}").read_bytes()
    assert len(content) > 5000
    if suffix != ".png":
        assert b"<svg" in content


@pytest.mark.parametrize(
    "way", [["a.ptu"], ["a.arrows"], ["a.arrows", "b.ptu"], ["a.ptu", "b.arrows"]]
)
def test_converting_changes_no_tag(files, capsys, way: list[str]) -> None:
    source = "pairs.ptu"
    for target in way:
        assert tags(capsys, "convert", source, "-o", target)["tags"] == 6500
        source = target
    before, after = read_tags("pairs.ptu"), read_tags(source)
    np.testing.assert_array_equal(before.times, after.times)
    np.testing.assert_array_equal(before.channels, after.channels)
    tags(capsys, "convert", source, "-o", "a.csv")
    table = np.loadtxt("a.csv", delimiter=",", skiprows=1, dtype=np.int64)
    np.testing.assert_array_equal(table, np.column_stack([before.channels, before.times]))


def test_converting_t3_keeps_pulses_and_dtimes(place, capsys) -> None:
    source = str(DATA / "test_noise.spc")
    tags(capsys, "convert", source, "-o", "a.ptu")
    before, after = read_tags(source), read_tags("a.ptu")
    np.testing.assert_array_equal(before.sync, after.sync)
    np.testing.assert_array_equal(before.dtimes, after.dtimes)
    assert (after.about.mode, after.about.sync_period) == ("T3", 9500.0)
    assert after.resolution == pytest.approx(before.resolution)
    tags(capsys, "convert", source, "-o", "a.csv")
    table = np.loadtxt("a.csv", delimiter=",", skiprows=1, dtype=np.int64)
    np.testing.assert_array_equal(table[:, 2], before.sync)
    np.testing.assert_array_equal(table[:, 3], before.dtimes)


def test_runs_have_tags_too(place, capsys) -> None:
    code, _, err = call(capsys, "run", "toybench:Clicks", "--bench", "toy.toml")
    assert code == 0, err
    (about,) = tags(capsys, "info", "last")
    assert about["tags"] == 1500
    assert about["in_order"] is False  # the toy's clicks begin anew at each commit
    (run,) = Path("runs").glob("0001-*")
    stream = str(run / "tags" / "alice.arrows")
    assert tags(capsys, "info", stream)[0]["format"] == f"run {run.name}"
    said = tags(capsys, "correlate", "last", "--start", "0", "--stop", "alice:1", code=2)
    assert "the tags are not in order of time (--sort sorts them)" in said
    found = tags(capsys, "correlate", stream, "--start", "0", "--stop", "1", "--sort")
    assert found["start"]["tags"] + found["stop"]["tags"] < 1500
    assert tags(capsys, "convert", "1", "-o", "a.ptu", "--sort")["tags"] == 1500
    assert len(read_tags("a.ptu")) == 1500


def test_nonsense_gets_one_line(files, capsys) -> None:
    damaged = bytearray(Path("pairs.ptu").read_bytes())
    damaged[3000:3004] = struct.pack("<I", 0xA8000000)
    Path("damaged.ptu").write_bytes(damaged)
    Path("unsorted_C1.bin").write_bytes(struct.pack("<5Q", 1, 5, 3, 4, 9))
    Path("foreign.ptu").write_bytes(b"GIF89a" + bytes(100))
    Path("empty.ptu").write_bytes(b"")
    for words, said in [
        ("info nowhere.ptu", "nowhere.ptu: there is no such file"),
        ("info foreign.ptu", "foreign.ptu: begins with b'GIF89a"),
        ("info empty.ptu", "empty.ptu: is empty"),
        ("info damaged.ptu", "damaged.ptu: record "),
        ("info damaged.ptu", "(--partial)"),
        ("info last", "there are no runs"),
        ("correlate damaged.ptu", "0xa8000000, which means nothing"),
        ("correlate unsorted_C1.bin tags_C2.bin", "tag 2 at 3 ps comes after one at 5 ps"),
        ("correlate pairs.ptu --start 0 --stop 7", "channel 7 has no tags; there are 0, 1"),
        (
            "correlate pairs.ptu --start 0",
            "say which channels with --start and --stop; there are 0, 1",
        ),
        ("correlate pairs.ptu --start a --stop 1", "channel 'a': must be a number"),
        (
            "correlate pairs.ptu --start pears:0 --stop 1",
            "no stream 'pears' has tags, did you mean 'pairs'?",
        ),
        ("correlate pairs.ptu --bin 0", "--bin must be longer than 0"),
        ("correlate pairs.ptu --bin=-1ns", "--bin must be longer than 0"),
        ("correlate pairs.ptu --bin nan", "--bin 'nan': must be a time such as"),
        ("correlate pairs.ptu --bin 5kg", "--bin '5kg': must be a time such as"),
        ("correlate pairs.ptu --bin 0.5ps", "must be a whole number of ps"),
        ("correlate pairs.ptu --bin 1ns --max-delay 100ps", "is wider than the whole histogram"),
        ("correlate pairs.ptu --bin 1ps --max-delay 1s", "at most 100000000 are possible"),
        ("correlate pairs.ptu --window 1us", "is wider than the histogram"),
        ("correlate pairs.ptu -o plot.gif", "write to a file that ends in .png"),
        ("convert pairs.ptu -o pairs.ptu", "is the file that is read"),
        ("convert pairs.ptu tags_C1.bin -o a.ptu", "one stream at a time"),
        ("convert pairs.ptu -o a.xyz", "write to a file that ends in .ptu"),
        ("convert pairs.ptu -o nowhere/a.ptu", "there is no folder nowhere"),
        ("convert unsorted_C1.bin -o a.ptu", "(--sort sorts them)"),
        ("convert damaged.ptu -o a.ptu", "which means nothing"),
    ]:
        err = tags(capsys, *words.split(), code=2)
        assert said in err, (words, err)
        assert err.count("\n") == 1
        assert err.startswith("labctl: ")
    assert not Path("a.ptu").exists()
    assert not list(Path().glob(".*.part"))
    (about,) = tags(capsys, "info", "damaged.ptu", "--partial")
    assert 0 < about["tags"] < 6500
    assert "only the" in about["warnings"][0]


def test_the_sync_input_is_a_channel_too(place, capsys) -> None:
    syncs = np.arange(0, 10**9, 10**5)
    write_ptu("a.ptu", np.zeros(len(syncs), np.uint8), syncs + 700, sync=syncs)
    for words in ([], ["--start", "0", "--stop", "sync"]):
        found = tags(capsys, "correlate", "a.ptu", *words)
        assert (found["start"]["channel"], found["stop"]["channel"]) == ("0", "sync")
        assert found["pairs"] == len(syncs)
        assert found["peak"]["delay"] == -650
    assert "channel 3 has no tags; there are 0, sync" in tags(
        capsys, "correlate", "a.ptu", "--start", "3", "--stop", "sync", code=2
    )


def test_a_channel_may_be_silent_for_long(place, capsys) -> None:
    times = np.concatenate([np.arange(0, 10**13, 10**7), [10**13 + 5]])
    channels = np.zeros(len(times), np.uint8)
    channels[-1] = 1
    write_ptu("a.ptu", channels, times)
    found = tags(capsys, "correlate", "a.ptu", "--start", "0", "--stop", "1", "--max-delay", "21us")
    assert found["pairs"] == 2
