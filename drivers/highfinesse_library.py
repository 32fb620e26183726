"""The vendor's library of HighFinesse wavelength meters, wlmData, with Python types.

On Windows the library belongs to the meter's program; elsewhere the vendor's libwlmData.so speaks
to a program on another computer. Functions keep the vendor's names. What they give through
pointers comes behind their own result, in a list.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from ctypes import c_bool, c_double, c_int32, c_uint16, c_void_p
from typing import Any

from labctl.errors import ConnectionLost

LONGEST = 1024  # bytes of a text that the library gives, as the vendor prescribes


class _Out:
    """An argument through which a function gives a value."""

    def __init__(self, kind: Any) -> None:
        self.kind = kind


_I, _D, _U, _B = c_int32, c_double, c_uint16, c_bool
_TEXT, _OUT_I, _OUT_D, _OUT_TEXT = str, _Out(c_int32), _Out(c_double), _Out(str)

#: Result and arguments, after the vendor's own binding of 2024: 32-bit integers everywhere.
FUNCTIONS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "GetWLMCount": (_I, (_I,)),
    "GetWLMVersion": (_I, (_I,)),
    "GetWLMIndex": (_I, (_I,)),
    "PresetWLMIndex": (_I, (_I,)),
    "Instantiate": (c_void_p, (_I, _I, c_void_p, _I)),
    "ControlWLMEx": (_I, (_I, c_void_p, _I, _I, _I)),
    "Operation": (_I, (_U,)),
    "GetOperationState": (_U, (_U,)),
    "GetFrequencyNum": (_D, (_I, _D)),
    "GetWavelengthNum": (_D, (_I, _D)),
    "GetPowerNum": (_D, (_I, _D)),
    "GetTemperature": (_D, (_D,)),
    "GetPressure": (_D, (_D,)),
    "GetChannelsCount": (_I, (_I,)),
    "GetSwitcherMode": (_I, (_I,)),
    "SetSwitcherMode": (_I, (_I,)),
    "GetSwitcherSignalStates": (_I, (_I, _OUT_I, _OUT_I)),
    "SetSwitcherSignalStates": (_I, (_I, _I, _I)),
    "GetActiveChannel": (_I, (_I, _OUT_I, _I)),
    "SetActiveChannel": (_I, (_I, _I, _I, _I)),
    "GetExposureNum": (_I, (_I, _I, _I)),
    "SetExposureNum": (_I, (_I, _I, _I)),
    "GetExposureModeNum": (_B, (_I, _B)),
    "SetExposureModeNum": (_I, (_I, _B)),
    "GetDeviationMode": (_B, (_B,)),
    "SetDeviationMode": (_I, (_B,)),
    "GetDeviationSignalNum": (_D, (_I, _D)),
    "SetDeviationSignalNum": (_I, (_I, _D)),
    "GetPIDCourseNum": (_I, (_I, _OUT_TEXT)),
    "SetPIDCourseNum": (_I, (_I, _TEXT)),
    "GetPIDSetting": (_I, (_I, _I, _OUT_I, _OUT_D)),
    "SetPIDSetting": (_I, (_I, _I, _I, _D)),
    "ClearPIDHistory": (_I, (_I,)),
}


class WlmData:
    """The loaded library; its functions are attributes.

    Args:
        path: of the library; by default where the vendor's installer puts it.
    """

    def __init__(self, path: str = "") -> None:
        windows = sys.platform == "win32"
        path = path or ("wlmData.dll" if windows else "libwlmData.so")
        load: Callable[[str], Any] = getattr(ctypes, "WinDLL") if windows else ctypes.CDLL  # noqa: B009
        try:
            library = load(path)
        except OSError as error:
            raise ConnectionLost(
                f"the library {path} cannot be loaded ({' '.join(str(error).split())}); install "
                "the wavelength meter's software, or write lib://...:WlmData?path=FILE"
            ) from error
        for name, (result, arguments) in FUNCTIONS.items():
            function = getattr(library, name, None)
            if function is not None:  # older versions lack some
                setattr(self, name, _wrapped(function, result, arguments))


def _wrapped(function: Any, result: Any, arguments: tuple[Any, ...]) -> Callable[..., Any]:
    """A function that takes and gives Python values."""
    function.restype = result
    function.argtypes = [_pointer(kind) for kind in arguments]
    needed = sum(not isinstance(kind, _Out) for kind in arguments)

    def call(*values: Any) -> Any:
        if len(values) != needed:
            raise TypeError(f"{needed} arguments are needed, {len(values)} were given")
        rest, passed, outs = iter(values), [], []
        for kind in arguments:
            if not isinstance(kind, _Out):
                value = next(rest)
                passed.append(value.encode("ascii") if kind is str else value)
                continue
            out = ctypes.create_string_buffer(LONGEST) if kind.kind is str else kind.kind()
            outs.append(out)
            passed.append(out if kind.kind is str else ctypes.byref(out))
        returned = function(*passed)
        if not outs:
            return returned
        given = [out.value for out in outs]
        return [returned, *(g.decode("latin-1") if isinstance(g, bytes) else g for g in given)]

    return call


def _pointer(kind: Any) -> Any:
    """What ctypes passes for an argument."""
    if isinstance(kind, _Out):
        return ctypes.c_char_p if kind.kind is str else ctypes.POINTER(kind.kind)
    return ctypes.c_char_p if kind is str else kind
