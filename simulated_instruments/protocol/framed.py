"""Cuts a byte stream into binary frames whose header says how long they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator


class FrameBuffer:
    """Collects bytes and yields whole frames; bytes may arrive in any portions.

    Args:
        header: bytes that are needed to know a frame's length.
        length: length of the whole frame, header included, from its header.
    """

    def __init__(self, header: int, length: Callable[[bytes], int]) -> None:
        self._header = header
        self._length = length
        self._buffer = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Add `data` and yield the frames that are complete now."""
        self._buffer += data
        start = 0
        try:
            while len(self._buffer) - start >= self._header:
                end = start + self._length(bytes(self._buffer[start : start + self._header]))
                if end > len(self._buffer):
                    break
                frame = bytes(self._buffer[start:end])
                start = end
                yield frame
        finally:
            del self._buffer[:start]
