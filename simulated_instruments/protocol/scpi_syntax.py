"""The text side of SCPI: headers, units, parameters and how replies are written."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from simulated_instruments.protocol.scpi_status import ScpiError

#: What a handler gets for one parameter: its text, or the payload of a block.
Parameter = str | bytes

_NODE = re.compile(r"(\[?):?(\*?[A-Za-z_|]+)(\{\w+\})?(\]?)")
_HEADER = re.compile(r"(\*[A-Za-z]\w*|:?[A-Za-z]\w*(?::[A-Za-z]\w*)*)(\??)", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_RADIX = {"H": 16, "Q": 8, "B": 2}
_PREFIX = {
    "": 1.0,
    "EX": 1e18,
    "PE": 1e15,
    "T": 1e12,
    "G": 1e9,
    "MA": 1e6,
    "K": 1e3,
    "M": 1e-3,
    "U": 1e-6,
    "N": 1e-9,
    "P": 1e-12,
    "F": 1e-15,
    "A": 1e-18,
}


def compile_header(pattern: str) -> tuple[re.Pattern[str], int]:
    """Turn a header as manuals print it into a regular expression; also count its suffixes.

    Upper-case letters are the short form. `[:NODE]` may be left out, `A|B` are alternatives, `{n}`
    stands for a numeric suffix, and `{1}` for one that can only be 1 and is not handed on. The
    expression expects upper case and a leading colon.
    """
    body = pattern.removesuffix("?")
    parts, suffixes, position = [], 0, 0
    while position < len(body):
        match = _NODE.match(body, position)
        if not match or bool(match[1]) != bool(match[4]):
            raise ValueError(f"cannot read the header {pattern!r} at {body[position:]!r}")
        position = match.end()
        forms = []
        for name in match[2].split("|"):
            short = "".join(c for c in name if not c.islower())
            forms.append(f"{re.escape(short)}(?:{re.escape(name.upper()[len(short) :])})?")
        node = f":(?:{'|'.join(forms)})"
        if match[3] == "{1}":
            node += "1?"
        elif match[3]:
            node += r"(\d*)"
            suffixes += 1
        parts.append(f"(?:{node})?" if match[1] else node)
    mark = r"\?" if pattern.endswith("?") else ""
    return re.compile("".join(parts) + mark, re.ASCII), suffixes


def split_header(unit: str, path: str) -> tuple[str, str, str]:
    """Split one message unit into its full header, its data and the path for the next unit.

    The full header is in upper case and begins with a colon. The rule of IEEE 488.2 A.1.1: a
    header that does not begin with a colon continues the one before, up to its last colon; common
    commands leave the path as it is.
    """
    match = _HEADER.match(unit)
    if not match:
        raise ScpiError(-101 if unit[:1] not in "*:" else -102, unit[:20])
    data = unit[match.end() :]
    if data and not data[0].isspace():
        known = data[0].isalnum() or data[0] in "_:?*"
        raise ScpiError(-111 if known else -101, unit[:20])
    name = match[1].upper()
    if name[0] == "*":
        return f":{name}{match[2]}", data.strip(), path
    full = name if name[0] == ":" else f"{path}:{name}"
    return full + match[2], data.strip(), full.rpartition(":")[0]


def find_end(text: str, separator: str, start: int = 0) -> int:
    """Where the next separator stands outside of quotes and parentheses; len(text) if nowhere."""
    if not any(mark in text for mark in "\"'("):
        found = text.find(separator, start)
        return len(text) if found < 0 else found
    quote, depth = "", 0
    for i in range(start, len(text)):
        c = text[i]
        if quote:
            quote = "" if c == quote else quote
        elif c in "\"'":
            quote = c
        elif c == "(":
            depth += 1
        elif c == ")":
            depth = max(0, depth - 1)
        elif c == separator and not depth:
            return i
    return len(text)


def split_list(text: str, separator: str) -> list[str]:
    """Split at separators outside of quotes and parentheses, and strip the pieces."""
    pieces, start = [], 0
    while True:
        end = find_end(text, separator, start)
        pieces.append(text[start:end].strip())
        if end >= len(text):
            return pieces
        start = end + 1


def number(data: Parameter, unit: str = "") -> float:
    """Read decimal or #H/#Q/#B numeric data with an optional suffix, in units of `unit`."""
    if isinstance(data, bytes) or not data:
        raise ScpiError(-104 if data else -109)
    if data[0] == "#":
        radix = _RADIX.get(data[1:2].upper())
        try:
            return float(int(data[2:], radix or 10)) if radix else _not_a_number(data)
        except (ValueError, OverflowError):
            raise ScpiError(-121, data[:20]) from None
    match = _NUMBER.match(data)
    if not match:
        return _not_a_number(data)
    value = float(match[0])
    suffix = data[match.end() :].strip().upper()
    return value * _factor(suffix, unit.upper()) if suffix else value


