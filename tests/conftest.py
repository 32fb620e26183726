"""Shared by all tests: the helpers in tests/support can be imported by name."""

from __future__ import annotations

import sys
from pathlib import Path

import labctl  # noqa: F401  before numpy: it limits the threads of linear algebra

sys.path.insert(0, str(Path(__file__).parent / "support"))
