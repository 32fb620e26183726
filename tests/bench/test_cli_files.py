"""Files and places that cannot be used: a wrong request (exit code 2), in one line that names it."""

from __future__ import annotations

import errno
import io
import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from commandline import call, watch

from labctl.errors import FileUnusable, RequestError, StorageError, cannot_write

pytestmark = pytest.mark.usefixtures("place")
LONG = "a" * 5000
NOISE = np.random.default_rng(1).bytes(3000)


def complaint(err):
    assert len(err.splitlines()) == 1
    assert err.startswith("labctl: ")
    assert "internal error" not in err
    return err


@pytest.mark.parametrize("verb", ["show", "resume", "replay", "analyse"])
@pytest.mark.parametrize("content", [b"", NOISE, b"\0" * 4096, b"{}\n[]\nnull\n"])
def test_a_run_of_which_nothing_is_left(capsys, verb, content):
    Path("broken").mkdir()
    Path("broken/run.jsonl").write_bytes(content)
    code, out, err = call(capsys, verb, "broken")
    assert (code, out) == (2, "")
    assert "broken/run.jsonl: has no intact start entry" in complaint(err)


def test_a_transcript_of_which_nothing_is_left(capsys, place):
    watch(capsys)
    (path,) = place.glob("runs/0001-*")
    (path / "wire.jsonl").write_bytes(NOISE)
    code, _, err = call(capsys, "replay", "last")
    assert code == 2
    assert "use replay --mode sim" in complaint(err)


@pytest.mark.parametrize(
    "words",
    [
        ("show", "9" * 400),
        ("show", "9" * 5000),
        ("show", LONG),
        ("resume", LONG),
        ("run", "toybench:Watch", "--bench", LONG),
        ("check", LONG),
        ("serve", LONG),
        ("describe", LONG),
        ("tags", "info", LONG),
        ("runs", "--runs", LONG),
        ("run", "toybench:Watch", "--bench", "toy.toml", "--runs", LONG),
    ],
    ids=str,
)
def test_names_that_are_too_long_for_any_file(capsys, words):
    watch(capsys)
    code, out, err = call(capsys, *words)
    assert (code, out) == (2, "")
    complaint(err)


def test_a_bench_file_that_is_nested_without_end(capsys):
    Path("deep.toml").write_text("a = " + "[" * 20_000, encoding="utf-8")
    code, _, err = call(capsys, "check", "deep.toml")
    assert code == 2
    assert "deep.toml: not valid TOML" in complaint(err)


def objects():
    """A .npy file that would run code if it were trusted."""
    file = io.BytesIO()
    np.save(file, np.array([print]), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"\x93NUMPY junk", NOISE[:99], objects()])
def test_matrix_files_that_hold_none(capsys, content):
    Path("x.npy").write_bytes(content)
    code, out, err = call(capsys, "analyse", "--matrix", "x.npy", "--json")
    assert (code, out) == (2, "")
    assert "x.npy: is no .npy file of numbers" in complaint(err)


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (errno.EACCES, FileUnusable, "x.png: cannot be written: Permission denied; choose another"),
        (errno.EROFS, FileUnusable, "x.png: cannot be written: Read-only file system; choose"),
        (errno.ENOSPC, StorageError, "x.png: disk full; free some space, or choose another"),
    ],
)
def test_a_place_that_takes_nothing_is_a_wrong_request_and_a_full_disk_a_failure(
    number, kind, text
):
    error = cannot_write("x.png", OSError(number, os.strerror(number)), "choose another")
    assert type(error) is kind
    assert str(error).startswith(text)
    assert error.exit_code == (2 if isinstance(error, RequestError) else 1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
@pytest.mark.parametrize(
    "words",
    [
        *(("export", "last", "--format", f, "-o") for f in ("csv", "parquet", "hdf5", "netcdf")),
        ("plot", "last", "-o"),
    ],
    ids=str,
)
def test_a_device_is_not_replaced_by_a_file(capsys, words):
    watch(capsys)
    os.mkfifo("pipe.svg")
    code, out, err = call(capsys, *words, "pipe.svg")
    assert (code, out) == (2, "")
    assert "pipe.svg: is no ordinary file" in complaint(err)
    assert Path("pipe.svg").is_fifo()


def test_an_export_follows_a_link(capsys, place):
    watch(capsys)
    (place / "elsewhere").mkdir()
    try:
        (place / "out.csv").symlink_to(place / "elsewhere" / "real.csv")
    except OSError:
        pytest.skip("needs symbolic links")
    assert call(capsys, "export", "last", "--format", "csv", "-o", "out.csv")[0] == 0
    assert (place / "out.csv").is_symlink()
    assert (place / "elsewhere" / "real.csv").read_text(encoding="utf-8").startswith("#")


def no_space(*_args, **_options):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_named_also_where_a_lock_cannot_be_signed(capsys, monkeypatch):
    monkeypatch.setattr("labctl.filelock.os.ftruncate", no_space)
    monkeypatch.setattr("labctl.journal.os.write", no_space)
    code, _, err = call(capsys, "queue", "add", "toybench:Watch", "--bench", "toy.toml")
    assert code == 1
    assert "queue.jsonl: disk full" in complaint(err)


@pytest.mark.parametrize("ending", ["html", "svg", "png"])
def test_a_figure_that_finds_no_space_leaves_the_old_one(capsys, monkeypatch, ending):
    watch(capsys)
    Path(f"x.{ending}").write_text("the old one", encoding="utf-8")
    monkeypatch.setattr("pathlib.Path.replace", no_space)
    code, _, err = call(capsys, "plot", "last", "-o", f"x.{ending}")
    assert code == 1
    assert f"x.{ending}: disk full" in complaint(err)
    assert [path.name for path in Path().glob("*x.*")] == [f"x.{ending}"]
    assert Path(f"x.{ending}").read_text(encoding="utf-8") == "the old one"


@pytest.mark.parametrize("kind", ["hdf5", "netcdf"])
def test_a_disk_that_may_be_too_small_is_not_begun_to_be_filled(capsys, monkeypatch, kind):
    """HDF5 would crash on the way, and no exception could be caught."""
    watch(capsys)
    usage = shutil.disk_usage(".")._replace(free=1_000_000)
    monkeypatch.setattr("shutil.disk_usage", lambda _place: usage)
    code, _, err = call(capsys, "export", "last", "--format", kind, "-o", "x.nc")
    assert code == 1
    assert "x.nc: may need 4 MB and 1 MB are free" in complaint(err)
    assert not list(Path().glob("*x.nc*"))


class Interrupted:
    """Stands for a module in whose import the user presses Ctrl-C."""

    def __getattr__(self, name):
        raise KeyboardInterrupt


def test_an_interrupt_while_the_program_loads(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "labctl.cli.parser", Interrupted())
    assert call(capsys, "list") == (3, "", "labctl: interrupted\n")
