"""PicoQuant's library `snAPI`, brought to the few functions of `_tag_library`.

Install it with `pip install snAPI`; its licence comes with the device. It drives MultiHarp,
HydraHarp, TimeHarp 260 and PicoHarp 330, and plays PTU files as if they were devices.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from labctl.errors import ConnectionLost

SYNC = 0  # channel of the sync input
MOST_CHANNELS = 64  # above are markers and overflows


def _check(file: Path) -> None:
    """Raise ConnectionLost unless this begins as a PTU file does."""
    try:
        with file.open("rb") as opened:
            start = opened.read(8)
    except OSError as error:
        raise ConnectionLost(f"{file} cannot be read ({error.strerror})") from error
    if not start.startswith(b"PQTTTR"):
        raise ConnectionLost(f"{file} is no PTU file: it begins with {start!r}")


class SnApi:
    """One device, in its T2 mode.

    Args:
        serial: serial number; by default the first device that is found.
        file: a PTU file that is played instead.
        buffer: tags that wait at most for the next read.
    """

    def __init__(self, serial: str = "", file: str = "", buffer: str = "4194304") -> None:
        try:
            from snAPI.Constants import MeasMode
            from snAPI.Main import snAPI
        except ImportError as error:
            raise ConnectionLost(
                "PicoQuant's library is not installed; run: pip install snAPI"
            ) from error
        self._buffer = int(buffer)
        if file:
            _check(Path(file))  # the library itself would end the program
        self._api = snAPI()
        found = self._api.getFileDevice(file) if file else self._api.getDevice(serial)
        if not found or not (file or self._api.initDevice(MeasMode.T2)):
            where = file or f"PicoQuant device {serial}".strip()
            raise ConnectionLost(f"snAPI cannot open {where}; check file, cable and power")
        self._started = False

    def identify(self) -> str:
        config = self._api.deviceConfig
        return f"PicoQuant {config['Model']}, {config['ID']}"

    def inputs(self) -> list[int]:
        return list(range(1, int(self._api.deviceConfig["NumChans"]) + 1))

    def _config(self, channel: int) -> dict[str, Any]:
        config = self._api.deviceConfig
        found: dict[str, Any] = config if channel == SYNC else config["ChansCfg"][channel - 1]
        return found

    def threshold(self, channel: int) -> float:
        key = "SyncTrigLvl" if channel == SYNC else "TrigLvl"
        return float(self._config(channel).get(key, 0)) * 1e-3

    def set_threshold(self, channel: int, volts: float) -> None:
        """Edges towards the sign of the level count: falling ones for a negative level."""
        level, edge = round(volts * 1e3), int(volts >= 0)
        device = self._api.device
        if channel == SYNC:
            done = device.setSyncEdgeTrig(level, edge)
        else:
            done = device.setInputEdgeTrig(channel - 1, level, edge)
        if not done:
            raise RuntimeError("this device refuses the trigger level")

    def delay(self, channel: int) -> int:
        key = "SyncChannelOffset" if channel == SYNC else "ChanOffs"
        return int(self._config(channel).get(key, 0))

    def set_delay(self, channel: int, picoseconds: int) -> None:
        device = self._api.device
        if channel == SYNC:
            done = device.setSyncChannelOffset(picoseconds)
        else:
            done = device.setInputChannelOffset(channel - 1, picoseconds)
        if not done:
            raise RuntimeError("this device refuses the delay")

    def start(self, channels: list[int], seconds: float) -> None:
        """Record channels, without end if `seconds` is 0; a file is played to its end."""
        self._wanted = np.array(channels)
        if not self._api.unfold.startBlock(round(seconds * 1e3), self._buffer, False):
            raise RuntimeError("the measurement does not start")
        self._started = True

    def read(self) -> dict[str, Any]:
        """Tags since the last call."""
        unfold = self._api.unfold
        running = not unfold.isFinished()  # asked first: what comes after it is complete
        times, channels = unfold.getBlock()
        if len(times) >= self._buffer:
            raise RuntimeError(f"the buffer of {self._buffer} tags is full; read more often")
        # The arrays are the library's own: what is wanted of them is copied.
        tags = np.isin(channels, self._wanted) & (channels <= MOST_CHANNELS)
        return {
            "times": times[tags].astype(np.int64),
            "channels": channels[tags].astype(np.int16),
            "lost": [],
            "running": running,
        }

    def stop(self) -> None:
        if self._started:
            self._started = False
            self._api.unfold.stopMeasure()

    def close(self) -> None:
        self.stop()
        self._api.closeDevice()
