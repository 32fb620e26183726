"""Time controllers ID900 and ID1000 of ID Quantique: counters, histograms, coincidences, time tags.

Commands go over ZeroMQ to port 5555 of the instrument. Tags come through a program of the maker,
the DataLinkTargetService, which must run on some computer (by default this one, port 6060; start
it as `DataLinkTargetService -f FOLDER`). pymeasure has no class for it, and VISA no ZeroMQ.

Two things are in no public document and must be checked with an instrument: the unit of a counter's
integration time (taken as ms) and how an input is unlinked (`NONE`).
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
from pymeasure.adapters import Adapter
from pymeasure.instruments import Instrument

from drivers._id900_stream import TagStream
from drivers._properties import within
from drivers._tags import Ints, TagBlock
from labctl.adapter import ByteAdapter, Framing
from labctl.errors import ConnectionLost, InstrumentError, LabError, RequestError
from labctl.instrument import LabChannel, LabInstrument
from labctl.transport.opening import host_and_port
from labctl.zmtp import REQUESTS, RequestSocket

PS = 1e12  # ps in a second
CHANNELS = (1, 2, 3, 4)
#: Counters of the configuration COUNT: block, and where its window begins, in windows.
PAIRS = {
    (1, 2): ("TSCO6", 0.5), (1, 3): ("TSCO7", 1.5), (1, 4): ("TSCO8", 2.5),
    (2, 3): ("TSCO3", 1.5), (2, 4): ("TSCO4", 2.5), (3, 4): ("TSCO5", 2.5),
}  # fmt: skip


def _picoseconds(text: str) -> int:
    """A time such as "1000TB"; the time base is 1 ps."""
    return round(float(text.strip().removesuffix("TB")))


def _limited(low: float, high: float, what: str) -> Any:
    return lambda value, _: within(value, (low, high), what)


class TaggerInput(LabChannel):
    """One of the four inputs."""

    enabled = Instrument.control(
        "INPU{ch}:ENAB?", "INPU{ch}:ENAB %s",
        """Control whether the input listens (bool).""",
        validator=lambda value, _: _on(value), cast=str, get_process=lambda word: word == "ON",
    )  # fmt: skip
    threshold = Instrument.control(
        "INPU{ch}:THRE?", "INPU{ch}:THRE %.6gV",
        """Control the voltage in V that a pulse must cross (float from -2.5 to 2.5).""",
        validator=_limited(-2.5, 2.5, "threshold in V"),
        preprocess_reply=lambda text: text.strip().removesuffix("V"),
    )  # fmt: skip
    edge = Instrument.control(
        "INPU{ch}:EDGE?", "INPU{ch}:EDGE %s",
        """Control which edge of a pulse is timed, "rising" or "falling" (str).""",
        map_values=True, values={"rising": "RISING", "falling": "FALLING"},
    )  # fmt: skip
    delay = Instrument.control(
        "DELA{ch}:VALU?", "DELA{ch}:VALU %d",
        """Control the delay in ps that is added to the input's tags (int).""",
        validator=_limited(-PS, PS, "delay in ps"), cast=_picoseconds,
    )  # fmt: skip


def _on(value: Any) -> str:
    if not isinstance(value, bool):
        raise RequestError(f"enabled must be True or False, got {value!r}")
    return "ON" if value else "OFF"


