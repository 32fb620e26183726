"""Yokogawa optical spectrum analysers AQ6370C, D, E, over LAN (TCP port 10001), GPIB or serial.

Built on pymeasure's `AQ6370Series` (0.16.0), of which it mends what docs/pymeasure-faults.md lists:
it did not open on a LAN, sent wavelengths with six digits, had no upper limit of the start, could
not choose a trace, left answers unread, and read binary data that it had not asked for. Properties
that come from pymeasure keep its units (m); those without `wavelength_` in their name are in nm.

The instrument adjusts its offset by itself about every ten minutes, which takes 30 s.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymeasure.adapters import Adapter
from pymeasure.instruments import Instrument
from pymeasure.instruments.yokogawa.aq6370series import AQ6370D

from drivers._properties import AsksAfterSetting, one_of, within
from labctl.adapter import ByteAdapter, Framing
from labctl.errors import InstrumentError, RequestError, TransportTimeout
from labctl.instrument import LabInstrument

Floats = NDArray[np.float64]

SWEPT = 1  # bit of STATus:OPERation
ZERO_TIME = 60.0  # s that an adjustment may take at most
POLL = 0.1  # s between two looks whether a sweep is over
LONGEST_SWEEP = 1800.0  # s
RESOLUTIONS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # nm
SENSITIVITIES = {"NHLD": 0, "NAUT": 1, "MID": 2, "HIGH1": 3, "HIGH2": 4, "HIGH3": 5, "NORM": 6}
CENTRES, SPANS, STARTS, STOPS = (600.0, 1700.0), (0.0, 1100.0), (50.0, 1700.0), (600.0, 2250.0)
TRACES = "ABCDEFG"
#: Addresses of connections on which nobody has to log in.
WITHOUT_LOGIN = ("serial://", "visa://asrl", "visa://gpib", "visa://usb")


def _wavelength(node: str, what: str, limits: tuple[float, float]) -> Any:
    """A wavelength in m, sent in nm with all digits that the instrument has; limits in nm."""
    low, high = (limit * 1e-9 for limit in limits)

    def validator(metres: Any, _: Any) -> float:
        if isinstance(metres, bool) or not low <= metres <= high:  # NaN is refused, too
            raise RequestError(f"the {what} must be from {low:g} to {high:g} m, got {metres!r}")
        return float(metres)

    return Instrument.control(
        f":SENS:WAV:{node}?",
        f":SENS:WAV:{node} %.4fNM",
        f"Control the {what} in m (float from {low:g} to {high:g}).",
        validator=validator,
        values=limits,
        set_process=lambda metres: metres * 1e9,
        check_set_errors=True,
    )


def _in_nm(name: str, what: str, limits: tuple[float, float]) -> Any:
    """The same property in nm."""

    def get(self: YokogawaAq6370) -> float:
        return float(getattr(self, name)) * 1e9

    def put(self: YokogawaAq6370, nanometres: float) -> None:
        wanted = within(nanometres, limits, f"{what} in nm of {self.name}")
        setattr(self, name, min(max(wanted * 1e-9, limits[0] * 1e-9), limits[1] * 1e-9))

    low, high = limits
    return property(get, put, doc=f"Control the {what} in nm (float from {low:g} to {high:g}).")


class YokogawaAq6370(AsksAfterSetting, LabInstrument, AQ6370D):  # type: ignore[misc]
    """The analyser; traces as wavelengths in nm and levels in dBm.

    Args:
        adapter: the connection.
        name: the name in the bench file.
        username: whom the instrument knows on its LAN port; "" where it wants no login.
        password: of that user.
    """

    FRAMING = Framing(write=b"\r\n", read=b"\r\n", timeout=ZERO_TIME)
    IDENTITY = r"(?i)^yokogawa,AQ63"
    SETTINGS = (
        "centre",
        "span",
        "resolution",
        "sensitivity",
        "points",
        "reference_level",
        "auto_zero",
    )

    wavelength_center = _wavelength("CENT", "centre", CENTRES)
    wavelength_span = _wavelength("SPAN", "span", SPANS)
    wavelength_start = _wavelength("STAR", "start", STARTS)
    wavelength_stop = _wavelength("STOP", "stop", STOPS)
    centre = _in_nm("wavelength_center", "centre", CENTRES)
    span = _in_nm("wavelength_span", "span", SPANS)
    start = _in_nm("wavelength_start", "start", STARTS)
    stop = _in_nm("wavelength_stop", "stop", STOPS)
    sensitivity = Instrument.control(
        ":SENS:SENS?",
        ":SENS:SENS %d",
        """Control the sensitivity: NHLD, NAUT, NORM, MID, HIGH1, HIGH2 or HIGH3, ever slower.""",
        validator=lambda value, words: one_of(value, tuple(words), "sensitivity"),
        values=SENSITIVITIES,
        map_values=True,
        check_set_errors=True,
    )
    reference_level = Instrument.control(
        ":DISP:TRAC:Y1:SCAL:RLEV?",
        ":DISP:TRAC:Y1:SCAL:RLEV %.2fDBM",
        """Control the level at the top of the screen in dBm (float from -90 to 30).""",
        validator=lambda value, limits: within(value, limits, "reference level in dBm"),
        values=(-90.0, 30.0),
        check_set_errors=True,
    )
    active_trace = Instrument.control(
        ":TRAC:ACT?",
        ":TRAC:ACT %s",
        """Control the trace that sweeps write to: "TRA" to "TRG" (str).""",
        validator=lambda value, words: one_of(value, words, "trace"),
        values=tuple(f"TR{letter}" for letter in TRACES),
        cast=str,
        check_set_errors=True,
    )
    transfer_format = Instrument.control(
        ":FORM:DATA?",
        ":FORM:DATA %s",
        """Control the format of traces: "ASCII", "REAL,32" or "REAL,64" (str).""",
        validator=lambda value, words: one_of(value, words, "format"),
        values=("ASCII", "REAL,32", "REAL,64"),
        cast=str,
        separator=None,
        check_set_errors=True,
    )
    auto_zero = Instrument.control(
        ":CAL:ZERO?",
        ":CAL:ZERO %s",
        """Control whether it adjusts its offset by itself, which takes 30 s (bool).""",
        set_process=lambda on: "ON" if on else "OFF",
        get_process=lambda code: bool(int(code)),
        check_set_errors=True,
    )

    INHERITED = frozenset(
        {"level_position", "sweep_mode", "sweep_time_interval", "automatic_sample_number"}
        | {"sample_number", "wavelength_automatic_center", "resolution_bandwidth", "sweep_speed"}
    )

    def __init__(
        self,
        adapter: Adapter | str,
        name: str = "osa",
        username: str = "anonymous",
        password: str = "",
        **settings: Any,
    ) -> None:
        for what, text in (("username", username), ("password", password)):
            if '"' in text or not text.isprintable():
                raise RequestError(f"{name}: the {what} must be printable and have no quotes")
        self._user = (username, password)
        self._connection: Any = None  # on which the login was made
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # it does speak SCPI
            super().__init__(adapter, name, **settings)

    # ------------------------------------------------- login

    def write(self, command: str, **kwargs: Any) -> None:
        """Send a command; on a LAN connection that is new, log in first."""
        with self.transaction():
            self._enter()
            super().write(command, **kwargs)

    def authenticate_ethernet(self, username: str, password: str = "") -> None:
        """Log in as another user, now and after each lost connection."""
        self._user, self._connection = (username, password), None
        with self.transaction():
            self._enter()

    def _enter(self) -> None:
        adapter = self.adapter
        if not isinstance(adapter, ByteAdapter) or not self._user[0]:
            return
        if adapter.address.lower().startswith(WITHOUT_LOGIN):
            return
        adapter.settle()
        if self._connection is adapter.connection:
            return
        user, password = self._user
        for said, wanted in ((f'OPEN "{user}"', "AUTHENTICATE"), (password, "READY")):
            answer = adapter.query(said)
            if not answer.startswith(wanted):
                raise InstrumentError(
                    f"{self.name}: the login as {user!r} was answered with {answer!r}; set "
                    "username and password in the bench file"
                )
        self._connection = adapter.connection

    # ------------------------------------------------- settings

    @property
    def resolution(self) -> float:
        """Control the resolution in nm: 0.02, 0.05, 0.1, 0.2, 0.5, 1 or 2 (float)."""
        return float(self.values(":SENS:BWID:RES?")[0]) * 1e9

    @resolution.setter
    def resolution(self, nanometres: float) -> None:
        if nanometres not in RESOLUTIONS:
            legal = ", ".join(f"{legal:g}" for legal in RESOLUTIONS)
            raise RequestError(
                f"{self.name}: the resolution in nm must be one of {legal}, got {nanometres!r}"
            )
        self.write(f":SENS:BWID:RES {nanometres:g}NM")
        self.check_set_errors()

    @property
    def points(self) -> int:
        """Control the number of points of a sweep (int from 101 to 50001)."""
        return int(self.values(":SENS:SWE:POIN?", cast=int)[0])

    @points.setter
    def points(self, count: int) -> None:
        wanted = within(count, (101, 50001), "number of points")
        self.write(f":SENS:SWE:POIN {wanted:.0f}")
        self.check_set_errors()

    # ------------------------------------------------- sweeps

    def single(self, timeout: float = LONGEST_SWEEP) -> None:
        """Make one sweep and wait for its end.

        Raises:
            TransportTimeout: it was not over in `timeout` s; it was aborted.
        """
        self.write("*CLS;:INIT:SMOD 1;:INIT")
        give_up = self.clock.now() + timeout
        while not int(self.values(":STAT:OPER:EVEN?", cast=int)[0]) & SWEPT:
            if self.clock.now() > give_up:
                self.abort()
                raise TransportTimeout(
                    f"{self.name}: the sweep was not over in {timeout:g} s and was aborted; allow "
                    "more time, or choose a lower sensitivity or fewer points"
                )
            self.clock.sleep(POLL)
        self.check_set_errors()

    def trace(self, letter: str = "A") -> tuple[Floats, Floats]:
        """Wavelengths in nm and levels in dBm of a trace; -210 dBm is less than it can tell.

        Raises:
            InstrumentError: nothing was swept into this trace yet.
        """
        if letter not in tuple(TRACES):
            raise RequestError(f"{self.name}: traces are A to G, got {letter!r}")
        wavelengths = self._doubles(f":TRAC:X? TR{letter}") * 1e9
        levels = self._doubles(f":TRAC:Y? TR{letter}")
        if not levels.size:
            raise InstrumentError(f"{self.name}: trace {letter} is empty; sweep first (single)")
        if levels.size != wavelengths.size:
            raise InstrumentError(
                f"{self.name}: trace {letter} has {levels.size} levels at {wavelengths.size} "
                "wavelengths; sweep again"
            )
        return wavelengths, levels

    def get_xdata(self, trace: str = "TRA") -> Floats:
        """Wavelengths of a trace in m."""
        return self.trace(trace.removeprefix("TR"))[0] * 1e-9

    def get_ydata(self, trace: str = "TRA") -> Floats:
        """Levels of a trace in dBm."""
        return self.trace(trace.removeprefix("TR"))[1]

    def get_analysis(self) -> list[float]:
        """Results of the last analysis."""
        return [float(value) for value in self.values(":CALC:DATA?")]

    def zero(self) -> None:
        """Adjust the offset now; returns when it is done, after about 30 s."""
        self.write(":CAL:ZERO ONCE")
        self.clock.sleep(ZERO_TIME / 2)
        self.ask("*OPC?")
        self.check_set_errors()

    def make_safe(self) -> None:
        """Stop sweeping; the analyser emits nothing."""
        self.abort()

    def _doubles(self, query: str) -> Floats:
        """The numbers of a trace, in binary."""
        adapter = self.adapter
        if not isinstance(adapter, ByteAdapter):
            raise RequestError(f"{self.name}: give an address, tcp://HOST:10001")
        with self.transaction():
            self.write(f":FORM:DATA REAL,64;{query}")
            data = adapter.read_block()
        if len(data) % 8:
            raise self._nonsense(query, f"{len(data)} bytes", "whole numbers")
        values = np.frombuffer(data, "<f8")
        if not all(map(math.isfinite, (values.min(initial=0.0), values.max(initial=0.0)))):
            raise self._nonsense(query, "numbers that are none", "finite numbers")
        return values
