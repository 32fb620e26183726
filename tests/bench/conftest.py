"""Shared by the tests of whole benches."""

from __future__ import annotations

import time

import pytest
import toybench


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder of its own, which holds the toy bench."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LABCTL_RUNS", raising=False)
    (tmp_path / "toy.toml").write_text(toybench.BENCH, encoding="utf-8")
    return tmp_path


@pytest.fixture
def in_berlin(monkeypatch):
    """A time zone whose clock is changed twice a year."""
    if not hasattr(time, "tzset"):
        pytest.skip("the time zone of a process cannot be changed here")
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()
