"""Bluefors refrigerators: temperatures and pressures from the maker's control software, over HTTP.

Address: `http://HOST:49099` (without encryption; the software must allow it). Nothing is set: a
warm or silent refrigerator is for interlocks to notice, so a value that is outdated, empty or not
positive is an error and never a number.
"""

from __future__ import annotations

import math
import re
from typing import Any
from urllib.parse import quote

from labctl.adapter import Framing
from labctl.errors import InstrumentError, RequestError
from labctl.http import HttpClient
from labctl.instrument import LabInstrument

STAGES = ("t50k", "t4k", "tstill", "tmixing", "tmagnet", "tfse")
GAUGES = ("p1", "p2", "p3", "p4", "p5", "p6")
TEMPERATURES, PRESSURES = "mapper/bf/temperatures", "driver/maxigauge/pressures"


class Bluefors(LabInstrument):
    """One refrigerator. Temperatures in K, pressures in mbar.

    Args:
        adapter: the connection.
        name: the name in the bench file.
        stage: the thermometer that `temperature_k` reads.
        key: of the software's interface, if it wants one.
    """

    FRAMING = Framing(write=b"", read=b"", timeout=5.0)
    IDENTITY = r"Bluefors"
    SETTINGS = ("temperature_k",)

    def __init__(
        self,
        adapter: Any,
        name: str = "cryostat",
        stage: str = "tmixing",
        key: str = "",
        **settings: Any,
    ) -> None:
        super().__init__(adapter, name, **settings)
        if stage not in STAGES:
            raise RequestError(f"{name}: stage {stage!r} is not one of {', '.join(STAGES)}")
        self.stage = stage
        self._key = key
        self._http = HttpClient(self.adapter)

    def identify(self) -> str:
        """What answers: software that knows the thermometer."""
        self._value(f"{TEMPERATURES}/{self.stage}")
        return f"Bluefors control software with {self.stage}"

    @property
    def temperature_k(self) -> float:
        """Get the temperature (K) of the stage that the bench file names (float)."""
        return self.temperature(self.stage)

    def temperature(self, stage: str) -> float:
        """Temperature (K) of a stage: t50k, t4k, tstill, tmixing, tmagnet or tfse."""
        if stage not in STAGES:
            raise RequestError(f"{self.name}: stage {stage!r} is not one of {', '.join(STAGES)}")
        return self._value(f"{TEMPERATURES}/{stage}")

    def pressure(self, gauge: str) -> float:
        """Pressure (mbar) at a gauge, p1 to p6."""
        if gauge not in GAUGES:
            raise RequestError(f"{self.name}: gauge {gauge!r} is not one of {', '.join(GAUGES)}")
        return self._value(f"{PRESSURES}/{gauge}")

    def _value(self, path: str) -> float:
        """A value that is valid now."""
        key = f"&key={quote(self._key, safe='')}" if self._key else ""
        response = self._http.get(f"/values/{path}/?prettyprint=0{key}")
        shown = re.sub(r"\s+", " ", response.text)
        if response.status != 200:
            raise InstrumentError(
                f"{self.name}: {path} was answered with {response.status} {shown[:80]!r}; check "
                "the key, and that the software has this value"
            )
        answer = response.json()
        try:
            content = answer["data"][path.replace("/", ".")]["content"]
            valid, latest = content["latest_valid_value"], content.get("latest_value", {})
            outdated = bool(valid.get("outdated")) or bool(latest.get("outdated"))
            number = float(valid["value"])
        except (KeyError, TypeError, ValueError, AttributeError):
            raise self._nonsense(path, shown, "a value") from None
        if outdated or valid.get("status", "SYNCHRONIZED") != "SYNCHRONIZED":
            raise InstrumentError(
                f"{self.name}: {path} is outdated (last {number:g}); check that the thermometry "
                "runs and is connected to the control software"
            )
        if not 0.0 < number < math.inf:
            raise InstrumentError(
                f"{self.name}: {path} shows {number:g}, which cannot be; check the sensor"
            )
        return number
