"""Who may speak: one conversation at a time, from a query to the end of its answer."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from threading import get_ident


class Turns:
    """The lock of an adapter, and the thread that still has to read the answer to its query.

    pymeasure's drivers write and read in two calls, between which the lock is free; the thread
    that is to read next keeps its turn all the same.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.talker = 0  # the thread whose query is not answered yet; 0: nobody
        self._over = threading.Condition(self.lock)

    def begin(self) -> None:
        """Keep the turn of this thread, which has asked and will read the answer."""
        self.talker = get_ident()

    def end(self) -> None:
        """The conversation is over: let others speak."""
        if self.talker:
            self.talker = 0
            self._over.notify_all()

    def transaction(self, timeout: float) -> AbstractContextManager[None]:
        """The lock, taken between conversations; waits at most `timeout` s for a slow reader."""
        return _Transaction(self, timeout)

    def wait(self, timeout: float) -> None:
        """Let another thread read the answer to its query first, but at most `timeout` s."""
        if not self.talker or self.talker == (me := get_ident()):
            return
        if not self._over.wait_for(lambda: self.talker in (0, me), timeout):
            self.talker = 0  # it gave up on its answer, which now counts as stray


class _Transaction(AbstractContextManager[None]):
    def __init__(self, turns: Turns, timeout: float) -> None:
        self._turns = turns
        self._timeout = timeout

    def __enter__(self) -> None:
        self._turns.lock.acquire()
        try:
            self._turns.wait(self._timeout)
        except BaseException:  # Ctrl-C while waiting
            self._turns.lock.release()
            raise

    def __exit__(self, *failure: object) -> None:
        self._turns.lock.release()
