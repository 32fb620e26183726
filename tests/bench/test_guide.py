"""The guide "add an instrument" works as printed: its files, its test and its bench."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"```(?:python|toml)\n# (\S+)\n(.*?)```", re.S)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    root = tmp_path_factory.mktemp("guide")
    for package in ("labctl", "drivers", "procedures", "simulated_instruments"):
        shutil.copytree(
            ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    text = (ROOT / "docs" / "add-an-instrument.md").read_text(encoding="utf-8")
    files = dict(BLOCK.findall(text))
    assert len(files) == 4  # the guide's promise
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, encoding="utf-8")
    return root


def run(project, *words):
    environment = os.environ | {"PYTHONPATH": str(project), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, *words], cwd=project, env=environment, capture_output=True, text=True,
        timeout=120, check=False,
    )  # fmt: skip


def test_the_test_of_the_guide_passes(project):
    done = run(project, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


def test_the_bench_of_the_guide_checks(project):
    done = run(project, "-c", "from labctl.cli import script; script()", "check", "bench.toml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok   heater: EXAMPLE,RH20,0001,1.0" in done.stdout
    assert "ok   interlock heater.voltage: 0 V" in done.stdout
