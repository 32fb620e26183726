"""How messages are delimited on a byte stream, and how bytes look in messages to people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Framing:
    """How messages are delimited on the wire, and how patient to be."""

    write: bytes = b"\n"  # ends what we send
    read: bytes = b"\n"  # ends a reply; b"": silence does
    prompt: bytes = b""  # follows every reply; then every command has a reply
    banner: bytes = b""  # ends the greeting to a new connection; not awaited on serial lines
    timeout: float = 5.0  # silence that means that no answer will come, in s
    encoding: str = "utf-8"
    unasked: bool = False  # the instrument also sends unasked: no byte counts as stray
    reconnect: int = 3  # attempts to open a lost connection again; 0 forbids it


def unfinished_block(data: bytes | bytearray) -> bool:
    """Whether `data` is the beginning of a definite block: line ends have no meaning inside."""
    digits = bytes(data[1:2])
    if data[:1] != b"#" or not digits.isdigit() or digits == b"0":
        return False
    start = 2 + int(digits)
    count = data[2:start]
    if len(data) < start:
        return not count or count.isdigit()
    return count.isdigit() and len(data) <= start + int(count)


def short(data: bytes | bytearray, most: int = 60) -> str:
    """Bytes for a message: printable, on one line, abbreviated."""
    shown = repr(bytes(data[:most]))[1:]
    return shown if len(data) <= most else f"{shown}... ({len(data)} bytes)"


def quoted(text: str, most: int = 60) -> str:
    """A command or reply for a message: in quotes, abbreviated."""
    shown = repr(text[:most])
    return shown if len(text) <= most else f"{shown}... ({len(text)} characters)"
