"""Toptica DLC pro controller with a CTL tunable laser head, over its DeCoF command line."""

from __future__ import annotations

import math
import re
from typing import Any

from pymeasure.instruments import Instrument

from labctl.adapter import ByteAdapter, Framing
from labctl.errors import InstrumentError, RequestError, TransportTimeout
from labctl.instrument import LabInstrument

REMEDIES = {
    -2: "the user level is too low",
    -3: "this firmware does not know the name",
    -4: "the value has the wrong type",
    -6: "the value is not allowed",
    -11: "the parameter can only be read",
}
POLL = 0.05  # s between two looks at a moving laser
SWITCHING = 2.0  # s that emission may take to follow its switch


def _real(value: Any) -> str:
    """A REAL: shortest text that reads back as the same double, always with a dot."""
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("a finite number is needed")
    text = repr(number)
    return text if "." in text else text.replace("e", ".0e")


def _string(value: str) -> str:
    """A STRING; quotes and line ends would break the expression, so they are refused."""
    if '"' in value or "\\" in value or not value.isprintable():
        raise ValueError("quotes, backslashes and line ends cannot be sent")
    return f'"{value}"'


def _unquoted(reply: str) -> str:
    if len(reply) < 2 or not (reply[0] == reply[-1] == '"'):
        raise ValueError(reply)
    return re.sub(r"\\(.)", r"\1", reply[1:-1])


def _show(name: str, doc: str, cast: Any = float) -> Any:
    return Instrument.measurement(f"(param-ref '{name})", doc, cast=cast, maxsplit=0)


def _set(name: str, doc: str, **how: Any) -> Any:
    return Instrument.control(
        f"(param-ref '{name})", f"(param-set! '{name} %s)", doc, check_set_errors=True, **how
    )


def _set_real(name: str, doc: str) -> Any:
    return _set(name, doc, set_process=_real)


_FLAG: dict[str, Any] = {"values": {True: "#t", False: "#f"}, "map_values": True}


def _show_flag(name: str, doc: str) -> Any:
    return Instrument.measurement(f"(param-ref '{name})", doc, **_FLAG)


def _set_flag(name: str, doc: str) -> Any:
    return _set(name, doc, **_FLAG)


