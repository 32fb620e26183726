"""The queue of runs: persisted in a journal, worked off one run at a time, watched by anyone."""

from __future__ import annotations

from labctl.manager.items import ON_FAILURE, Item, Policy
from labctl.manager.worker import Manager

__all__ = ["ON_FAILURE", "Item", "Manager", "Policy"]
