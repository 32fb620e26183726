"""VISA resources, through pyvisa: an installed vendor library, else pyvisa-py."""

from __future__ import annotations

from typing import Any

from labctl.errors import ConnectionLost, one_line


def resource_manager() -> Any:
    """The VISA library of the machine, or pyvisa-py if there is none."""
    import pyvisa

    try:
        return pyvisa.ResourceManager("@ivi")
    except (OSError, ValueError):  # no library, or none that can be loaded
        return pyvisa.ResourceManager("@py")


class VisaTransport:
    """A pipe over a VISA resource.

    Serial ports deliver what has arrived. Message based buses (GPIB, USBTMC, HiSLIP, VXI-11)
    deliver one whole message at a time; if it lacks the line end that the bus makes unnecessary,
    it gets one here. Sockets do not come here: `opening` gives them a TCP transport.
    """

    def __init__(self, resource: str) -> None:
        import pyvisa

        self._name = resource
        self._error = pyvisa.Error
        self._timed_out = pyvisa.constants.StatusCode.error_timeout
        try:
            self._resource = resource_manager().open_resource(resource)
        except Exception as error:  # pyvisa-py raises plain Exception for what it cannot reach
            raise ConnectionLost(
                f"cannot open VISA resource {resource} ({one_line(error)}); check that the "
                "instrument is on, its resource name, and that a VISA library knows this bus"
            ) from error
        self._serial = resource.upper().startswith("ASRL")
        if not self._serial:
            self.clear = self._clear
        self._timeout = -1.0

    def send(self, data: bytes) -> None:
        try:
            self._resource.write_raw(data)
        except (self._error, OSError) as error:
            raise self._lost(error) from error

    def receive(self, timeout: float) -> bytes:
        try:
            if timeout <= 0.0:
                return self.arrived()
            if timeout != self._timeout:
                self._timeout = timeout
                self._resource.timeout = max(1.0, timeout * 1000.0)  # ms
            if self._serial:
                first = self._resource.read_bytes(1)
                return bytes(first) + self.arrived()
            message = bytes(self._resource.read_raw())
        except (self._error, OSError) as error:
            if getattr(error, "error_code", None) == self._timed_out:
                return b""
            raise self._lost(error) from error
        return message if message.endswith(b"\n") else message + b"\n"

    def arrived(self) -> bytes:
        """Return what has arrived; a message based bus has nothing to say unless it is asked."""
        try:
            waiting = self._resource.bytes_in_buffer if self._serial else 0
            return bytes(self._resource.read_bytes(waiting)) if waiting else b""
        except (self._error, OSError) as error:
            raise self._lost(error) from error

    def _clear(self) -> None:
        """Clear the device: it forgets the question and drops its answer."""
        try:
            self._resource.clear()
        except (self._error, OSError) as error:
            raise self._lost(error) from error

    def close(self) -> None:
        self._resource.close()

    def _lost(self, error: Exception) -> ConnectionLost:
        return ConnectionLost(f"VISA resource {self._name} broke ({one_line(error)})")
