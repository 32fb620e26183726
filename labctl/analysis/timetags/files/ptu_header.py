"""The header of PicoQuant's unified TTTR files (PTU): tags of 48 bytes with payloads.

Layout: "PicoQuant unified TTTR file format". Little-endian; after an 8-byte magic and an 8-byte
version come tags (name, index, type, value), until one is called Header_End.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, BinaryIO

import numpy as np

MAGIC = b"PQTTTR\0\0"
END = "Header_End"
_TAG = struct.Struct("<32siI8s")
_EMPTY, _BOOL, _INT, _BITS, _COLOUR = 0xFFFF0008, 0x00000008, 0x10000008, 0x11000008, 0x12000008
_FLOAT, _TIME, _FLOATS = 0x20000008, 0x21000008, 0x2001FFFF
_TEXT, _WIDE, _BLOB = 0x4001FFFF, 0x4002FFFF, 0xFFFFFFFF
_EPOCH = datetime(1899, 12, 30)
#: No instrument writes more tags; a file of anything else may seem to.
_MOST_TAGS = 100_000


def read_header(file: BinaryIO, size: int) -> tuple[dict[str, Any], int]:
    """Return every tag by name, arrays as lists, and the offset of the first record.

    Args:
        file: open for reading, at its start.
        size: bytes in the file; no payload is believed to be longer.

    Raises:
        ValueError: this is no PTU file, or its header breaks off; the text names the offset.
    """
    magic = file.read(16)[:8]
    if magic != MAGIC:
        raise ValueError(f"begins with {magic!r}, not with {MAGIC!r}, so it is no PTU file")
    found: dict[str, Any] = {}
    arrays: dict[str, dict[int, Any]] = {}
    offset = 16
    for _ in range(_MOST_TAGS):
        tag = file.read(_TAG.size)
        if len(tag) < _TAG.size:
            raise ValueError(f"the header breaks off at byte {offset}, before {END}")
        raw_name, index, kind, value = _TAG.unpack(tag)
        name = raw_name.split(b"\0")[0].decode("latin-1")
        offset += _TAG.size
        payload = b""
        if kind in _PAYLOADS:
            length = int.from_bytes(value, "little", signed=True)
            if not 0 <= length <= size - offset:
                raise ValueError(
                    f"header tag {name!r} at byte {offset - _TAG.size} is said to have {length} "
                    f"bytes of data; the file has {size - offset} more"
                )
            payload = file.read(length)
            offset += length
        if name == END:
            return found | {n: _as_list(items) for n, items in arrays.items()}, offset
        item = _PAYLOADS[kind](payload) if kind in _PAYLOADS else _value(kind, value)
        if index < 0:
            found[name] = item
        else:
            arrays.setdefault(name, {})[index] = item
    raise ValueError(f"more than {_MOST_TAGS} tags in the header, up to byte {offset}")


def write_header(entries: Mapping[str, Any]) -> bytes:
    """Return a header: int, float, bool, text, None and datetime values by name."""
    parts = [MAGIC, b"1.0.00\0\0"]
    for name, value in (*entries.items(), (END, None)):
        parts.append(_encoded(name, value))
    return b"".join(parts)


def offset_of_value(header: bytes, name: str) -> int:
    """Return where the 8-byte value of a tag is in a header that `write_header` made."""
    at = header.index(name.encode().ljust(32, b"\0"))
    return at + 40


def _encoded(name: str, value: Any) -> bytes:
    kind, raw, payload = _EMPTY, bytes(8), b""
    if isinstance(value, bool):
        kind, raw = _BOOL, struct.pack("<q", value)
    elif isinstance(value, int):
        kind, raw = _INT, struct.pack("<q", value)
    elif isinstance(value, float):
        kind, raw = _FLOAT, struct.pack("<d", value)
    elif isinstance(value, datetime):
        days = (value.replace(tzinfo=None) - _EPOCH) / timedelta(days=1)
        kind, raw = _TIME, struct.pack("<d", days)
    elif isinstance(value, str):
        text = value.encode("latin-1", "replace") + b"\0"
        payload = text.ljust(-(-len(text) // 8) * 8, b"\0")
        kind, raw = _TEXT, struct.pack("<q", len(payload))
    return _TAG.pack(name.encode("ascii"), -1, kind, raw) + payload


def _value(kind: int, value: bytes) -> Any:
    whole = int.from_bytes(value, "little", signed=True)
    number = struct.unpack("<d", value)[0]
    if kind == _BOOL:
        return whole != 0
    if kind == _FLOAT:
        return number
    if kind == _TIME:
        try:
            return _EPOCH + timedelta(days=number)
        except (OverflowError, ValueError):  # not a date; what it is instead is not ours to say
            return number
    return None if kind == _EMPTY else whole  # integers, and types that are not known yet


def _text(payload: bytes) -> str:
    text = payload.split(b"\0")[0]
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError:
        return text.decode("cp1252", "replace")


def _wide(payload: bytes) -> str:
    return payload.decode("utf-16-le", "replace").split("\0")[0]


def _floats(payload: bytes) -> list[float]:
    return list(np.frombuffer(payload[: len(payload) // 8 * 8], "<f8").tolist())


_PAYLOADS: dict[int, Callable[[bytes], Any]] = {
    _FLOATS: _floats,
    _TEXT: _text,
    _WIDE: _wide,
    _BLOB: bytes,
}


def _as_list(items: Mapping[int, Any]) -> Any:
    """Return values by index as a list; as they are if indices are missing."""
    if sorted(items) == list(range(len(items))):
        return [items[n] for n in range(len(items))]
    return dict(items)


def whole_numbers(header: Mapping[str, Any], names: Iterable[str]) -> list[int]:
    """Return those of the named entries that are whole numbers; 0 for others."""
    return [value if type(value := header.get(name)) is int else 0 for name in names]
