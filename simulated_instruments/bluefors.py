"""Simulated control software of a Bluefors refrigerator: its HTTP interface, read only.

The form of answers is that of the shared sheet, after a public driver. Temperatures are those of
the cryostat that the world may have put there; pressures are fixed and assumed. Values are texts,
renewed every few seconds; a thermometer that is not read any more is outdated.
"""

from __future__ import annotations

import json
import math
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

from labctl.transport import Endpoint
from simulated_instruments.instrument import Port, SimulatedInstrument
from simulated_instruments.physics.cryostat import CryostatModel
from simulated_instruments.protocol.http import HttpEndpoint, Reply
from simulated_instruments.world import World

__all__ = ["CryostatModel", "SimBluefors"]

#: Thermometers by the name in the interface, and their channels of the cryostat.
STAGES = {"t50k": 1, "t4k": 2, "tstill": 5, "tmixing": 6}
#: Gauges, in mbar (assumed: cold and circulating).
PRESSURES = {"p1": 2.1e-6, "p2": 0.62, "p3": 312.0, "p4": 318.0, "p5": 1.4, "p6": 2.0e-2}
RENEWED = 5.0  # s between two values
ANSWERING = 5e-3  # s
TEMPERATURE, PRESSURE = "/values/mapper/bf/temperatures/", "/values/driver/maxigauge/pressures/"
JSON = {"Content-Type": "application/json"}


class SimBluefors(SimulatedInstrument):
    """The interface without encryption, which wants no key unless `key` is set."""

    PORTS: ClassVar[dict[str, Port]] = {"http": Port("http", default=49099)}

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: CryostatModel = world.part(name, lambda: CryostatModel(world.seed_of, name))
        self.model.advance(world.now)
        self.key = ""
        #: Thermometers that nobody reads any more.
        self.outdated: set[str] = set()

    def connect(self, port: str = "") -> Endpoint:
        if port not in ("", *self.PORTS):
            raise ValueError(f"{self.name} has no port {port!r}, only {', '.join(self.PORTS)}")
        return HttpEndpoint(self.world, self._handle)

    def _handle(
        self, method: str, target: str, headers: dict[str, str], body: bytes, now: float
    ) -> Reply:
        parts = urlsplit(target)
        if self.key and parse_qs(parts.query).get("key", [""])[0] != self.key:
            return self._reply(401, {"error": {"description": "Unauthorized"}})
        if method != "GET":
            return self._reply(405, {"error": {"description": "Method not allowed"}})
        path = parts.path.rstrip("/") + "/"
        name = path.rstrip("/").rpartition("/")[2]
        if path.startswith(TEMPERATURE) and name in STAGES:
            seen = math.floor(now / RENEWED) * RENEWED
            return self._value(path, repr(self.model.reading_k(seen, STAGES[name])), name)
        if path.startswith(PRESSURE) and name in PRESSURES:
            return self._value(path, repr(PRESSURES[name]), name)
        return self._reply(404, {"error": {"description": f"No such value: {name}"}})

    def _value(self, path: str, value: str, name: str) -> Reply:
        old = name in self.outdated
        latest = {"value": "" if old else value, "outdated": old, "date": int(self.world.now * 1e3)}
        valid = {**latest, "value": value, "status": "DISCONNECTED" if old else "SYNCHRONIZED"}
        target = path.strip("/").removeprefix("values/").replace("/", ".")
        content = {"latest_value": latest, "latest_valid_value": valid}
        return self._reply(200, {"data": {target: {"content": content}}})

    @staticmethod
    def _reply(status: int, answer: object) -> Reply:
        return ANSWERING, status, JSON, json.dumps(answer).encode()
