"""Serial ports, through pyserial (which also opens `socket://` and pseudo-terminals)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

from labctl.errors import ConnectionLost, RequestError, nearest


def _flag(text: str) -> bool:
    if text.lower() not in ("1", "0", "true", "false", "on", "off"):
        raise ValueError(text)
    return text.lower() in ("1", "true", "on")


#: What may stand behind "?" in a serial address.
OPTIONS: dict[str, Callable[[str], Any]] = {
    "baudrate": int,
    "bytesize": int,
    "parity": str,
    "stopbits": float,
    "xonxoff": _flag,
    "rtscts": _flag,
    "dsrdtr": _flag,
    "exclusive": _flag,
}
#: Seconds within which the far end must take what is sent, if it controls the flow.
SEND_TIMEOUT = 30.0


class SerialTransport:
    """A byte pipe over a serial port; 9600 8N1 unless the options say otherwise."""

    def __init__(self, port: str, options: Mapping[str, str]) -> None:
        import serial

        self._error = serial.SerialException
        self._port = port
        self._coarse = "://" in port  # only says whether there is something, not how much
        try:
            self._serial = serial.serial_for_url(
                port, timeout=0.0, write_timeout=SEND_TIMEOUT, **_parse(port, options)
            )
        except ValueError as error:
            raise RequestError(f"serial port {port}: {error}") from error
        except (OSError, serial.SerialException) as error:
            raise ConnectionLost(
                f"cannot open serial port {port} ({_reason(error)}); "
                "check the cable, the port's name and your rights, and that no other program "
                "holds it"
            ) from error

    def send(self, data: bytes) -> None:
        try:
            self._serial.write(data)
        except (OSError, self._error, TypeError, ValueError) as error:
            raise self._lost(error) from error

    def receive(self, timeout: float) -> bytes:
        try:
            self._patience(max(timeout, 0.0))
            first = self._serial.read(1)
            return bytes(first) + self._rest() if first else b""
        except (OSError, self._error, TypeError, ValueError) as error:
            raise self._lost(error) from error

    def _rest(self) -> bytes:
        """What has arrived behind the first byte."""
        waiting = self._serial.in_waiting
        if waiting and self._coarse:
            self._patience(0.0)
            waiting = 1 << 16
        return bytes(self._serial.read(waiting)) if waiting else b""

    def _patience(self, timeout: float) -> None:
        if self._serial.timeout != timeout:  # to set it is slow: pyserial configures the port anew
            self._serial.timeout = timeout

    def close(self) -> None:
        self._serial.close()

    def _lost(self, error: Exception) -> ConnectionLost:
        return ConnectionLost(f"serial port {self._port} broke ({_reason(error)})")


def _parse(port: str, options: Mapping[str, str]) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for name, text in options.items():
        if name not in OPTIONS:
            raise RequestError(
                f"serial port {port}: unknown option {name!r}{nearest(name, OPTIONS)}; "
                f"there are {', '.join(OPTIONS)}"
            )
        try:
            parsed[name] = OPTIONS[name](text)
        except ValueError:
            raise RequestError(f"serial port {port}: {name} cannot be {text!r}") from None
    return parsed


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else " ".join(str(error).split())
