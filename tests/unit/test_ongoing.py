"""Which runs go on, by the file that whoever begins to write leaves beside them."""

from __future__ import annotations

import subprocess
import sys

from labctl.filelock import FileLock
from labctl.run import ongoing
from labctl.run.folder import RunFolder
from labctl.run.ongoing import FILE

BEGIN = """
import sys; from pathlib import Path; from labctl.run.folder import RunFolder
run = RunFolder.create(Path(sys.argv[1]), "p", {"columns": []})
print(run.path, flush=True); sys.stdin.read()
"""


def make(runs):
    return RunFolder.create(runs, "p", {"columns": []})


def test_runs_are_found_as_long_as_somebody_writes_to_them(tmp_path):
    assert ongoing.ongoing(tmp_path) == []
    first, second = make(tmp_path), make(tmp_path)
    assert ongoing.ongoing(tmp_path) == [second.path, first.path]
    first.close()
    assert ongoing.ongoing(tmp_path) == [second.path]
    again = RunFolder.resume(first.path)
    assert ongoing.ongoing(tmp_path) == [second.path, first.path]
    for run in (again, second):
        run.close()
    assert ongoing.ongoing(tmp_path) == []


def test_names_of_runs_that_are_over_do_not_pile_up(tmp_path):
    for _ in range(5):
        make(tmp_path).close()
    with make(tmp_path) as last:
        assert (tmp_path / FILE).read_text(encoding="utf-8") == f"{last.path.name}\n"


def test_a_killed_writer_does_not_go_on(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        path = process.stdout.readline().strip()
        assert [str(found) for found in ongoing.ongoing(tmp_path)] == [path]
        process.kill()
        process.wait()
        assert ongoing.ongoing(tmp_path) == []


def test_whoever_sits_on_the_file_holds_up_nobody_for_long(tmp_path, monkeypatch):
    monkeypatch.setattr(ongoing, "PATIENCE", 0.01)
    with make(tmp_path):
        other = FileLock(tmp_path / FILE)
        assert other.acquire()
        with make(tmp_path) as second:
            assert ongoing.ongoing(tmp_path)[0] == second.path
        other.release()


def test_a_folder_where_nothing_can_be_written_is_no_reason_to_fail(tmp_path):
    (tmp_path / FILE).mkdir()
    with make(tmp_path) as run:
        assert run.writing
        assert ongoing.ongoing(tmp_path) == []