def _not_a_number(data: str) -> float:
    if data[0] in "+-.":
        raise ScpiError(-121, data[:20])
    raise ScpiError(-168 if data[0] == "#" else -104, data[:20])


def _factor(suffix: str, unit: str) -> float:
    if not suffix.isalpha() or not suffix.isascii():
        raise ScpiError(-121, suffix[:20])
    if not unit:
        raise ScpiError(-138, suffix[:20])
    if unit in ("HZ", "OHM") and suffix == "M" + unit:  # the exceptions of IEEE 488.2 7.7.3
        return 1e6
    factor = _PREFIX.get(suffix.removesuffix(unit)) if suffix.endswith(unit) else None
    if factor is None or (unit.startswith("DB") and factor != 1.0):
        raise ScpiError(-131, suffix[:20])
    return factor


def boolean(data: Parameter) -> bool:
    """Read ON, OFF or a number, of which any that does not round to 0 means on."""
    word = data.upper() if isinstance(data, str) else ""
    if word in ("ON", "OFF"):
        return word == "ON"
    if word.isalpha():
        raise ScpiError(-224, word[:20])
    return abs(number(data)) >= 0.5


def choice(data: Parameter, words: Sequence[str]) -> str:
    """Read one of `words`, written as in manuals ("AVERage"); returns its short form ("AVER")."""
    if isinstance(data, bytes) or not data:
        raise ScpiError(-104 if data else -109)
    given = data.upper()
    for word in words:
        short = "".join(c for c in word if not c.islower())
        if given in (short, word.upper()):
            return short
    raise ScpiError(-224 if given[0].isalpha() else -104, data[:20])


def string(data: Parameter) -> str:
    """Read a quoted string; a doubled quote stands for one."""
    if isinstance(data, bytes) or not data or data[0] not in "\"'":
        raise ScpiError(-104 if data else -109)
    if len(data) < 2 or data[-1] != data[0]:
        raise ScpiError(-151, data[:20])
    return data[1:-1].replace(data[0] * 2, data[0])


def nr3(value: float) -> str:
    """A number in exponential form with 13 significant digits."""
    return f"{value:+.12E}"


def block(payload: bytes) -> bytes:
    """A definite-length arbitrary block of IEEE 488.2: #, digit count, byte count, bytes."""
    size = str(len(payload))
    return f"#{len(size)}{size}".encode() + payload


def block_end(data: bytes | bytearray, start: int, most: int) -> tuple[int, int] | None:
    """First and last+1 byte of the payload of a block at `start`; None while its header is short.

    Raises:
        ScpiError: this is no definite-length block, or it is longer than `most` bytes.
    """
    head = bytes(data[start + 1 : start + 11])
    if not head:
        return None
    digits = head[:1]
    if not digits.isdigit() or digits == b"0":
        raise ScpiError(-161)
    count = head[1 : 1 + int(digits)]
    if not all(48 <= c <= 57 for c in count):
        raise ScpiError(-161)
    if len(count) < int(digits):
        return None
    if int(count) > most:
        raise ScpiError(-223)
    first = start + 2 + int(digits)
    return first, first + int(count)


def real(values: np.ndarray, bits: int, big_endian: bool) -> bytes:
    """IEEE 754 numbers of 32 or 64 bits as a block."""
    return block(values.astype(f"{'>' if big_endian else '<'}f{bits // 8}").tobytes())
