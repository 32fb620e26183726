"""Shared by the tests of whole benches."""

from __future__ import annotations

import pytest
import toybench


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working folder of its own, which holds the toy bench."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("LABCTL_RUNS", raising=False)
    (tmp_path / "toy.toml").write_text(toybench.BENCH, encoding="utf-8")
    return tmp_path
