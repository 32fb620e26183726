"""Garbage is collected from the event loop, by Python's own thresholds."""

from __future__ import annotations

import gc

from labctl.gui import collector
from labctl.gui.app import application
from labctl.gui.collector import Collector


def test_what_is_due_is_collected_and_nothing_else(gui, monkeypatch):
    assert not gc.isenabled()
    application()
    collected = []
    looking = Collector(application())
    monkeypatch.setattr(collector.gc, "collect", collected.append)
    monkeypatch.setattr(collector.gc, "get_threshold", lambda: (700, 10, 10))
    for counts, generation in (((5, 0, 0), -1), ((701, 3, 3), 0), ((800, 11, 2), 1),
                               ((800, 11, 11), 2)):  # fmt: skip
        monkeypatch.setattr(collector.gc, "get_count", lambda counts=counts: counts)
        assert looking.look() == generation
    assert collected == [0, 1, 2]
    looking.deleteLater()
