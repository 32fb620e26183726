"""The stream of time tags out of a time controller, merged over its channels."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from drivers._tags import Ints, TagBlock, cut
from labctl.errors import InstrumentError, LabError, RequestError, TransportError
from labctl.zmtp import STREAM, PairSocket

if TYPE_CHECKING:
    from drivers.idq_id900 import Id900

#: Length of a recording without end, in s.
ENDLESS = 4e6
#: Seconds for the last tags to arrive after the end of a recording.
DRAINING = 10.0
_LATE = (1 << 62, 1 << 62)


class _Channel:
    """What has come of one channel: parts that were not handed over yet."""

    def __init__(self, identity: str, socket: PairSocket, indexed: bool) -> None:
        self.identity = identity
        self.received = 0
        self.ended = False
        self._socket = socket
        self._indexed = indexed
        self._parts: list[Ints] = []
        self._latest = 0

    def read_to(self, count: int) -> None:
        """Read until `count` tags have come since the begin."""
        while self.received < count and not self.ended:
            self._frame()

    def read_to_end(self) -> None:
        while not self.ended:
            self._frame()

    def _frame(self) -> None:
        frame = self._socket.receive()
        if not frame:
            self.ended = True
            return
        size = 16 if self._indexed else 8
        if len(frame) % size:
            raise InstrumentError(
                f"{self._socket.adapter.name}: a frame of {len(frame)} bytes is no whole number "
                f"of tags ({size} bytes); check that nobody else uses this stream port"
            )
        values = np.frombuffer(frame, dtype="<i8").reshape(-1, size // 8)
        order = values[:, -1]  # times, or indices of the reference
        if order[0] < self._latest or np.any(np.diff(order) < 0):
            raise InstrumentError(
                f"{self._socket.adapter.name}: tags came out of order, so they were damaged on the "
                "way, or belong to another recording; check that nobody else uses this stream port"
            )
        self._latest = int(order[-1])
        self._parts.append(values)
        self.received += len(values)

    def _joined(self) -> Ints:
        if len(self._parts) != 1:
            empty = np.empty((0, 2 if self._indexed else 1), dtype=np.int64)
            self._parts = [np.concatenate([empty, *self._parts])]
        return self._parts[0]

    def last(self) -> tuple[int, int]:
        """Index and time of the last event that waits; (-1, -1) if none does."""
        for part in reversed(self._parts):
            if len(part):
                return (int(part[-1, 1]) if self._indexed else 0), int(part[-1, 0])
        return -1, -1

    def take(self, before: tuple[int, int]) -> tuple[Ints, Ints | None]:
        """Hand over the events before (index, time)."""
        events = self._joined()
        times, indices = events[:, 0], events[:, 1] if self._indexed else None
        count = len(events) if before == _LATE else cut(times, indices, before)
        self._parts = [events[count:]]
        taken = np.ascontiguousarray(times[:count])
        return taken, None if indices is None else np.ascontiguousarray(indices[:count])


class TagStream:
    """Tags of some channels between `__enter__` and `__exit__`; see `Id900.stream`."""

    def __init__(
        self,
        tagger: Id900,
        channels: tuple[int, ...],
        indexed: bool,
        seconds: float | None,
        strict: bool,
    ) -> None:
        self.running = False
        self._tagger = tagger
        self._numbers = channels
        self._indexed = indexed
        self._seconds = seconds
        self._until = 0.0  # when a recording of known length is over
        self._strict = strict
        self._channels: dict[int, _Channel] = {}

    def __enter__(self) -> TagStream:
        self.start()
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is not None:
            with contextlib.suppress(LabError):  # the failure itself is told
                self.abandon()
        elif self.running:
            self._stop()

    def start(self) -> None:
        """Connect to the service and start the recording."""
        tagger = self._tagger
        self.running = True
        try:
            for n in self._numbers:
                self._connect(n)
            tagger._play(ENDLESS if self._seconds is None else self._seconds)
            self._until = tagger.clock.now() + (self._seconds or 0.0)
        except BaseException:
            with contextlib.suppress(LabError):
                self.abandon()
            raise

    def _connect(self, n: int) -> None:
        tagger, address = self._tagger, self._tagger.stream_address(n)
        tagger.write(f"RAW{n}:ERRORS:CLEAR")
        tagger.write(f"RAW{n}:REF:LINK {'STAR' if self._indexed else 'NONE'}")
        port = tagger.stream_port + n - 1
        request = f"start-stream --channel {n} --address {tagger.host} --stream-port {port}"
        answer = tagger.service(request + " --with-ref-index" * self._indexed)
        identity = answer.get("id") if isinstance(answer, dict) else None
        if not isinstance(identity, str):
            raise InstrumentError(
                f"{tagger.name}: the DataLinkTargetService answered {request!r} with {answer!r}, "
                "not with an id; check its version"
            )
        socket = PairSocket(tagger.adapter.port(f"stream{n}", address, STREAM))
        self._channels[n] = _Channel(identity, socket, self._indexed)
        socket.connect()
        tagger.write(f"RAW{n}:SEND ON")

    # ------------------------------------------------- while it runs

    def collect(self, seconds: float = 0.0) -> TagBlock:
        """Let `seconds` pass and return the tags since the last call, complete up to one time.

        All channels are cut at the same time; what is later comes with the next block.

        Raises:
            InstrumentError: the tagger lost tags, or the service reports an error.
        """
        if not self.running:
            raise RequestError(f"{self._tagger.name}: the stream is not open; use it in `with`")
        self._tagger.clock.sleep(seconds)
        self._read()
        latest = max(channel.last() for channel in self._channels.values())
        self._read()  # whatever was before that has been sent by now
        return self._block(latest)

    def _read(self) -> None:
        for channel in self._channels.values():
            channel.read_to(self._status(channel, "status")[0])

    def rest(self) -> TagBlock:
        """Wait for the end of the recording (or end it) and return what is left."""
        if self._seconds is not None:
            self._tagger.clock.sleep(self._until - self._tagger.clock.now())
            self._tagger._wait_for_end()
        self._stop()
        return self._block(_LATE)

    def _block(self, before: tuple[int, int]) -> TagBlock:
        taken = {n: channel.take(before) for n, channel in self._channels.items()}
        lost = self._lost()
        return TagBlock(
            {n: tags for n, (tags, _) in taken.items()},
            {n: indices for n, (_, indices) in taken.items() if indices is not None},
            lost,
        )

    def _lost(self) -> dict[int, int]:
        command = ";:".join(f"RAW{n}:ERRORS?" for n in self._numbers)
        reply = self._tagger.ask(command)
        try:
            lost = dict(zip(self._numbers, map(int, reply.split()), strict=True))
        except ValueError:
            raise self._tagger._nonsense(command, reply, "numbers of errors") from None
        if self._strict and any(lost.values()):
            told = ", ".join(f"{count} of channel {n}" for n, count in lost.items() if count)
            raise InstrumentError(
                f"{self._tagger.name}: its buffer overflowed and tags were lost ({told}); lower "
                "the rate, stream fewer channels, or take the tags with on_overflow='report'"
            )
        return lost

    def _status(self, channel: _Channel, verb: str) -> tuple[int, int]:
        """Numbers of tags and of acquisitions that the service has had of a channel."""
        request = f"{verb} --id {channel.identity}"
        answer = self._tagger.service(request)
        try:
            status: dict[str, Any] = answer["status"] if verb == "stop" else answer
            errors = [error["description"] for error in status.get("errors", [])]
            counts = int(status["timestamps_count"]), int(status["acquisitions_count"])
        except (KeyError, TypeError, ValueError):
            raise InstrumentError(
                f"{self._tagger.name}: the DataLinkTargetService answered {request!r} with "
                f"{answer!r}, not with a status; check its version"
            ) from None
        if errors:
            raise InstrumentError(
                f"{self._tagger.name}: the DataLinkTargetService lost tags: {'; '.join(errors)}; "
                "lower the rate or read more often"
            )
        return counts

    # ------------------------------------------------- its end

    def _stop(self) -> None:
        """End the recording and read what is still under way."""
        tagger = self._tagger
        tagger.write("REC:STOP")
        give_up = tagger.clock.now() + DRAINING
        while not all(self._status(channel, "status")[1] for channel in self._channels.values()):
            if tagger.clock.now() > give_up:
                raise InstrumentError(
                    f"{tagger.name}: the end of the recording did not arrive in {DRAINING:g} s, so "
                    "tags may be missing; check the DataLinkTargetService"
                )
            tagger.clock.sleep(0.01)
        for n, channel in self._channels.items():
            tagger.write(f"RAW{n}:SEND OFF")
            count, _ = self._status(channel, "stop")
            channel.read_to_end()
            if channel.received != count:
                raise InstrumentError(
                    f"{tagger.name}: {channel.received} tags of channel {n} arrived of {count} "
                    "that the DataLinkTargetService sent; check the network"
                )
        self._close()

    def abandon(self) -> None:
        """Stop everything at once; what has not been read is lost."""
        if not self.running:
            return
        try:
            self._tagger.write("REC:STOP")
            for n, channel in self._channels.items():
                self._tagger.write(f"RAW{n}:SEND OFF")
                with contextlib.suppress(InstrumentError):  # it may have been stopped already
                    self._tagger.service(f"stop --id {channel.identity}")
        finally:
            self._close()

    def _close(self) -> None:
        self.running = False
        for channel in self._channels.values():
            with contextlib.suppress(TransportError):
                channel._socket.adapter.close()
