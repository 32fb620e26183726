"""Warnings of drivers and libraries during a run belong to the run, not to the terminal alone."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class _Remarks(logging.Handler):
    def __init__(self, remark: Callable[[str], None]) -> None:
        super().__init__(logging.WARNING)
        self._remark = remark
        self._thread = threading.get_ident()

    def emit(self, record: logging.LogRecord) -> None:
        if threading.get_ident() == self._thread:  # a run folder has one writing thread
            self._remark(" ".join(record.getMessage().split()))


@contextmanager
def remarked(remark: Callable[[str], None]) -> Iterator[None]:
    """Hand what this thread logs as a warning, or worse, to `remark` as one line."""
    handler = _Remarks(remark)
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
