"""Finisar/Coherent WaveShaper A series: programmable optical filter, over its HTTP interface."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from labctl.adapter import Framing
from labctl.errors import InstrumentError, RequestError, TransportError
from labctl.http import HttpClient, Response
from labctl.instrument import LabInstrument

STEP = 0.001  # THz between grid points
BLOCKED = 60.0  # dB
NARROWEST = 10  # grid points that a band must have
UPLOAD = 20.0  # s that one upload may take
ASK = 5.0  # s for the rest
ATTEMPTS = 3  # of one upload; loading replaces everything, so it may be repeated
LOOSE = (2e-5, 1e-3, 1e-3)  # THz, dB, rad: largest differences of what was sent and read back

REMEDIES = {
    -16: "it is busy, try again",
    -29: "the port does not exist",
    -30: "a frequency is outside the range of this model",
    -31: "an attenuation is not allowed",
    -32: "it cannot read the profile",
    -33: "the grid is not that of this model",
    -34: "a band to one port is narrower than 10 GHz",
}

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class ShaperInfo:
    """What the filter says about itself."""

    model: str
    serial: str
    version: str
    start_thz: float
    stop_thz: float
    ports: int


@dataclass(frozen=True)
class ShaperProfile:
    """A whole profile, one entry per grid point; 60 dB or port 0 is blocked."""

    frequency_thz: Array
    attenuation_db: Array
    phase_rad: Array
    port: Array


class WaveShaper(LabInstrument):
    """The filter with a local profile: `clear` and `set_band` change it, `load` sends all of it.

    Args:
        adapter: the connection; HTTP on TCP port 80.
        name: the name in the bench file.
        settling: time in s that the liquid crystal needs after a load.
    """

    FRAMING = Framing(write=b"", read=b"", timeout=ASK)
    IDENTITY = r"\d{3,5}[A-Z]\b"

    def __init__(
        self, adapter: Any, name: str = "shaper", settling: float = 1.0, **kwargs: Any
    ) -> None:
        super().__init__(adapter, name, **kwargs)
        if not 0 <= settling < math.inf:
            raise RequestError(f"{name}: settling must be a time in s, got {settling!r}")
        self.settling = settling
        self._http = HttpClient(self.adapter)
        self._info: ShaperInfo | None = None
        self._grid: Array = np.empty(0)
        self._ports: Array = np.empty(0, dtype=np.int64)  # of the local profile
        self._heads: list[str] = []  # of each line: its frequency
        self._blocked: list[str] = []  # all lines of a profile that blocks everything
        self._lines: list[str] = []  # of the local profile

    # ---------------------------------------------------------------- what it is

    @property
    def info(self) -> ShaperInfo:
        """Get model, serial number, range and number of ports, asked once."""
        if self._info is None:
            answer = self._checked(self._http.get("/waveshaper/devinfo", timeout=ASK)).json()
            try:
                info = ShaperInfo(
                    str(answer["model"]),
                    str(answer["sno"]),
                    str(answer["ver"]),
                    float(answer["startfreq"]),
                    float(answer["stopfreq"]),
                    int(answer["portcount"]),
                )
            except (KeyError, TypeError, ValueError) as error:
                raise InstrumentError(
                    f"{self.name}: GET /waveshaper/devinfo was answered without a usable "
                    f"{error}: {str(answer)[:80]}; check the address"
                ) from None
            size = round((info.stop_thz - info.start_thz) / STEP) + 1
            self._grid = np.round(info.start_thz + STEP * np.arange(size), 4)
            self._heads = [f"{frequency:.4f}" for frequency in self._grid.tolist()]
            self._blocked = [f"{head}\t{BLOCKED:.4f}\t0.0000\t0\n" for head in self._heads]
            self._info = info
            self.clear()
        return self._info

    @property
    def grid(self) -> Array:
        """Get the grid frequencies in THz."""
        _ = self.info
        return self._grid.copy()

    def identify(self) -> str:
        """Model, serial number and firmware version."""
        return f"{self.info.model} {self.info.serial} {self.info.version}"

    def snapshot(self) -> dict[str, Any]:
        """What the filter is, and the fingerprint of the local profile."""
        info = self.info
        text = "".join(self._lines)
        return {
            "model": info.model,
            "serial": info.serial,
            "version": info.version,
            "start_thz": info.start_thz,
            "stop_thz": info.stop_thz,
            "ports": info.ports,
            "settling": self.settling,
            "open_points": int(np.count_nonzero(self._ports)),
            "profile_sha256": hashlib.sha256(text.encode()).hexdigest(),
        }

    # ---------------------------------------------------------------- local profile

    def clear(self) -> None:
        """Block everything in the local profile; nothing is sent."""
        if self._info is None:
            _ = self.info  # asks, then clears
        self._lines = self._blocked.copy()
        self._ports = np.zeros(len(self._lines), dtype=np.int64)

    def set_band(
        self,
        centre_thz: float,
        width_thz: float,
        attenuation_db: float = 0.0,
        phase_rad: float = 0.0,
        port: int = 1,
    ) -> None:
        """Route a band to a port in the local profile; nothing is sent.

        The band holds the grid points from `centre - width/2` on, up to but without
        `centre + width/2`, so bands that touch share no point. 60 dB blocks.
        """
        info = self.info
        for what, value in (
            ("centre", centre_thz),
            ("width", width_thz),
            ("phase", phase_rad),
        ):
            if not math.isfinite(value):
                raise RequestError(f"{self.name}: the {what} of a band must be finite: {value!r}")
        if not 0.0 <= attenuation_db <= BLOCKED:
            raise RequestError(
                f"{self.name}: attenuation {attenuation_db!r} dB is not between 0 and {BLOCKED:g}"
            )
        if isinstance(port, bool) or port not in range(1, info.ports + 1):
            raise RequestError(f"{self.name}: port {port!r} is not one of 1 to {info.ports}")
        first = math.ceil((centre_thz - 0.5 * width_thz - info.start_thz) / STEP - 1e-6)
        behind = math.ceil((centre_thz + 0.5 * width_thz - info.start_thz) / STEP - 1e-6)
        if first < 0 or behind > len(self._heads):
            raise RequestError(
                f"{self.name}: band {centre_thz:g} THz, {width_thz:g} THz wide, is outside "
                f"{info.start_thz:g} to {info.stop_thz:g} THz"
            )
        if behind - first < NARROWEST:
            raise RequestError(
                f"{self.name}: band {centre_thz:g} THz is {width_thz * 1e3:g} GHz wide; "
                "at least 10 GHz are needed"
            )
        tail = f"\t{attenuation_db:.4f}\t{phase_rad % (2.0 * math.pi):.4f}\t{port:d}\n"
        self._lines[first:behind] = [head + tail for head in self._heads[first:behind]]
        self._ports[first:behind] = port

    def _check_widths(self) -> None:
        """Refuse what overlapping bands have left narrower than 10 GHz."""
        ports = self._ports
        begins = np.concatenate(([0], np.flatnonzero(np.diff(ports)) + 1))
        widths = np.diff(np.concatenate((begins, [len(ports)])))
        narrow = (widths < NARROWEST) & (ports[begins] > 0)
        if narrow.any():
            at = int(np.flatnonzero(narrow)[0])
            raise RequestError(
                f"{self.name}: overlapping bands leave only {widths[at]} GHz to port "
                f"{ports[begins[at]]} at {self._grid[begins[at]]:.3f} THz; at least 10 are needed"
            )

    # ---------------------------------------------------------------- transfer

    def load(self, verify: bool = True) -> None:
        """Send the local profile, compare what the filter applied, wait until it has settled.

        Raises:
            RequestError: a band would be narrower than 10 GHz; nothing was sent.
            InstrumentError: the filter refused the profile, or applied another one.
        """
        _ = self.info
        self._check_widths()
        text = "".join(self._lines)
        self._upload({"type": "wsp", "wsp": text})
        settled = self.clock.now() + self.settling
        if verify:
            self._verify(text)
        self.clock.sleep(settled - self.clock.now())

    def block_all(self) -> None:
        """Block everything, in the filter and in the local profile, and verify it."""
        self._upload({"type": "blockall"})
        self.clear()
        applied = self.profile()
        passing = (applied.attenuation_db < BLOCKED) & (applied.port > 0)
        if passing.any():
            at = applied.frequency_thz[int(np.argmax(passing))]
            raise InstrumentError(
                f"{self.name}: blockall was accepted, but {at:.3f} THz still passes; "
                "switch the light off upstream"
            )

    def make_safe(self) -> None:
        """Block everything and verify it."""
        self.block_all()

    def profile(self) -> ShaperProfile:
        """Read back the profile that the filter applies."""
        return self._parsed(self._applied())

    def _applied(self) -> str:
        return self._checked(self._http.get("/waveshaper/getprofile", timeout=ASK)).text

    def _parsed(self, text: str) -> ShaperProfile:
        try:
            table = np.array(text.split(), dtype=float).reshape(-1, 4)
            if not np.isfinite(table).all():
                raise ValueError(text)
        except ValueError:
            raise InstrumentError(
                f"{self.name}: getprofile was answered with no profile: {text[:60]!r}"
            ) from None
        frequency, attenuation, phase, port = table.T
        return ShaperProfile(frequency, attenuation, phase, port.astype(np.int64))

    def _verify(self, sent: str) -> None:
        """Compare the applied profile with what was sent, as numbers unless the texts agree."""
        read = self._applied()
        if read == sent:
            return
        got, want = self._parsed(read), self._parsed(sent)
        if len(got.port) != len(want.port):
            raise InstrumentError(
                f"{self.name}: loaded {len(want.port)} grid points, {len(got.port)} came back; "
                "load again"
            )
        turn = (got.phase_rad - want.phase_rad + math.pi) % (2.0 * math.pi) - math.pi
        open_points = (want.attenuation_db < BLOCKED) & (want.port > 0)
        blocked = (got.attenuation_db >= BLOCKED) | (got.port == 0)
        wrong = (np.abs(got.frequency_thz - want.frequency_thz) > LOOSE[0]) | np.where(
            open_points,
            (np.abs(got.attenuation_db - want.attenuation_db) > LOOSE[1])
            | (np.abs(turn) > LOOSE[2])
            | (got.port != want.port),
            ~blocked,
        )
        if wrong.any():
            at = int(np.argmax(wrong))
            raise InstrumentError(
                f"{self.name}: at {want.frequency_thz[at]:.3f} THz, "
                f"{want.attenuation_db[at]:.4f} dB, {want.phase_rad[at]:.4f} rad, "
                f"port {want.port[at]} were loaded, but {got.attenuation_db[at]:.4f} dB, "
                f"{got.phase_rad[at]:.4f} rad, port {got.port[at]} came back "
                f"({np.count_nonzero(wrong)} points differ); load again"
            )

    def _upload(self, request: dict[str, Any]) -> None:
        """Post a profile; a lost or late answer is tried again."""
        body = json.dumps(request).encode()
        path = "/waveshaper/loadprofile"
        for attempt in range(1, ATTEMPTS + 1):
            try:
                response = self._http.post(path, body, "application/json", timeout=UPLOAD)
                break
            except TransportError:
                if attempt == ATTEMPTS:
                    raise
        answer = self._checked(response).json()
        code = answer.get("rc") if isinstance(answer, dict) else None
        if code == 0 and not isinstance(code, bool):
            return
        text = answer.get("rctext") or answer.get("msg") if isinstance(answer, dict) else ""
        said = f" ({text})" if text else ""
        shown = f"rc {code}{said}" if code is not None else repr(answer)[:80]
        remedy = REMEDIES.get(code, "check the profile") if isinstance(code, int) else "check it"
        raise InstrumentError(
            f"{self.name}: POST {path} ({request['type']}) was answered with {shown}: {remedy}"
        )

    def _checked(self, response: Response) -> Response:
        if response.status != 200:
            raise InstrumentError(
                f"{self.name}: {response.source.partition(': ')[2]} was answered with status "
                f"{response.status}; check that this address is a WaveShaper"
            )
        return response
