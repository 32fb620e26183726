"""Simulated programmable optical filter: WaveShaper 4000A with its HTTP interface.

A profile error is HTTP status 200 with a negative `rc`; other paths are 404.
"""

from __future__ import annotations

import json
import math
from collections import OrderedDict
from typing import Any, ClassVar

import numpy as np

from labctl.transport import Endpoint
from simulated_instruments.instrument import Port, SimulatedInstrument
from simulated_instruments.physics.shaper import BLOCKED, ShaperModel
from simulated_instruments.protocol.http import HttpEndpoint, Reply
from simulated_instruments.protocol.wsp import (
    INVALID_ATTENUATION,
    INVALID_FREQUENCY,
    INVALID_PORT,
    MOST,
    NARROW_BANDWIDTH,
    Profile,
    ProfileError,
    read_profile,
    write_profile,
)
from simulated_instruments.world import World

__all__ = ["ShaperModel", "SimWaveShaper"]

ERROR = -1
OUT_OF_RANGE = -46
NARROWEST = 0.010  # THz
LOADING = 0.1  # s that loadprofile blocks
ANSWERING = 0.01  # s for the rest
REMEMBERED = 8  # profile texts that need not be read again

JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain"}


class SimWaveShaper(SimulatedInstrument):
    """The REST interface of the filter, in front of the model it shares with the world."""

    PORTS: ClassVar[dict[str, Port]] = {"http": Port("http", default=80)}

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model = world.part(name, ShaperModel)
        self.serial_number = f"WS{world.seed_of(f'{name}.serial') % 900000 + 100000}"
        self._known: OrderedDict[str, Profile] = OrderedDict()
        self._text = ""
        self._text_version = -1  # of the model, that `_text` belongs to

    def connect(self, port: str = "") -> Endpoint:
        if port not in ("", *self.PORTS):
            raise ValueError(f"{self.name}: no port {port!r}; there is only 'http'")
        return HttpEndpoint(self.world, self._handle)

    def _handle(
        self, method: str, target: str, headers: dict[str, str], body: bytes, now: float
    ) -> Reply:
        """Answer one request; the content type of a request is ignored."""
        path = target.partition("?")[0]
        wanted = "POST" if path == "/waveshaper/loadprofile" else "GET"
        if path not in (
            "/waveshaper/devinfo",
            "/waveshaper/loadprofile",
            "/waveshaper/getprofile",
        ):
            return ANSWERING, 404, TEXT, b"not found\n"
        if method != wanted:
            return ANSWERING, 405, TEXT | {"Allow": wanted}, b"method not allowed\n"
        if path.endswith("devinfo"):
            return ANSWERING, 200, JSON, json.dumps(self._devinfo()).encode()
        if path.endswith("getprofile"):
            return ANSWERING, 200, TEXT, self._profile_text().encode()
        code, text = self._load(body, now)
        answer = {"rc": code, "rctext": text, "sno": self.serial_number}
        return LOADING, 200, JSON, json.dumps(answer).encode()

    def _devinfo(self) -> dict[str, Any]:
        model = self.model
        return {
            "model": f"WS{1000 * model.ports}A",
            "sno": self.serial_number,
            "ver": "2.7.8",
            "partno": "SIMULATED",
            "startfreq": model.start_thz,
            "stopfreq": model.stop_thz,
            "ip": "127.0.0.1",
            "portcount": model.ports,
            "rctext": "",
        }

    def _profile_text(self) -> str:
        """The applied profile; whoever loaded it, perhaps the world itself."""
        model = self.model
        if self._text_version != model.version:
            self._text = write_profile(
                model.grid_thz, model.attenuation_db, model.phase_rad, model.port
            )
            self._text_version = model.version
        return self._text

    def _load(self, body: bytes, now: float) -> tuple[int, str]:
        """Load a profile; returns result code and text."""
        try:
            request = json.loads(body)
            if not isinstance(request, dict):
                raise ProfileError(ERROR, "the body is no JSON object")
            profile = self._profile(request)
        except (ValueError, RecursionError):
            return ERROR, "the body is not JSON"
        except ProfileError as error:
            return error.code, str(error)
        self.model.load(profile.attenuation_db, profile.phase_rad, profile.port, now)
        self._text, self._text_version = profile.text, self.model.version
        return 0, "SUCCESS"

    def _profile(self, request: dict[str, Any]) -> Profile:
        kind = request.get("type")
        if kind == "wsp":
            text = request.get("wsp")
            if not isinstance(text, str):
                raise ProfileError(ERROR, "wsp must be a text")
            return self._read(text)
        if kind == "blockall":
            return self._predefined(np.full(self.model.size, BLOCKED), 0)
        if kind == "transmit":
            port = self._port(request) if "port" in request else 1
            return self._predefined(np.zeros(self.model.size), port)
        if kind in ("bandpass", "bandstop", "gaussian"):
            return self._band(kind, request)
        raise ProfileError(ERROR, f"unknown type {kind!r}")

    def _read(self, text: str) -> Profile:
        """Read a WSP text, or remember what it said the last time."""
        profile = self._known.get(text)
        if profile is None:
            model = self.model
            profile = read_profile(text, model.start_thz, model.size, model.ports)
            self._known[text] = profile
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        else:
            self._known.move_to_end(text)
        return profile

    def _port(self, request: dict[str, Any]) -> int:
        port = request.get("port")
        if not isinstance(port, int) or isinstance(port, bool):
            raise ProfileError(ERROR, "port must be an integer")
        if not 1 <= port <= self.model.ports:
            raise ProfileError(INVALID_PORT, f"port {port} is not 1 to {self.model.ports}")
        return port

    def _band(self, kind: str, request: dict[str, Any]) -> Profile:
        """One filter around a centre; frequencies and widths in THz."""
        model, port = self.model, self._port(request)
        centre, width, attenuation = (
            _number(request, field) for field in ("center", "bandwidth", "attn")
        )
        if not model.start_thz <= centre <= model.stop_thz:
            raise ProfileError(INVALID_FREQUENCY, f"center {centre:g} THz is out of range")
        if width < NARROWEST:
            raise ProfileError(NARROW_BANDWIDTH, f"bandwidth {width:g} THz is below 10 GHz")
        if width > model.stop_thz - model.start_thz:
            raise ProfileError(OUT_OF_RANGE, f"bandwidth {width:g} THz exceeds the range")
        if not 0.0 <= attenuation <= MOST:
            raise ProfileError(INVALID_ATTENUATION, f"attn {attenuation:g} dB is not 0 to 60")
        distance = np.abs(model.grid_thz - centre)
        inside = distance <= 0.5 * width + 1e-9
        if kind == "gaussian":  # the width is the full width at half maximum of the power
            edge = 40.0 * math.log10(2.0) * (distance / width) ** 2
            return self._predefined(np.minimum(attenuation + edge, BLOCKED), port)
        passes = inside if kind == "bandpass" else ~inside
        return self._predefined(np.where(passes, attenuation, BLOCKED), port)

    def _predefined(self, attenuation: Any, port: int) -> Profile:
        size, grid = self.model.size, self.model.grid_thz
        phase, ports = np.zeros(size), np.full(size, port)
        text = write_profile(grid, attenuation, phase, ports)
        return Profile(attenuation, phase, ports, text)


def _number(request: dict[str, Any], field: str) -> float:
    value = request.get(field)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ProfileError(ERROR, f"{field} must be a number")
    return float(value)