class TopticaDlcPro(LabInstrument):
    """One controller with a CTL head. Wavelengths are vacuum values in nm, powers mW.

    Args:
        adapter: the connection; the command line listens on TCP port 1998 (with a greeting) and
            on USB, a serial line (without).
        name: the name in the bench file.
        piezo_gain: frequency change per piezo voltage in GHz/V, used by `shift_frequency`.
    """

    FRAMING = Framing(read=b"\n", prompt=b"> ", banner=b"\n> ", timeout=5.0)
    IDENTITY = "DLC pro"
    SETTINGS = (
        "wavelength",
        "emission",
        "current",
        "current_clip",
        "piezo_enabled",
        "piezo_voltage",
        "feedforward",
        "feedforward_factor",
        "temperature_setpoint",
        "scan_enabled",
        "power",
        "firmware",
    )

    firmware = _show("fw-ver", "Get the firmware version (str).", _unquoted)
    serial_number = _show("serial-number", "Get the serial number (str).", _unquoted)
    uptime = _show("uptime", "Get the time since switch-on in s (int).", int)
    health = _show("system-health", "Get the health bits of the system, 0 is good (int).", int)
    label = _set(
        "system-label",
        "Control the label of the controller (str).",
        set_process=_string,
        cast=_unquoted,
        maxsplit=0,
    )

    interlock_open = _show_flag("interlock-open", "Get whether the interlock is open (bool).")
    key_locked = _show_flag("frontkey-locked", "Get whether the front key is locked (bool).")
    button_enabled = _show_flag(
        "emission-button-enabled", "Get whether the emission button is on (bool)."
    )
    laser_enabled = _show_flag("laser1:enabled", "Get whether the laser is enabled (bool).")
    emitting = _show_flag("emission", "Get whether light leaves the head (bool).")
    _current_enabled = _set_flag("laser1:dl:cc:enabled", "Control the current driver (bool).")

    _wavelength_set = _set_real("laser1:ctl:wavelength-set", "Control the set point in nm.")
    actual_wavelength = _show(
        "laser1:ctl:wavelength-act", "Get the wavelength of the motor in nm (float)."
    )
    _wavelength_min = _show("laser1:ctl:wavelength-min", "Get the shortest wavelength in nm.")
    _wavelength_max = _show("laser1:ctl:wavelength-max", "Get the longest wavelength in nm.")
    state = _show("laser1:ctl:state", "Get the state of the head, 0 is idle (int).", int)
    state_text = _show("laser1:ctl:state-txt", "Get the state of the head (str).", _unquoted)
    power = _show("laser1:ctl:power:power-act", "Get the optical power in mW (float).")
    head_temperature = _show(
        "laser1:ctl:head-temperature", "Get the temperature of the head in degC (float)."
    )

    current = _set_real("laser1:dl:cc:current-set", "Control the diode current in mA (float).")
    actual_current = _show("laser1:dl:cc:current-act", "Get the diode current in mA (float).")
    current_clip = _show("laser1:dl:cc:current-clip", "Get the current limit in mA (float).")
    feedforward = _set_flag(
        "laser1:dl:cc:feedforward-enabled", "Control whether the current follows the piezo (bool)."
    )
    feedforward_factor = _set_real(
        "laser1:dl:cc:feedforward-factor", "Control the feed-forward in mA/V (float)."
    )
    piezo_enabled = _set_flag("laser1:dl:pc:enabled", "Control the piezo output (bool).")
    piezo_voltage = _set_real("laser1:dl:pc:voltage-set", "Control the piezo voltage in V (float).")
    actual_piezo_voltage = _show("laser1:dl:pc:voltage-act", "Get the piezo voltage in V (float).")
    temperature_setpoint = _set_real(
        "laser1:dl:tc:temp-set", "Control the diode temperature in degC (float)."
    )
    temperature = _show("laser1:dl:tc:temp-act", "Get the diode temperature in degC (float).")
    scan_enabled = _set_flag("laser1:scan:enabled", "Control the piezo scan (bool).")
    scan_frequency = _set_real("laser1:scan:frequency", "Control the scan frequency in Hz (float).")
    scan_amplitude = _set_real("laser1:scan:amplitude", "Control the scan width in V (float).")
    scan_offset = _set_real("laser1:scan:offset", "Control the scan centre in V (float).")
    wide_scan_progress = _show("laser1:wide-scan:progress", "Get the progress in % (int).", int)
    _scan_begin = _set_real("laser1:wide-scan:scan-begin", "Control the first wavelength in nm.")
    _scan_end = _set_real("laser1:wide-scan:scan-end", "Control the last wavelength in nm.")
    _scan_speed = _set_real("laser1:wide-scan:speed", "Control the speed in nm/s.")

    def __init__(
        self, adapter: Any, name: str = "laser", piezo_gain: float = 2.0, **kwargs: Any
    ) -> None:
        super().__init__(adapter, name, **kwargs)
        if not piezo_gain > 0:
            raise RequestError(f"{name}: piezo_gain must be positive (GHz/V), got {piezo_gain!r}")
        self.piezo_gain = piezo_gain
        self._range: tuple[float, float] | None = None
        self._command = ""

    # ---------------------------------------------------------------- exchanges

    def ask(self, command: str, query_delay: float | None = None, **kwargs: Any) -> str:
        """Send an expression and return its value; an `Error:` answer raises InstrumentError."""
        if isinstance(self.adapter, ByteAdapter) and not query_delay:
            reply = self.adapter.query(command, **kwargs)
        else:
            reply = super().ask(command, query_delay, **kwargs)
        return self._checked(command, reply)

    def write(self, command: str, **kwargs: Any) -> None:
        self._command = command
        super().write(command, **kwargs)

    def _checked(self, command: str, reply: str) -> str:
        """The reply without line ends; raises InstrumentError if it is an error."""
        text = reply.strip()
        if text[:5].lower() == "error":
            code = re.match(r"error:?\s*(-?\d+)", text, re.IGNORECASE)
            remedy = REMEDIES.get(int(code.group(1)) if code else 0, "check name, value and level")
            raise InstrumentError(f"{self.name}: {command} was answered with {text!r}: {remedy}")
        return text

    def check_set_errors(self) -> list[Any]:
        """Read the status of the last `param-set!`; anything but 0 raises InstrumentError."""
        command = self._command
        lines = self._checked(command, self.read()).splitlines()
        try:
            status = int(lines[-1])
        except (IndexError, ValueError):
            raise InstrumentError(
                f"{self.name}: {command} was answered with {lines!r}, not a status; "
                "check the connection, then read the value back"
            ) from None
        if status < 0:
            remedy = REMEDIES.get(status, "check value and user level")
            raise InstrumentError(f"{self.name}: {command} was refused, status {status}: {remedy}")
        if status > 0:
            parameter = command.split()[1]
            holds = self.ask(f"(param-ref {parameter})")
            raise InstrumentError(
                f"{self.name}: {command} was clipped to {holds} (status {status}); "
                "ask for a value within the limits"
            )
        return []

    def execute(self, command: str, *arguments: str) -> str:
        """Run a command of the controller, such as `laser1:wide-scan:stop`; returns its value."""
        text = " ".join((f"(exec '{command}", *arguments)) + ")"
        lines = self.ask(text).splitlines()
        return self._checked(text, lines[-1]) if lines else ""

    def identify(self) -> str:
        """System type, serial number and firmware."""
        system = _unquoted(self.ask("(param-ref 'system-type)"))
        return f"{system}, {self.serial_number}, firmware {self.firmware}"

    # ---------------------------------------------------------------- wavelength

    @property
    def wavelength_range(self) -> tuple[float, float]:
        """Get the shortest and longest wavelength in nm, asked once."""
        if self._range is None:
            self._range = (self._wavelength_min, self._wavelength_max)
        return self._range

    @property
    def wavelength(self) -> float:
        """Control the set point of the wavelength in nm; see `tune` for waiting."""
        return float(self._wavelength_set)

    @wavelength.setter
    def wavelength(self, nm: float) -> None:
        self._require_wavelength(nm)
        self._wavelength_set = nm

    def _require_wavelength(self, nm: float) -> None:
        shortest, longest = self.wavelength_range
        if not shortest <= nm <= longest:
            raise RequestError(
                f"{self.name}: wavelength {nm!r} nm is outside {shortest:g} to {longest:g} nm"
            )

    def tune(self, nm: float, timeout: float = 60.0, tolerance: float = 2e-4) -> None:
        """Move to a wavelength (nm) and return when the head is idle there.

        Args:
            nm: the wavelength.
            timeout: s that the move may take.
            tolerance: nm that the head's own reading may differ from it afterwards.

        Raises:
            TransportTimeout: the head still moves after `timeout` s.
            InstrumentError: it stopped elsewhere, reports an error or is remote controlled.
        """
        self.wavelength = nm
        deadline = self.clock.now() + timeout
        while True:
            state = self.state
            actual = self.actual_wavelength
            if state == 0 and abs(actual - nm) <= tolerance:
                return
            if state in (-100, 6):
                raise InstrumentError(
                    f"{self.name}: cannot tune to {nm:g} nm, the head is in state {state} "
                    f"({self.state_text}); clear the error or the remote control first"
                )
            if self.clock.now() >= deadline:
                where = f"at {actual:g} nm instead of {nm:g} nm after {timeout:g} s"
                if state == 0:
                    raise InstrumentError(f"{self.name}: idle {where}; check the calibration")
                raise TransportTimeout(
                    f"{self.name}: still in state {state} ({self.state_text}) {where}; "
                    "allow a longer timeout"
                )
            self.clock.sleep(POLL)

    def shift_frequency(self, ghz: float) -> None:
        """Shift the optical frequency (GHz) with the piezo, by its nominal gain."""
        self.piezo_voltage = self.piezo_voltage + ghz / self.piezo_gain

    def start_wide_scan(self, begin: float, end: float, speed: float) -> None:
        """Start to sweep the wavelength (nm) at a speed (nm/s); `state` is 0 when it is over."""
        self._require_wavelength(begin)
        self._require_wavelength(end)
        self._scan_begin, self._scan_end, self._scan_speed = begin, end, speed
        self.execute("laser1:wide-scan:start")

    def stop_wide_scan(self) -> None:
        """Stop the sweep where it is."""
        self.execute("laser1:wide-scan:stop")

    # ---------------------------------------------------------------- emission

    @property
    def emission(self) -> bool:
        """Control emission through the current driver (bool); setting verifies the light.

        Raises:
            InstrumentError: no light although asked, with the reason; or light although not.
        """
        return bool(self._current_enabled)

    @emission.setter
    def emission(self, on: bool) -> None:
        on = bool(on)
        reasons = self._reasons() if on else []
        if not reasons:
            self._current_enabled = on
            deadline = self.clock.now() + SWITCHING
            while self.emitting != on and self.clock.now() < deadline:
                self.clock.wait(POLL)
            if self.emitting == on:
                return
            reasons = self._reasons() if on else ["emission continues; turn the key"]
            if on:  # closing an interlock later must not start the laser
                self._current_enabled = False
        wanted = "on" if on else "off"
        why = ", ".join(reasons) or "no reason given by the controller"
        raise InstrumentError(f"{self.name}: emission cannot be switched {wanted}: {why}")

    def _reasons(self) -> list[str]:
        """What keeps the head dark, apart from the current driver."""
        return [
            reason
            for reason, holds in (
                ("the interlock is open", self.interlock_open),
                ("the front key is locked", self.key_locked),
                ("the emission button is off", not self.button_enabled),
                ("laser1:enabled is off", not self.laser_enabled),
            )
            if holds
        ]

    def make_safe(self) -> None:
        """Switch the emission off and verify that it is."""
        self.emission = False
