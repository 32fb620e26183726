"""One JSON object per line, lossless and with a checksum: the form of a journal entry.

The last member of a line is `"crc":"xxxxxxxx"`, the CRC-32 of the bytes of the line before
`,"crc"`. What JSON cannot say has an encoding of its own: `{"$float":"nan"}`, `"inf"`, `"-inf"`;
`{"$int":"0x..."}` beyond 64 bits; `{"$utf8":"..."}` (hex) for text that is not valid Unicode;
`{"$object":{...}}` around an object with a key that begins with `$`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any
from zlib import crc32

import numpy as np
import orjson
from orjson import dumps

_DOLLAR = ord("$")
#: Bytes of `,"crc":"xxxxxxxx"}` and a newline.
_SUFFIX = 19
_CRC = re.compile(rb',"crc":"([0-9a-f]{8})"\}')
_START = re.compile(rb'\{"')
#: Starts tried in one damaged line before giving it up.
_TRIES = 1000


def encode(entry: Mapping[str, Any]) -> bytes:
    """Return the line of an entry, checksum and newline included.

    Raises:
        TypeError: a key is not text, or a value has no JSON form.
        ValueError: the entry is empty or has a member "crc".
    """
    if not entry or "crc" in entry:
        raise ValueError('an entry needs at least one member, and "crc" is taken')
    body = to_json(entry)[:-1]
    return b'%b,"crc":"%08x"}\n' % (body, crc32(body))


def encode_plain(entry: Mapping[str, Any]) -> bytes:
    """Return the line of an entry that JSON can say as it is, or b"" where `encode` is needed."""
    try:
        data = dumps(entry)
    except TypeError:
        return b""
    if _DOLLAR in data or data.find(b"null") >= 0:  # the quickest of several ways to ask
        return b""
    body = data[:-1]
    return b'%b,"crc":"%08x"}\n' % (body, crc32(body))


def decode(line: bytes) -> dict[str, Any] | None:
    """Return the entry of one whole line, newline included, or None if it is damaged."""
    body = line[:-_SUFFIX]
    if line[-_SUFFIX:] != b',"crc":"%08x"}\n' % crc32(body):
        return None
    try:
        entry = from_json(body + b"}")
    except (ValueError, TypeError, AttributeError):
        return None
    return entry if isinstance(entry, dict) else None


def to_json(value: Any) -> bytes:
    """Return a value as JSON, to the last bit, with the `$` encodings where JSON has none.

    Raises:
        TypeError: a key is not text, or a value has no JSON form.
    """
    try:
        data = orjson.dumps(value, default=_default)
    except TypeError:
        data = b"null"  # something unusual, told apart below
    # A null may be a NaN, and a text that begins with $ may look like an encoding of ours.
    if _DOLLAR in data or data.find(b"null") >= 0:  # the quickest of several ways to ask
        data = orjson.dumps(_plain(value), default=_default)
    return data


def from_json(data: bytes) -> Any:
    """Undo `to_json`."""
    value = orjson.loads(data)
    return _restore(value) if _DOLLAR in data else value


def salvage(line: bytes) -> list[tuple[int, int, dict[str, Any]]]:
    """Return (start, end, entry) of the intact entries inside a line, wherever they start."""
    found: list[tuple[int, int, dict[str, Any]]] = []
    position = 0
    tries = _TRIES
    for match in _CRC.finditer(line):
        for start in _START.finditer(line, position, match.start()):
            tries -= 1
            if tries < 0:
                return found
            entry = decode(line[start.start() : match.end()] + b"\n")
            if entry is not None:
                found.append((start.start(), match.end(), entry))
                position = match.end()
                break
    return found


def _default(value: Any) -> Any:
    """Turn what orjson does not know into what it knows; floats keep every bit."""
    if isinstance(value, float):  # numpy's float64 above all
        return float(value)
    if isinstance(value, np.generic | np.ndarray):
        if value.dtype.kind in "biuU" or (value.dtype.kind == "f" and value.dtype.itemsize <= 8):
            return value.tolist()
    elif isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} {value!r:.60} has no JSON form")


def _plain(value: Any) -> Any:
    """Return the value with everything JSON cannot say in its `$` encoding."""
    if isinstance(value, np.generic | np.ndarray):
        value = _default(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else {"$float": repr(float(value))}
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else {"$int": hex(value)}
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return {"$utf8": value.encode("utf-8", "surrogatepass").hex()}
        return value
    if isinstance(value, Mapping):
        if wrong := [key for key in value if not isinstance(key, str)]:
            raise TypeError(f"key {wrong[0]!r} is not text")
        plain = {key: _plain(inner) for key, inner in value.items()}
        return {"$object": plain} if any(key[:1] == "$" for key in plain) else plain
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def _restore(value: Any) -> Any:
    """Undo `_plain`."""
    if isinstance(value, list):
        return [_restore(inner) for inner in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        ((key, inner),) = value.items()
        if key == "$float":
            return float(inner)
        if key == "$int":
            return int(inner, 16)
        if key == "$utf8":
            return bytes.fromhex(inner).decode("utf-8", "surrogatepass")
        if key == "$object":
            return {name: _restore(item) for name, item in inner.items()}
    return {key: _restore(inner) for key, inner in value.items()}
