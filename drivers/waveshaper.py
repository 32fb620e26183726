"""Finisar/Coherent WaveShaper A series: programmable optical filter, over its HTTP interface."""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

import numpy as np

from drivers.waveshaper_profile import (
    BLOCKED,
    Array,
    LocalProfile,
    ShaperInfo,
    ShaperProfile,
    parsed,
    require_same,
)
from labctl.adapter import Framing
from labctl.errors import InstrumentError, RequestError, TransportError
from labctl.http import HttpClient, Response
from labctl.instrument import LabInstrument

UPLOAD = 20.0  # s that one upload may take
ASK = 5.0  # s for the rest
ATTEMPTS = 3  # of one upload; loading replaces everything, so it may be repeated

REMEDIES = {
    -16: "it is busy, try again",
    -29: "the port does not exist",
    -30: "a frequency is outside the range of this model",
    -31: "an attenuation is not allowed",
    -32: "it cannot read the profile",
    -33: "the grid is not that of this model",
    -34: "a band to one port is narrower than 10 GHz",
}


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
        self._profile: LocalProfile | None = None

    # ---------------------------------------------------------------- what it is

    @property
    def info(self) -> ShaperInfo:
        """Get model, serial number, range and number of ports, asked once."""
        if self._info is None:
            answer = self._checked(self._http.get("/waveshaper/devinfo", timeout=ASK)).json()
            try:
                self._info = ShaperInfo(
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
        return self._info

    @property
    def grid(self) -> Array:
        """Get the grid frequencies in THz."""
        return self._local.grid.copy()

    def identify(self) -> str:
        """Model, serial number and firmware version."""
        return f"{self.info.model} {self.info.serial} {self.info.version}"

    def snapshot(self) -> dict[str, Any]:
        """What the filter is, and the fingerprint of the local profile."""
        info = self.info
        return {
            "model": info.model,
            "serial": info.serial,
            "version": info.version,
            "start_thz": info.start_thz,
            "stop_thz": info.stop_thz,
            "ports": info.ports,
            "settling": self.settling,
            "open_points": int(np.count_nonzero(self._local.ports)),
            "profile_sha256": hashlib.sha256(self._local.text.encode()).hexdigest(),
        }

    # ---------------------------------------------------------------- local profile

    @property
    def _local(self) -> LocalProfile:
        if self._profile is None:
            self._profile = LocalProfile(self.name, self.info)
        return self._profile

    def clear(self) -> None:
        """Block everything in the local profile; nothing is sent."""
        self._local.clear()

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
        self._local.set_band(centre_thz, width_thz, attenuation_db, phase_rad, port)

    # ---------------------------------------------------------------- transfer

    def load(self, verify: bool = True) -> None:
        """Send the local profile, compare what the filter applied, wait until it has settled.

        Raises:
            RequestError: a band would be narrower than 10 GHz; nothing was sent.
            InstrumentError: the filter refused the profile, or applied another one.
        """
        self._local.check_widths()
        text = self._local.text
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
        return parsed(self.name, self._applied())

    def _applied(self) -> str:
        return self._checked(self._http.get("/waveshaper/getprofile", timeout=ASK)).text

    def _verify(self, sent: str) -> None:
        """Compare the applied profile with what was sent, as numbers unless the texts agree."""
        read = self._applied()
        if read != sent:
            require_same(self.name, parsed(self.name, sent), parsed(self.name, read))

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
