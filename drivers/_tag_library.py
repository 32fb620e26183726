"""Time taggers behind a vendor's library, with the interface of `Id900`.

The libraries differ, so a small class around each (`swabian_library`, `picoquant_library`) brings
them to the same few functions: identify, inputs, threshold, set_threshold, delay, set_delay, start,
read and stop. Those calls are what is recorded and replayed.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np

from drivers._properties import within
from drivers._tags import Ints, TagBlock
from labctl.errors import InstrumentError, LabError, RequestError
from labctl.instrument import LabChannel, LibraryInstrument

STEP = 0.5  # s between two reads of the library's buffer
LATE = 0.05  # s between two looks for the end of a recording
PATIENCE = 10.0  # s that a recording may take longer than it should
LONGEST = 4e6  # s


class LibraryInput(LabChannel):
    """One input of a tagger."""

    parent: LibraryTagger

    @property
    def threshold(self) -> float:
        """Control the voltage in V that a pulse must cross (float)."""
        return float(self.parent.call("threshold", self.id))

    @threshold.setter
    def threshold(self, volts: float) -> None:
        low, high = self.parent.THRESHOLDS
        self.parent.call("set_threshold", self.id, within(volts, (low, high), "threshold in V"))

    @property
    def delay(self) -> int:
        """Control the delay in ps that is added to the input's tags (int)."""
        return int(self.parent.call("delay", self.id))

    @delay.setter
    def delay(self, picoseconds: int) -> None:
        most = self.parent.LONGEST_DELAY
        wanted = within(picoseconds, (-most, most), "delay in ps")
        self.parent.call("set_delay", self.id, round(wanted))


