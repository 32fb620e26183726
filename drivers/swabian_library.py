"""Swabian's library `TimeTagger`, brought to the few functions of `_tag_library`.

Install it with `pip install Swabian-TimeTagger`; it needs a device, its server on the network, or
its licence for virtual ones. Checked against version 2.22 by names only: without a device nothing
of it can be run.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from labctl.errors import ConnectionLost

PS = 1e12
TAG, MISSED = 0, 4  # types of events in a stream


def _vendor() -> Any:
    """The vendor's module, under its present or its older name."""
    try:
        from Swabian import TimeTagger as vendor
    except ImportError:
        try:
            import TimeTagger as vendor
        except ImportError as error:
            raise ConnectionLost(
                "Swabian's library is not installed; run: pip install Swabian-TimeTagger"
            ) from error
    return vendor


class TimeTagger:
    """One device.

    Args:
        serial: serial number; by default the first device that is found.
        server: "host:port" of a Time Tagger server instead of a device of this computer.
        buffer: tags that wait at most for the next read.
    """

    def __init__(self, serial: str = "", server: str = "", buffer: str = "10000000") -> None:
        self._vendor = _vendor()
        self._buffer = int(buffer)
        try:
            if server:
                self._tagger = self._vendor.createTimeTaggerNetwork(server)
            else:
                self._tagger = self._vendor.createTimeTagger(serial)
        except RuntimeError as error:
            where = server or serial or "this computer"
            why = " ".join(str(error).split())
            raise ConnectionLost(
                f"no Time Tagger at {where} ({why}); check cable and power"
            ) from error
        self._stream: Any = None

    def identify(self) -> str:
        return f"Swabian {self._tagger.getModel()}, {self._tagger.getSerial()}"

    def inputs(self) -> list[int]:
        rising = self._vendor.ChannelEdge.Rising
        return [int(channel) for channel in self._tagger.getChannelList(rising)]

    def threshold(self, channel: int) -> float:
        return float(self._tagger.getTriggerLevel(channel))

    def set_threshold(self, channel: int, volts: float) -> None:
        self._tagger.setTriggerLevel(channel, volts)

    def delay(self, channel: int) -> int:
        return int(self._tagger.getInputDelay(channel))

    def set_delay(self, channel: int, picoseconds: int) -> None:
        self._tagger.setInputDelay(channel, picoseconds)

    def start(self, channels: list[int], seconds: float) -> None:
        """Stream channels, without end if `seconds` is 0."""
        self._stream = self._vendor.TimeTagStream(self._tagger, self._buffer, channels)
        self._tagger.sync()  # what is older than this call does not count
        if seconds:
            self._stream.startFor(round(seconds * PS))
        else:
            self._stream.clear()

    def read(self) -> dict[str, Any]:
        """Tags since the last call."""
        running = bool(self._stream.isRunning())
        found = self._stream.getData()
        times, channels = np.asarray(found.getTimestamps()), np.asarray(found.getChannels())
        kinds, missed = np.asarray(found.getEventTypes()), np.asarray(found.getMissedEvents())
        tags = kinds == TAG
        lost = [
            [int(n), int(missed[(kinds == MISSED) & (channels == n)].sum())]
            for n in np.unique(channels[kinds == MISSED])
        ]
        if len(times) >= self._buffer:
            raise RuntimeError(f"the buffer of {self._buffer} tags is full; read more often")
        return {
            "times": times[tags].astype(np.int64),
            "channels": channels[tags].astype(np.int16),
            "lost": lost,
            "running": running,
        }

    def stop(self) -> None:
        if self._stream is not None:
            self._stream.stop()

    def close(self) -> None:
        self.stop()
        self._vendor.freeTimeTagger(self._tagger)
