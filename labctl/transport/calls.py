"""Vendors' shared libraries as instruments: a call is a line out, its result a line back.

What goes on behind such a library is private to its maker, so the seam is the call. As lines of
bytes, calls are recorded, replayed, simulated and disturbed as everything else:

    ["GetFrequencyNum",1,0.0]
    {"result":193.4145}
    {"error":"ValueError: no channel 9"}

Arguments and results are what JSON can say, and arrays: `{"array":"<i8","shape":[3],"data":...}`
with the bytes in base64.
"""

from __future__ import annotations

import importlib
import inspect
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any

import numpy as np

from labctl.errors import ConnectionLost, LabError, RequestError, nearest, why_not_imported

Call = tuple[str, list[Any]]


def encode_call(name: str, *arguments: Any) -> bytes:
    """The line that says a call, with its end."""
    return _line([name, *arguments])


def decode_call(line: bytes) -> Call:
    """Name and arguments of a call; ValueError for anything else."""
    try:
        said = _DECODER.decode(_text(line))
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, list) or not said or not isinstance(said[0], str):
        raise ValueError(f"{line[:60]!r} is no call")
    return said[0], said[1:]


def encode_result(result: Any) -> bytes:
    """The line that answers a call which returned."""
    return _line({"result": result})


def encode_failure(text: str) -> bytes:
    """The line that answers a call which failed."""
    return _line({"error": text})


def decode_result(line: str | bytes) -> tuple[Any, str | None]:
    """What a call returned, and None; or None, and why it failed; ValueError for anything else."""
    try:
        said = _DECODER.decode(_text(line))
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if isinstance(said, dict) and said.keys() == {"result"}:
        return said["result"], None
    if isinstance(said, dict) and said.keys() == {"error"}:
        return None, str(said["error"])
    raise ValueError("neither a result nor an error")


def answer(call: Callable[[str, list[Any]], Any], line: bytes) -> bytes:
    """Execute one line with `call(name, arguments)`; whatever goes wrong becomes its answer."""
    try:
        return encode_result(call(*decode_call(line)))
    except Exception as error:  # a vendor's library raises what it likes
        kind = "" if isinstance(error, LabError) else f"{type(error).__name__}: "
        return encode_failure(" ".join(f"{kind}{error}".split()))


class LibraryTransport:
    """A library in this process: calls are made when they are sent.

    Args:
        library: an object whose public methods are the functions that may be called.
    """

    def __init__(self, library: Any) -> None:
        self._library = library
        self._pending = b""
        self._answers = b""
        self._closed = False

    def send(self, data: bytes) -> None:
        if self._closed:
            raise ConnectionLost("the library is closed")
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            self._answers += answer(self._call, line)

    def _call(self, name: str, arguments: list[Any]) -> Any:
        function = None if name.startswith("_") else getattr(self._library, name, None)
        if not callable(function):
            public = [n for n in dir(self._library) if not n.startswith("_")]
            raise RequestError(f"the library has no function {name!r}{nearest(name, public)}")
        return function(*arguments)

    def receive(self, timeout: float) -> bytes:
        answers, self._answers = self._answers, b""
        return answers

    def close(self) -> None:
        """Forget the library, which hears of it if it has a method `close`."""
        if not self._closed:
            self._closed = True
            close = getattr(self._library, "close", None)
            if callable(close):
                close()


def library_opener(address: str, target: str, options: dict[str, str]) -> Callable[[], Any]:
    """A function that loads "package.module:Class" with `options` and gives a transport to it.

    Raises:
        RequestError: there is no such class, or it takes no such options.
    """
    module_name, colon, attribute = target.partition(":")
    if not colon or not module_name or not attribute:
        raise RequestError(
            f"address {address!r} names no class; write lib://package.module:Class?option=value"
        )
    try:
        module = importlib.import_module(module_name)
    except Exception as error:  # whatever somebody's module does when it is imported
        raise RequestError(f"address {address!r}: {why_not_imported(error)}") from None
    cls = getattr(module, attribute, None)
    if not isinstance(cls, type):
        hint = nearest(attribute, vars(module))
        raise RequestError(f"address {address!r}: {module_name} has no class {attribute!r}{hint}")
    try:
        inspect.signature(cls).bind(**options)
    except TypeError as error:
        raise RequestError(f"address {address!r}: {attribute}: {error}") from None

    def open_library() -> LibraryTransport:
        try:
            return LibraryTransport(cls(**options))
        except LabError:
            raise
        except Exception as error:  # of the vendor's code: no such file, no such device
            why = " ".join(f"{type(error).__name__}: {error}".split())
            raise ConnectionLost(f"the library {address} cannot be loaded ({why})") from error

    return open_library


def _line(said: Any) -> bytes:
    return _ENCODER.encode(said).encode("ascii") + b"\n"


def _text(line: str | bytes) -> str:
    return line if isinstance(line, str) else line.decode("utf-8")


def _plain(value: Any) -> Any:
    """What JSON can say of a value that it does not know."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        little = np.ascontiguousarray(value, value.dtype.newbyteorder("<"))
        return {
            "array": little.dtype.str,
            "shape": list(value.shape),
            "data": b64encode(little.tobytes()).decode("ascii"),
        }
    raise TypeError(f"{type(value).__name__} cannot be passed on; use numbers, texts and arrays")


def _restored(said: dict[str, Any]) -> Any:
    if said.keys() != {"array", "shape", "data"}:
        return said
    try:
        dtype = np.dtype(str(said["array"]))
        if dtype.kind not in "biuf":
            raise ValueError("not a kind of number")
        return np.frombuffer(b64decode(said["data"]), dtype).reshape(said["shape"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"a damaged array ({error})") from None


_ENCODER = json.JSONEncoder(default=_plain, separators=(",", ":"))
_DECODER = json.JSONDecoder(object_hook=_restored)
