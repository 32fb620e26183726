"""VISA resources, through pyvisa: an installed vendor library, else pyvisa-py."""

from __future__ import annotations

from typing import Any

from labctl.clock import Clock
from labctl.errors import ConnectionLost

CHUNK = 1 << 16


def resource_manager() -> Any:
    """The VISA library of the machine, or pyvisa-py if there is none."""
    import pyvisa

    try:
        return pyvisa.ResourceManager("@ivi")
    except (OSError, ValueError):
        return pyvisa.ResourceManager("@py")


class VisaTransport:
    """A byte pipe over a VISA resource.

    Byte streams (sockets, serial) deliver what has arrived; message based buses (GPIB, USBTMC,
    HiSLIP, VXI-11) deliver one message at a time.
    """

    def __init__(self, resource: str, clock: Clock) -> None:
        import pyvisa

        self._name = resource
        self._clock = clock
        self._error = pyvisa.Error
        self._timed_out = pyvisa.constants.StatusCode.error_timeout
        try:
            self._resource = resource_manager().open_resource(resource)
        except (pyvisa.Error, OSError, ValueError, AttributeError) as error:
            raise ConnectionLost(
                f"cannot open VISA resource {resource} ({_reason(error)}); check that the "
                "instrument is on, its resource name, and that a VISA library knows this bus"
            ) from error
        self._stream = resource.upper().endswith("::SOCKET") or resource.upper().startswith("ASRL")
        if self._stream:
            self._resource.read_termination = None

    def send(self, data: bytes) -> None:
        try:
            self._resource.write_raw(data)
        except (self._error, OSError) as error:
            raise self._lost(error) from error

    def receive(self, timeout: float) -> bytes:
        raise NotImplementedError

    def close(self) -> None:
        self._resource.close()

    def _lost(self, error: Exception) -> ConnectionLost:
        return ConnectionLost(f"VISA resource {self._name} broke ({_reason(error)})")


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