class LibraryTagger(LibraryInstrument):
    """A time tagger of some make.

    Args:
        adapter: the connection to the library.
        name: the name in the bench file.
        reference: channel of the periodic signal that `with_index` refers to.
    """

    THRESHOLDS: ClassVar[tuple[float, float]] = (-math.inf, math.inf)  # V
    LONGEST_DELAY: ClassVar[float] = 1e12  # ps
    INPUTS: ClassVar[tuple[int, ...]] = (1, 2, 3, 4)
    REFERENCE: ClassVar[int] = 0
    SETTINGS: ClassVar[tuple[str, ...]] = ("thresholds", "delays")

    inputs: dict[int, LibraryInput]

    def __init__(
        self,
        adapter: Any,
        name: str = "tagger",
        *,
        reference: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(adapter, name, **settings)
        self.reference = self.REFERENCE if reference is None else int(reference)
        self._present: tuple[int, ...] = ()
        self._stream: LibraryStream | None = None

    def identify(self) -> str:
        """Who answers: maker, model and serial number."""
        return str(self.call("identify"))

    @property
    def present(self) -> tuple[int, ...]:
        """Get the numbers of the inputs that this tagger has."""
        if not self._present:
            self._present = tuple(int(n) for n in self.call("inputs"))
        return self._present

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Get the thresholds of all inputs in V."""
        return tuple(float(self.call("threshold", n)) for n in self.present)

    @property
    def delays(self) -> tuple[int, ...]:
        """Get the delays of all inputs in ps."""
        return tuple(int(self.call("delay", n)) for n in self.present)

    def count(self, seconds: float) -> dict[int, int]:
        """Count the events at all inputs for `seconds`, timed by the tagger."""
        counts = dict.fromkeys(self.present, 0)
        with self.stream(self.present, seconds=seconds) as stream:
            for block in stream.blocks():
                for n, tags in block.tags.items():
                    counts[n] += len(tags)
        return counts

    def stream(
        self,
        channels: Iterable[int] | None = None,
        *,
        with_index: bool = False,
        seconds: float | None = None,
        on_overflow: str = "raise",
    ) -> LibraryStream:
        """Tags of some inputs while they come; see `Id900.stream`."""
        wanted = self.present if channels is None else tuple(channels)
        if not wanted or len(set(wanted)) != len(wanted) or not set(wanted) <= set(self.present):
            raise RequestError(
                f"{self.name}: channels must be different inputs of {self.present}, got {wanted}"
            )
        if on_overflow not in ("raise", "report"):
            raise RequestError(f"{self.name}: on_overflow must be 'raise' or 'report'")
        if with_index and self.reference in wanted:
            raise RequestError(f"{self.name}: channel {self.reference} is the reference itself")
        if seconds is not None:
            within(seconds, (1e-3, LONGEST), "recording time in s")
        if self._stream is not None and self._stream.running:
            raise RequestError(f"{self.name}: a stream must wait for the end of the open stream")
        self._stream = LibraryStream(self, wanted, with_index, seconds, on_overflow == "raise")
        return self._stream

    def record(
        self,
        seconds: float,
        channels: Iterable[int] | None = None,
        *,
        with_index: bool = False,
        on_overflow: str = "raise",
    ) -> TagBlock:
        """All tags of `seconds`, timed by the tagger; they must fit into memory."""
        options: Any = {"with_index": with_index, "on_overflow": on_overflow}
        with self.stream(channels, seconds=seconds, **options) as stream:
            return stream.rest()

    def make_safe(self) -> None:
        """End what is being recorded; a tagger harms nothing."""
        if self._stream is not None:
            self._stream.abandon()


class LibraryStream:
    """Tags of some channels between `__enter__` and `__exit__`."""

    def __init__(
        self,
        tagger: LibraryTagger,
        channels: tuple[int, ...],
        indexed: bool,
        seconds: float | None,
        strict: bool,
    ) -> None:
        self.running = False
        self._tagger = tagger
        self._channels = channels
        self._indexed = indexed
        self._seconds = seconds
        self._strict = strict
        self._lost = dict.fromkeys(channels, 0)
        self._pulses = 0  # of the reference so far
        self._last = 0  # ps, when the last of them was

    def __enter__(self) -> LibraryStream:
        self.start()
        return self

    def __exit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is not None:
            with contextlib.suppress(LabError):  # the failure itself is told
                self.abandon()
        else:
            self.abandon()

    def start(self) -> None:
        """Start the recording."""
        reference = [self._tagger.reference] if self._indexed else []
        self.running = True
        self._tagger.call("start", [*self._channels, *reference], self._seconds or 0.0)

    def collect(self, seconds: float = 0.0) -> TagBlock:
        """Let `seconds` pass and return the tags since the last call, complete up to one time.

        Raises:
            InstrumentError: the tagger lost tags.
        """
        if not self.running:
            raise RequestError(f"{self._tagger.name}: the stream is not open; use it in `with`")
        return _joined([self._read()[0] for _ in self._pauses(seconds)])

    def rest(self) -> TagBlock:
        """Wait for the end of the recording (or end it) and return what is left."""
        return _joined(list(self.blocks()))

    def blocks(self) -> Iterable[TagBlock]:
        """What comes up to the end of the recording, in blocks of bounded size."""
        tagger = self._tagger
        if self._seconds is None:
            tagger.call("stop")
            yield self._read()[0]
        else:
            give_up = tagger.clock.now() + self._seconds + PATIENCE
            for _ in self._pauses(self._seconds):
                block, goes_on = self._read()
                yield block
            while goes_on:
                if tagger.clock.now() > give_up:
                    raise InstrumentError(
                        f"{tagger.name}: a recording of {self._seconds:g} s did not end in "
                        f"{self._seconds + PATIENCE:g} s; check the device and its clock"
                    )
                tagger.clock.sleep(LATE)
                block, goes_on = self._read()
                yield block
        self.abandon()

    def _pauses(self, seconds: float) -> Iterable[None]:
        """Pauses of `seconds` together, short enough for the library's buffer; one at least."""
        steps = max(1, math.ceil(seconds / STEP))
        for _ in range(steps):
            self._tagger.clock.sleep(seconds / steps)
            yield

    def _read(self) -> tuple[TagBlock, bool]:
        """What the library has, and whether the recording goes on."""
        tagger = self._tagger
        answer = tagger.call("read")
        try:
            times = np.asarray(answer["times"], dtype=np.int64)
            channels = np.asarray(answer["channels"], dtype=np.int64)
            lost = [(int(channel), int(count)) for channel, count in answer["lost"]]
            goes_on = bool(answer["running"])
            if times.shape != channels.shape or times.ndim != 1:
                raise ValueError
        except (KeyError, TypeError, ValueError):
            raise tagger._nonsense("read", str(answer)[:200], "times and channels") from None
        for channel, count in lost:
            self._lost[channel] = self._lost.get(channel, 0) + count
        if self._strict and any(self._lost.values()):
            told = ", ".join(f"{count} of channel {n}" for n, count in self._lost.items() if count)
            raise InstrumentError(
                f"{tagger.name}: tags were lost ({told}); lower the rate, stream fewer channels, "
                "or take the tags with on_overflow='report'"
            )
        return self._block(times, channels), goes_on

    def _block(self, times: Ints, channels: Ints) -> TagBlock:
        if len(times) and np.any(np.diff(times) < 0):  # delays of channels may reorder them
            order = np.argsort(times, kind="stable")
            times, channels = times[order], channels[order]
        tags = {n: times[channels == n] for n in self._channels}
        indices: dict[int, Ints] = {}
        if self._indexed:
            pulses = times[channels == self._tagger.reference]
            marks = np.concatenate((np.array([self._last], dtype=np.int64), pulses))
            for n, found in tags.items():
                place = np.searchsorted(pulses, found, side="right")
                indices[n] = place + self._pulses
                tags[n] = found - marks[place]
            self._pulses += len(pulses)
            self._last = int(marks[-1])
        return TagBlock(tags, indices, dict(self._lost))

    def abandon(self) -> None:
        """Stop at once; what has not been read is lost."""
        if self.running:
            self.running = False
            self._tagger.call("stop")


def _joined(blocks: list[TagBlock]) -> TagBlock:
    """Blocks that follow one another, as one."""
    if len(blocks) == 1:
        return blocks[0]
    tags = {n: np.concatenate([block.tags[n] for block in blocks]) for n in blocks[0].tags}
    indices = {n: np.concatenate([b.indices[n] for b in blocks]) for n in blocks[0].indices}
    return TagBlock(tags, indices, blocks[-1].lost)
