"""The DataLinkTargetService of a time controller: text in, JSON out, and tags in frames.

A frame is packed little-endian 64-bit numbers: tags, or pairs of tag and index of the reference; an
empty frame ends a stream.
"""

from __future__ import annotations

import shlex
from collections import deque
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from simulated_instruments.physics.tagger import PS, Ints

#: Tags of one frame at most.
FRAME = 1 << 16
#: Bytes that wait for a client that does not come.
QUEUE_LIMIT = 1 << 29
OPTIONS = {
    "start-stream": {"--channel", "--address", "--stream-port", "--with-ref-index"},
    "start-save": {"--channel", "--address", "--filename", "--format", "--with-ref-index"},
    "status": {"--id"},
    "stop": {"--id"},
    "list": set(),
}


class Stream:
    """Tags of one channel on their way to a socket or a file."""

    def __init__(self, channel: int, indexed: bool, file: Path | None, text: bool) -> None:
        self.channel = channel
        self.indexed = indexed
        self.timestamps = 0
        self.acquisitions = 0
        self.before = 0  # acquisitions of earlier runs of the record timer
        self.heard = 0.0  # s, of the last message
        self.errors: list[str] = []
        self.file = file
        self._text = text
        if file is not None:
            file.write_bytes(b"")

    def add(self, tags: Ints, index: Ints) -> bytes:
        """Take tags; returns the bytes for the socket."""
        self.timestamps += len(tags)
        columns = np.column_stack((tags, index)) if self.indexed else tags
        if self.file is None:
            return np.ascontiguousarray(columns, dtype="<u8").tobytes()
        with self.file.open("ab") as file:
            if self._text:
                np.savetxt(file, columns, fmt="%d", delimiter=";")
            else:
                file.write(np.ascontiguousarray(columns, dtype="<u8").tobytes())
        return b""

    def status(self, now: float) -> dict[str, Any]:
        return {
            "acquisitions_count": self.acquisitions,
            "timestamps_count": self.timestamps,
            "inactivity": max(0.0, now - self.heard),
            "errors": [{"description": text} for text in self.errors],
        }


class DataLink:
    """The service of one instrument.

    Args:
        clock: gives the time in s.
        folder: gives the folder for files, or None where none may be written.
    """

    def __init__(self, clock: Callable[[], float], folder: Callable[[], Path | None]) -> None:
        self._clock = clock
        self._folder = folder
        self._streams: dict[str, Stream] = {}
        self._numbers = 0
        self._queues: dict[int, deque[bytes]] = {}
        self._waiting: dict[int, int] = {}

    # ------------------------------------------------- instrument side

    def started(self) -> None:
        """A new run of acquisitions begins."""
        for stream in self._streams.values():
            stream.before = stream.acquisitions

    def deliver(self, channel: int, tags: Ints, index: Ints, finished: int, last: int) -> None:
        """Tags of a channel up to `last` (ps), and how many acquisitions of this run are over."""
        for stream in self._streams.values():
            if stream.channel != channel:
                continue
            if len(tags) or stream.before + finished > stream.acquisitions:
                stream.heard = last / PS
            stream.acquisitions = max(stream.acquisitions, stream.before + finished)
            if len(tags):
                self._queue(stream, stream.add(tags, index))

    def _queue(self, stream: Stream, data: bytes) -> None:
        queue = self._queues.setdefault(stream.channel, deque())
        waiting = self._waiting.get(stream.channel, 0)
        if waiting + len(data) > QUEUE_LIMIT:
            stream.errors.append(f"{len(data)} bytes lost: nobody reads the stream")
            return
        size = FRAME * (16 if stream.indexed else 8)
        queue.extend(data[start : start + size] for start in range(0, len(data), size))
        self._waiting[stream.channel] = waiting + len(data)

    # ------------------------------------------------- sockets

    def frames(self, channel: int) -> Iterable[bytes]:
        """What has not been sent on a channel's socket yet."""
        queue = self._queues.pop(channel, deque())
        self._waiting.pop(channel, None)
        return queue

    def answer(self, request: str) -> Any:
        """Execute one request."""
        try:
            verb, options = _parse(request)
            if verb == "list":
                return list(self._streams)
            if verb in ("start-stream", "start-save"):
                return {"id": self._start(verb == "start-save", options)}
            return self._status(verb == "stop", options)
        except (ValueError, OSError) as error:
            return {"error": {"description": str(error)}}

    def _start(self, saves: bool, options: dict[str, str]) -> str:
        channel = int(_needed(options, "--channel"))
        _needed(options, "--address")
        if channel not in range(1, 5):
            raise ValueError(f"channel {channel} does not exist")
        if any(stream.channel == channel for stream in self._streams.values()):
            raise ValueError(f"channel {channel} is already being acquired")
        file, form = None, options.get("--format", "bin")
        if saves:
            folder = self._folder()
            if folder is None:
                raise ValueError("no output folder")
            file = folder / _needed(options, "--filename").replace("\\", "/").rpartition("/")[2]
            if form not in ("bin", "ascii"):
                raise ValueError(f"unknown format {form}")
        else:
            int(_needed(options, "--stream-port"))
            self.frames(channel)
        self._numbers += 1
        name = f"{channel}:{self._numbers}"
        self._streams[name] = Stream(channel, "--with-ref-index" in options, file, form == "ascii")
        self._streams[name].heard = self._clock()
        return name

    def _status(self, stops: bool, options: dict[str, str]) -> dict[str, Any]:
        name = _needed(options, "--id")
        if name not in self._streams:
            raise ValueError(f"no acquisition {name}")
        stream = self._streams[name]
        status = stream.status(self._clock())
        if not stops:
            return status
        del self._streams[name]
        if stream.file is None:
            self._queues.setdefault(stream.channel, deque()).append(b"")
        return {"status": status}


def _parse(request: str) -> tuple[str, dict[str, str]]:
    verb, *rest = shlex.split(request) or [""]
    if verb not in OPTIONS:
        raise ValueError(f"unknown command {verb}")
    options: dict[str, str] = {}
    words = iter(rest)
    for word in words:
        if word not in OPTIONS[verb]:
            raise ValueError(f"unknown option {word}")
        options[word] = "" if word == "--with-ref-index" else next(words, "")
    return verb, options


def _needed(options: dict[str, str], name: str) -> str:
    if not options.get(name):
        raise ValueError(f"{name} is missing")
    return options[name]
