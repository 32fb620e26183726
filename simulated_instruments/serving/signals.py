"""Ctrl-C and SIGTERM end an event loop at a safe place."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any


@contextlib.contextmanager
def ending_on_signals(stop: Callable[[], None], wake: socket.socket) -> Iterator[None]:
    """In the main thread, call `stop` on Ctrl-C and SIGTERM while the block runs.

    Args:
        wake: gets a byte for each signal. Windows runs Python's handlers only after the loop has
            woken up.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(_: int, __: FrameType | None) -> None:
        stop()

    handled = (signal.SIGINT, signal.SIGTERM)
    before: list[Any] = [signal.signal(number, handle) for number in handled]
    wake_before = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    try:
        yield
    finally:
        signal.set_wakeup_fd(wake_before)
        for number, handler in zip(handled, before, strict=True):
            signal.signal(number, handler)
