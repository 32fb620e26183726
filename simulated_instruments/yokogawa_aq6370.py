"""Simulated optical spectrum analyser Yokogawa AQ6370D, SCPI, on LAN with its login.

Commands and reply formats are those of the shared sheet. The port "lan" wants `OPEN "user"`, then a
password (any, sent plainly), and answers nothing else before; the port "free" needs no login, as
GPIB does not. Trace A only; not simulated: other traces' modes, markers, analysis functions,
frequency axis, repeated sweeps (SMODe is kept; every INITiate is one sweep).
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from labctl.transport import Endpoint
from simulated_instruments.instrument import Port
from simulated_instruments.physics.osa import (
    CENTRES,
    POINTS,
    RESOLUTIONS,
    SENSITIVITIES,
    SPANS,
    STARTS,
    STOPS,
    OsaModel,
)
from simulated_instruments.protocol.scpi import ScpiError, ScpiInstrument, scpi
from simulated_instruments.protocol.scpi_endpoint import ScpiEndpoint
from simulated_instruments.protocol.scpi_syntax import block, boolean, choice
from simulated_instruments.world import World

__all__ = ["OsaModel", "SimYokogawaAq6370"]

SWEPT = 1  # bit of STATus:OPERation: no sweep is being made
FORMATS = {"ASC": "ASCII", "ASCII": "ASCII", "REAL,32": "REAL,32", "REAL,64": "REAL,64"}
TRACES = ("TRA", "TRB", "TRC", "TRD", "TRE", "TRF", "TRG")
_WAVELENGTH = "[:SENSe]:WAVelength"
_LOGIN_LATENCY = 0.01  # s


class SimYokogawaAq6370(ScpiInstrument):
    """The command set in front of the model that the world may have put there."""

    PORTS: ClassVar[dict[str, Port]] = {
        "lan": Port("scpi-login", default=10001),
        "free": Port("scpi"),
    }
    identity = "YOKOGAWA,AQ6370D,90Y403996,02.08"
    ERROR_FORMAT = '{code},"{text}"'
    CLIPS = False
    TERMINATOR = b"\r\n"

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.model: OsaModel = world.part(name, lambda: OsaModel(world.seed_of, name))
        self.model.advance(world.now)
        self._zero_ends = 0.0
        self._preset()

    def _preset(self) -> None:
        self._format = "ASCII"
        self._mode = 1
        self._reference = -10.0
        self._active = "TRA"

    def connect(self, port: str = "") -> Endpoint:
        endpoint = super().connect(port)
        return endpoint if port == "free" else _Login(endpoint)

    def pending_until(self) -> float:
        sweep = self.model.sweep
        return max(self._zero_ends, sweep.ends if sweep else 0.0)

    def operation_condition(self) -> int:
        return 0 if self.pending_until() > self.world.now else SWEPT

    def reset(self) -> None:
        self.model.restore()
        self._preset()

    def number_text(self, value: float) -> str:
        """The exponent has three digits."""
        mantissa, _, exponent = f"{value:+.8E}".partition("E")
        return f"{mantissa}E{int(exponent):+04d}"

    # ------------------------------------------------- wavelengths

    def _nm(self, data: str, limits: tuple[float, float]) -> float:
        return self.number(data, limits[0] * 1e-9, limits[1] * 1e-9, unit="M") * 1e9

    def _between(self, start: float, stop: float) -> None:
        if not start < stop:
            raise ScpiError(-222)
        self.model.centre, self.model.span = (start + stop) / 2.0, stop - start

    @property
    def _ends(self) -> tuple[float, float]:
        half = self.model.span / 2.0
        return self.model.centre - half, self.model.centre + half

    @scpi(f"{_WAVELENGTH}:CENTer")
    def _set_centre(self, data: str) -> None:
        self.model.centre = self._nm(data, CENTRES)

    @scpi(f"{_WAVELENGTH}:CENTer?")
    def _centre(self) -> float:
        return self.model.centre * 1e-9

    @scpi(f"{_WAVELENGTH}:SPAN")
    def _set_span(self, data: str) -> None:
        self.model.span = self._nm(data, SPANS)

    @scpi(f"{_WAVELENGTH}:SPAN?")
    def _span(self) -> float:
        return self.model.span * 1e-9

    @scpi(f"{_WAVELENGTH}:STARt")
    def _set_start(self, data: str) -> None:
        self._between(self._nm(data, STARTS), self._ends[1])

    @scpi(f"{_WAVELENGTH}:STARt?")
    def _start(self) -> float:
        return self._ends[0] * 1e-9

    @scpi(f"{_WAVELENGTH}:STOP")
    def _set_stop(self, data: str) -> None:
        self._between(self._ends[0], self._nm(data, STOPS))

    @scpi(f"{_WAVELENGTH}:STOP?")
    def _stop(self) -> float:
        return self._ends[1] * 1e-9

    # ------------------------------------------------- how it sweeps

    @scpi("[:SENSe]:BANDwidth|BWIDth[:RESolution]")
    def _set_resolution(self, data: str) -> None:
        wanted = self._nm(data, (RESOLUTIONS[0], RESOLUTIONS[-1]))
        self.model.resolution = min(RESOLUTIONS, key=lambda legal: abs(legal - wanted))

    @scpi("[:SENSe]:BANDwidth|BWIDth[:RESolution]?")
    def _resolution(self) -> float:
        return self.model.resolution * 1e-9

    @scpi("[:SENSe]:SENSe")
    def _set_sensitivity(self, data: str) -> None:
        if data.upper() in SENSITIVITIES:
            self.model.sensitivity = data.upper()
            return
        self.model.sensitivity = SENSITIVITIES[round(self.number(data, 0, 6))]

    @scpi("[:SENSe]:SENSe?")
    def _sensitivity(self) -> int:
        return SENSITIVITIES.index(self.model.sensitivity)

    @scpi("[:SENSe]:SWEep:POINts")
    def _set_points(self, data: str) -> None:
        self.model.points = round(self.number(data, *POINTS))
        self.model.automatic_points = False

    @scpi("[:SENSe]:SWEep:POINts?")
    def _points(self) -> int:
        return self.model.points

    @scpi("[:SENSe]:SWEep:POINts:AUTO")
    def _set_automatic(self, data: str) -> None:
        self.model.automatic_points = boolean(data)

    @scpi("[:SENSe]:SWEep:POINts:AUTO?")
    def _automatic(self) -> int:
        return int(self.model.automatic_points)

    @scpi("DISPlay:TRACe:Y{1}[:SCALe]:RLEVel")
    def _set_reference(self, data: str) -> None:
        self._reference = self.number(data, -90.0, 30.0, unit="DBM")

    @scpi("DISPlay:TRACe:Y{1}[:SCALe]:RLEVel?")
    def _get_reference(self) -> float:
        return self._reference

    @scpi("INITiate:SMODe")
    def _set_mode(self, data: str) -> None:
        words = ("SINGLE", "REPEAT", "AUTO", "SEGMENT")
        word = data.upper()
        numbered = word in words
        self._mode = words.index(word) + 1 if numbered else round(self.number(data, 1, 4))

    @scpi("INITiate:SMODe?")
    def _get_mode(self) -> int:
        return self._mode

    @scpi("INITiate[:IMMediate]", "*TRG")
    def _initiate(self) -> None:
        if self._zero_ends > self.world.now:
            raise ScpiError(-213)
        self.model.initiate()

    @scpi("ABORt")
    def _abort(self) -> None:
        self.model.abort()

    @scpi("CALibration:ZERO[:AUTO]")
    def _set_zero(self, data: str) -> None:
        if choice(data, ("ON", "OFF", "ONCE")) == "ONCE":
            self._zero_ends = self.model.zero()
        else:
            self.model.auto_zero = boolean(data)

    @scpi("CALibration:ZERO[:AUTO]?")
    def _zero(self) -> int:
        return int(self.model.auto_zero)

    # ------------------------------------------------- traces

    @scpi("FORMat[:DATA]")
    def _set_format(self, *data: str) -> None:
        wanted = ",".join(data).upper().replace(" ", "")
        if wanted not in FORMATS:
            raise ScpiError(-224, wanted[:20])
        self._format = FORMATS[wanted]

    @scpi("FORMat[:DATA]?")
    def _get_format(self) -> str:
        return self._format

    @scpi("TRACe:ACTive")
    def _set_active(self, data: str) -> None:
        self._active = self._trace(data)

    @scpi("TRACe:ACTive?")
    def _get_active(self) -> str:
        return self._active

    @scpi("TRACe:DATA:SNUMber?")
    def _samples(self, data: str) -> int:
        return len(self._shown(data)[0])

    @scpi("TRACe[:DATA]:X?")
    def _x(self, data: str) -> str | bytes:
        return self._sent(self._shown(data)[0] * 1e-9)

    @scpi("TRACe[:DATA]:Y?")
    def _y(self, data: str) -> str | bytes:
        return self._sent(self._shown(data)[1])

    def _trace(self, data: str) -> str:
        if data.upper() not in TRACES:
            raise ScpiError(-224, data[:20])
        return data.upper()

    def _shown(self, data: str) -> tuple[np.ndarray, np.ndarray]:
        empty = np.empty(0), np.empty(0)
        return (self.model.shown or empty) if self._trace(data) == "TRA" else empty

    def _sent(self, values: np.ndarray) -> str | bytes:
        if self._format == "ASCII":
            return ",".join(self.number_text(value) for value in values.tolist())
        return block(values.astype("<f4" if self._format == "REAL,32" else "<f8").tobytes())


class _Login:
    """The LAN port: silent until somebody has logged in."""

    def __init__(self, inside: ScpiEndpoint) -> None:
        self._inside = inside
        self._buffer = b""
        self._opened = False
        self._inside_reached = False

    def feed(self, data: bytes, now: float) -> list[tuple[float, bytes]]:
        if self._inside_reached:
            return self._inside.feed(data, now)
        self._inside.feed(b"", now)
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        replies = []
        for number, line in enumerate(lines):
            text = line.strip()
            if self._opened:
                self._inside_reached = True
                replies.append((now + _LOGIN_LATENCY, b"READY\r\n"))
                rest = b"".join(each + b"\n" for each in lines[number + 1 :]) + self._buffer
                return replies + self._inside.feed(rest, now)
            if text.upper().startswith(b'OPEN "') and text.endswith(b'"'):
                self._opened = True
                replies.append((now + _LOGIN_LATENCY, b"AUTHENTICATE CRAM-MD5.\r\n"))
        self._buffer = self._buffer[-1000:]
        return replies
