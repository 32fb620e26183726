"""Base of drivers over a vendor's shared library, real, simulated or replayed."""

from __future__ import annotations

from typing import Any, ClassVar

from labctl.adapter import ByteAdapter, Framing
from labctl.errors import InstrumentError, RequestError
from labctl.instrument.base import LabInstrument
from labctl.transport.calls import decode_result, encode_call


class LibraryInstrument(LabInstrument):
    """An instrument that is spoken to by calls (see `labctl.transport.calls`).

    On hardware its address is `lib://package.module:Class?option=value`: a class around the
    vendor's library whose methods take and return numbers, texts, lists and arrays.
    """

    FRAMING: ClassVar[Framing] = Framing(timeout=10.0)

    def call(self, function: str, *arguments: Any, timeout: float | None = None) -> Any:
        """Call a function of the library and return its result.

        Args:
            function: its name.
            *arguments: numbers, texts, lists or arrays.
            timeout: seconds to wait for the result, if it may take longer than others.

        Raises:
            InstrumentError: the call failed, or the answer makes no sense.
        """
        adapter = self.adapter
        if not isinstance(adapter, ByteAdapter):
            raise RequestError(
                f"{self.name}: calls need labctl's own adapter; give an address lib://..."
            )
        line = encode_call(function, *arguments)[:-1].decode("ascii")
        reply = adapter.query(line, timeout)
        try:
            result, failure = decode_result(reply)
        except ValueError:
            raise self._nonsense(function, reply, "a result") from None
        if failure is not None:
            raise InstrumentError(f"{self.name}: {function} failed: {failure}")
        return result