class Id900(LabInstrument):
    """Time controller with four inputs and a start input.

    Args:
        adapter: the connection to port 5555.
        name: the name in the bench file.
        datalink: address of the maker's service; port `datalink` in a bench file.
        stream_port: TCP port on which it streams channel 1; the others follow. Give each of
            several taggers that share a service four ports of its own.
    """

    FRAMING: ClassVar[Framing] = REQUESTS
    IDENTITY: ClassVar[str] = r"(?i)(ID(9|10)00|Time Controller)"
    SETTINGS: ClassVar[tuple[str, ...]] = ("resolution", "thresholds", "delays", "enabled_inputs")

    inputs = Instrument.MultiChannelCreator(TaggerInput, CHANNELS, prefix="input_")

    def __init__(
        self,
        adapter: Adapter | str,
        name: str = "tagger",
        *,
        datalink: str = "tcp://localhost:6060",
        stream_port: int = 4242,
        **settings: Any,
    ) -> None:
        super().__init__(adapter, name, **settings)
        if not isinstance(self.adapter, ByteAdapter):
            raise RequestError(f"{name}: ZeroMQ needs labctl's own adapter; give an address tcp://")
        self._commands = RequestSocket(self.adapter)
        self._service: RequestSocket | None = None
        self.datalink = datalink
        self._datalink_host, _ = host_and_port(datalink)
        if isinstance(stream_port, bool) or not 0 < stream_port < 65533:
            raise RequestError(f"{name}: setting 'stream_port' must be a port, got {stream_port!r}")
        self.stream_port = stream_port
        self._stream: TagStream | None = None

    # ------------------------------------------------- wire

    def ask(self, command: str, query_delay: float | None = None, **kwargs: Any) -> str:
        """Send one message and return its reply; every message has one.

        Raises:
            InstrumentError: the instrument refused it.
        """
        queries = all(part.strip().endswith("?") for part in command.split(";"))
        reply = self._commands.request(command, kwargs.get("timeout"), repeatable=queries)
        if "SCPI_ERR_" in reply:
            raise InstrumentError(
                f"{self.name}: {command!r} was refused: {' '.join(reply.split())}; "
                "check the value, and what the instrument's licence allows"
            )
        return reply

    def write(self, command: str, **kwargs: Any) -> None:
        """Send a setting and read its reply, which is empty unless it was refused."""
        self.ask(command)

    def check_errors(self) -> list[str]:
        """None: what is refused is refused in the reply."""
        return []

    def service(self, request: str) -> Any:
        """Ask the maker's service; returns what its JSON says.

        Raises:
            InstrumentError: it refused, or answered no JSON.
            ConnectionLost: it does not run.
        """
        if self._service is None:
            assert isinstance(self.adapter, ByteAdapter)
            try:
                self._service = RequestSocket(
                    self.adapter.port("datalink", self.datalink, REQUESTS)
                )
            except ConnectionLost as error:
                raise ConnectionLost(
                    f"{self.name}: the maker's DataLinkTargetService does not run at "
                    f"{self.datalink} ({error}); start it, or name its address as port 'datalink'"
                ) from error
        repeatable = request.startswith(("list", "status"))
        reply = self._service.request(request, repeatable=repeatable)
        try:
            answer = json.loads(reply) if reply.strip() else {}
        except ValueError:
            raise self._nonsense(request, reply, "JSON") from None
        if isinstance(answer, dict) and isinstance(answer.get("error"), dict):
            why = answer["error"].get("description", "unknown error")
            raise InstrumentError(
                f"{self.name}: the DataLinkTargetService refused {request!r}: {why}; if a killed "
                "program left it so, restart the service"
            )
        return answer

    @property
    def host(self) -> str:
        """Where the service finds the instrument."""
        address = str(getattr(self.adapter, "address", ""))
        return host_and_port(address, 5555)[0] if address else "localhost"

    def stream_address(self, channel: int) -> str:
        """Where the service streams a channel."""
        return f"tcp://{self._datalink_host}:{self.stream_port + channel - 1}"

    # ------------------------------------------------- settings

    @property
    def resolution(self) -> int:
        """Get the unit of a tag in ps (int)."""
        return int(self.values("DEVI:RES:BWID?", cast=_picoseconds)[0])

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Get the thresholds of all inputs in V."""
        return tuple(channel.threshold for channel in self.inputs.values())

    @property
    def delays(self) -> tuple[int, ...]:
        """Get the delays of all inputs in ps."""
        return tuple(channel.delay for channel in self.inputs.values())

    @property
    def enabled_inputs(self) -> tuple[int, ...]:
        """Get the numbers of the inputs that listen."""
        return tuple(n for n, channel in self.inputs.items() if channel.enabled)

    # ------------------------------------------------- counters

    def count(self, seconds: float) -> dict[int, int]:
        """Count the events at all inputs for `seconds` (multiples of 1 ms), counters' own timing.

        Returns:
            counts by input; takes one to two integration times.
        """
        return dict(
            zip(CHANNELS, self._counts([f"INPU{n}" for n in CHANNELS], seconds), strict=True)
        )

    def count_triggers(self) -> None:
        """Start to count pulses at the start input; `triggers` tells how many there were."""
        self.write("STAR:COUN:MODE ACCU;RESE")

    def triggers(self) -> int:
        """Return the number of pulses at the start input since `count_triggers`, and stop."""
        count = int(self.values("STAR:COUN?")[0])
        self.write("STAR:COUN:MODE CYCL")
        return count

    def coincidences(self, window: int, seconds: float) -> dict[tuple[int, int], int]:
        """Count pairs of events at two inputs within a window of `window` ps around delay 0.

        Uses the maker's configuration COUNT, which replaces the links of combiners.
        """
        window = int(within(window, (2, 1e9), "coincidence window in ps"))
        delays = self.delays
        self.write("DEVI:CONF:LOAD COUNT")
        for n in (2, 3, 4):
            self.write(f"DELA{n + 4}:VALU {delays[n - 1] + window * (n - 1)}")
        for block, begin in PAIRS.values():
            first = int(window * begin)
            self.write(f"{block}:WIND:BEGI:DELA {first};:{block}:WIND:END:DELA {first + window}")
        counts = self._counts([block for block, _ in PAIRS.values()], seconds)
        return dict(zip(PAIRS, counts, strict=True))

    def _counts(self, blocks: Iterable[str], seconds: float) -> list[int]:
        blocks = list(blocks)
        milliseconds = round(within(seconds, (1e-3, 1e6), "counting time in s") * 1e3)
        for block in blocks:
            self.write(f"{block}:COUN:MODE CYCL;INTE {milliseconds};RESE")
        self.clock.sleep(1.2 * milliseconds / 1e3)
        command = ";:".join(f"{block}:COUN?" for block in blocks)
        reply = self.ask(command)
        try:
            counts = [int(line) for line in reply.split()]
        except ValueError:
            counts = []
        if len(counts) != len(blocks):
            raise self._nonsense(command, reply, f"{len(blocks)} counts")
        return counts

    # ------------------------------------------------- histogram

    def histogram(
        self,
        stop: int,
        seconds: float,
        *,
        start: int = 0,
        bin_width: int = 100,
        bins: int = 16384,
        minimum: int = 0,
    ) -> Ints:
        """Distances of events at input `stop` from the last one at `start` (0: the start input).

        Args:
            stop: input 1 to 4.
            seconds: recording time.
            start: input 1 to 4, or 0 for the start input.
            bin_width: in ps.
            bins: at most 16384.
            minimum: smallest distance in ps.

        Returns:
            counts per bin.
        """
        self._idle("a histogram")
        stop = self._channel(stop)
        self.write("DEVI:CONF:LOAD HISTO")
        link = "STAR" if start == 0 else f"DELA{self._channel(start)}"
        self.write(f"HIST{stop}:REF:LINK {link};:HIST{stop}:STOP:LINK DELA{stop}")
        self.write(f"HIST{stop}:MIN {minimum:d};BWID {bin_width:d};BCOU {bins:d};FLUS")
        self._play(seconds)
        self.clock.sleep(seconds)
        self._wait_for_end()
        reply = self.ask(f"HIST{stop}:DATA?")
        try:
            counts = np.asarray(json.loads(reply), dtype=np.int64)
        except (ValueError, TypeError, OverflowError):
            counts = np.zeros(0, dtype=np.int64)
        if counts.shape != (bins,):
            raise self._nonsense(f"HIST{stop}:DATA?", reply, f"{bins} counts")
        return counts

    # ------------------------------------------------- tags

    def stream(
        self,
        channels: Iterable[int] = CHANNELS,
        *,
        with_index: bool = False,
        seconds: float | None = None,
        on_overflow: str = "raise",
    ) -> TagStream:
        """Tags of some inputs while they come: `with tagger.stream((1, 2)) as stream: ...`.

        Args:
            channels: inputs.
            with_index: times relative to the pulses at the start input, and their numbers.
            seconds: end of the recording after its begin; by default it goes on until the end
                of the block.
            on_overflow: "raise" InstrumentError when the tagger lost tags, or "report" their
                number in `TagBlock.lost`.
        """
        wanted = tuple(self._channel(n) for n in channels)
        if not wanted or len(set(wanted)) != len(wanted):
            raise RequestError(f"{self.name}: channels must be different inputs, got {wanted}")
        if on_overflow not in ("raise", "report"):
            raise RequestError(f"{self.name}: on_overflow must be 'raise' or 'report'")
        self._idle("a stream")
        self._stream = TagStream(self, wanted, with_index, seconds, on_overflow == "raise")
        return self._stream

    def record(
        self,
        seconds: float,
        channels: Iterable[int] = CHANNELS,
        *,
        with_index: bool = False,
        on_overflow: str = "raise",
    ) -> TagBlock:
        """All tags of `seconds`, timed by the tagger; they must fit into memory."""
        options: Any = {"with_index": with_index, "on_overflow": on_overflow}
        with self.stream(channels, seconds=seconds, **options) as stream:
            return stream.rest()

    def _play(self, seconds: float) -> None:
        duration = round(within(seconds, (1e-9, 4e6), "recording time in s") * PS)
        self.write("REC:TRIG:ARM:MODE MANU;:REC:ENAB ON")
        self.write("REC:STOP")
        self.write(f"REC:NUM 1;DUR {duration}")
        self.write("REC:PLAY")

    def _playing(self) -> bool:
        return self.ask("REC:STAG?").strip().upper() == "PLAYING"

    def _wait_for_end(self) -> None:
        while self._playing():
            self.clock.sleep(0.05)

    def _idle(self, wish: str) -> None:
        if self._stream is not None and self._stream.running:
            raise RequestError(f"{self.name}: {wish} must wait for the end of the open stream")

    def _channel(self, number: Any) -> int:
        if number not in CHANNELS:
            raise RequestError(f"{self.name}: there is no input {number!r}, only 1 to 4")
        return int(number)

    def make_safe(self) -> None:
        """End recording and sending; a tagger harms nothing, but its memory would fill."""
        if self._stream is not None:
            with contextlib.suppress(LabError):  # the service may be gone
                self._stream.abandon()
        self.write("REC:STOP")
