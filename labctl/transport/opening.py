"""From an address in a bench file to a transport."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from urllib.parse import parse_qsl

from labctl.clock import Clock
from labctl.errors import RequestError, nearest
from labctl.transport import Transport

SCHEMES = ("tcp", "serial", "visa", "http", "lib")
_VISA_SOCKET = re.compile(r"TCPIP\d*::([^:]+|\[.+\])::(\d+)::SOCKET", re.IGNORECASE)
FORMS = (
    "tcp://HOST:PORT, serial://PORT?baudrate=N, visa://RESOURCE, http://HOST[:PORT] "
    "or lib://package.module:Class"
)


def open_transport(address: str, clock: Clock) -> Transport:
    """Open the connection that `address` names; hardware keeps its own time, whatever `clock`.

    Raises:
        RequestError: the address is malformed; the message says what is wrong with it.
        ConnectionLost: nothing answers there.
    """
    return _opener(address)()


def check_address(address: str) -> None:
    """Raise RequestError for a malformed address; nothing is opened."""
    _opener(address)


def _opener(address: str) -> Callable[[], Transport]:
    scheme, separator, rest = address.partition("://")
    if not separator:
        raise RequestError(f"address {address!r} has no scheme; write {FORMS}")
    if scheme in ("tcp", "http"):
        from labctl.transport.tcp import TcpTransport

        return partial(TcpTransport, *host_and_port(address, 80 if scheme == "http" else None))
    if scheme == "serial":
        from labctl.transport.serial import SerialTransport

        port, _, query = rest.partition("?")
        if not port:
            raise RequestError(f"address {address!r} names no serial port; write {FORMS}")
        return partial(SerialTransport, port, dict(parse_qsl(query, keep_blank_values=True)))
    if scheme == "visa":
        return _visa_opener(address, rest)
    if scheme == "lib":
        from labctl.transport.calls import library_opener

        target, _, query = rest.partition("?")
        return library_opener(address, target, dict(parse_qsl(query, keep_blank_values=True)))
    raise RequestError(
        f"address {address!r} has the unknown scheme {scheme!r}{nearest(scheme, SCHEMES)}; "
        f"write {FORMS}"
    )


def _visa_opener(address: str, resource: str) -> Callable[[], Transport]:
    if not resource:
        raise RequestError(f"address {address!r} names no VISA resource; write {FORMS}")
    if socket := _VISA_SOCKET.fullmatch(resource):  # a byte stream: no VISA library needed
        from labctl.transport.tcp import TcpTransport

        return partial(TcpTransport, *host_and_port(f"visa://{socket[1]}:{socket[2]}"))
    from labctl.transport.visa import VisaTransport

    return partial(VisaTransport, resource)


def host_and_port(address: str, default: int | None = None) -> tuple[str, int]:
    """Split "scheme://host:port"; IPv6 hosts stand in brackets."""
    rest = address.partition("://")[2].rstrip("/")
    if rest.startswith("["):
        host, bracket, tail = rest[1:].partition("]")
        port = tail[1:] if tail.startswith(":") else tail
        if not bracket:
            raise RequestError(f"address {address!r} lacks a closing bracket after the host")
    else:
        host, _, port = rest.partition(":")
    if not host or any(c in host for c in "/?#@ "):
        raise RequestError(f"address {address!r} names no valid host; write {FORMS}")
    if not port and default is not None:
        return host, default
    if not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise RequestError(f"address {address!r} needs a port from 1 to 65535, got {port!r}")
    return host, int(port)
