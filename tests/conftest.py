"""Shared by all tests: the helpers in tests/support can be imported by name."""

from __future__ import annotations

import sys
from pathlib import Path

import labctl  # noqa: F401  before numpy: it limits the threads of linear algebra

sys.path.insert(0, str(Path(__file__).parent / "support"))

from hypothesis import settings

# The same examples in every run, and no deadline on busy machines.
settings.register_profile("labctl", derandomize=True, deadline=None)
settings.load_profile("labctl")
