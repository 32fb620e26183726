"""A procedure that is edited while the queue goes on runs as edited."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import toybench
from commandline import call

from labctl.manager import Manager
from labctl.run.folder import RunFolder
from labctl.run.loading import edited_since

MINE = """\
from pathlib import Path

import toybench
from labctl.procedure import Result


class Mine(toybench.Watch):
    RESULTS = (Result("version", "", "of this file"),)

    def shutdown(self):  # somebody saves an edited file
        file = Path(__file__)
        file.write_text(file.read_text().replace("VERSION = " + "1", "VERSION = " + "20"))
        super().shutdown()

    def analyse(self, data):
        return {"version": VERSION}


VERSION = 1
"""


def test_the_next_run_is_of_the_edited_file(place: Path) -> None:
    (place / "mine.py").write_text(MINE, encoding="utf-8")
    support = os.pathsep.join((str(Path(toybench.__file__).parent), str(place)))
    environment = os.environ | {"PYTHONPATH": support}
    command = [sys.executable, "-c", "from labctl.cli import script; script()", "queue"]
    for _ in range(3):
        added = [*command, "add", "mine:Mine", "--bench", "toy.toml", "--set", "steps=2"]
        subprocess.run(added, env=environment, check=True, capture_output=True)
    done = subprocess.run(
        [*command, "run"], env=environment, check=True, capture_output=True, text=True
    )
    assert done.stdout.count("finished: ") == 3
    results = [
        RunFolder.open(path).result["version"]["value"] for path in sorted(place.glob("runs/0*"))
    ]
    assert results == [1, 20, 20]


def test_what_is_not_edited_needs_no_other_process(place: Path, capsys) -> None:
    for _ in range(2):
        call(capsys, "queue", "add", "toybench:Watch", "--bench", "toy.toml", "--set", "steps=2")
    manager = Manager(place / "runs")
    asked = []
    assert len(manager.work_off(leave_if=lambda: bool(asked.append(1)))) == 2
    assert asked == [1]
    assert not manager.left


@pytest.mark.parametrize(("after", "edited"), [(-1.0, True), (1.0, False)])
def test_times_of_imported_files(tmp_path, monkeypatch, after: float, edited: bool) -> None:
    file = tmp_path / "of_today.py"
    file.write_text("A = 1\n", encoding="utf-8")
    os.utime(file, (4e9, 4e9))  # later than all others
    monkeypatch.syspath_prepend(tmp_path)
    __import__("of_today")
    assert edited_since(4e9 + after) is edited
    del sys.modules["of_today"]
