"""The pages on time tags and keys are true: their code runs, and they name what there is."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import numpy as np

from labctl.analysis.timetags import TagFile, read_tags, write_ptu
from labctl.cli.parser import build_parser
from labctl.run.folder import RunFolder

DOCS = Path(__file__).resolve().parents[2] / "docs"
TAGS = (DOCS / "time-tags.md").read_text(encoding="utf-8")
KEYS = (DOCS / "keys.md").read_text(encoding="utf-8")


def test_the_code_about_files_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_ptu("recording.ptu", [0, 1, 0, 1], [1000, 1050, 10**9, 10**9 + 75])
    names: dict = {}
    exec(re.findall(r"```python\n(.*?)```", TAGS, re.S)[0], names)
    assert names["counts"].sum() == names["counts"][100] == 2
    np.testing.assert_array_equal(read_tags("copy.ptu").times, names["tags"].times)


def test_the_code_about_runs_runs(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with RunFolder.create("runs", "pair-rates", {"columns": [], "traces": []}) as run:
        columns = {"channel": np.array([1, 2], np.uint8), "time (ps)": np.array([5, 105])}
        run.record_tags("alice", columns, 0.1)
        code = re.findall(r"```python\n(.*?)```", TAGS, re.S)[1]
        names: dict = {}
        exec(code.replace("runs/0007-pair-rates-...", run.path.as_posix()), names)
    assert names["histogram"].counts[101] == 1


def test_every_attribute_of_a_tag_file_is_listed() -> None:
    for field in fields(TagFile):
        if field.name != "path":
            assert f"`{field.name}`" in TAGS, field.name


def test_every_command_line_is_understood() -> None:
    lines = re.findall(r"^labctl .*$", TAGS + KEYS, re.M)
    assert len(lines) == 7
    for line in lines:
        assert callable(build_parser().parse_args(line.split()[1:]).call)
