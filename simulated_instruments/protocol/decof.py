"""DeCoF, the S-expression language of Toptica controllers: parser, encoder, error codes.

Quote, quasiquote and unquote read as in Scheme: 'x is (quote x). A string literal is a `str`, a
name is a `Symbol`, `&` introduces base64 binary. Reals need a dot or an exponent.
"""

from __future__ import annotations

import binascii
import functools
import re
from base64 import b64decode, b64encode
from typing import Any

SYNTAX = -1
ACCESS_DENIED = -2
UNKNOWN = -3
WRONG_TYPE = -4
INVALID_VALUE = -6
NOT_SETTABLE = -11
CLIPPED = 1  # positive status: a warning, the value was changed to the nearest legal one

NORMAL = 3  # user level; lower numbers may do more, 4 may only read
READONLY = 4

DEEPEST = 64  # nested parentheses

_TOKEN = re.compile(r"""\s+|[()'`,]|"(?:[^"\\]|\\.)*"|[^\s()'`,"]+""", re.DOTALL)
_INT = re.compile(r"[+-]?\d+")
_REAL = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+|\d+(?=[eE]))(?:[eE][+-]?\d+)?")
_QUOTES = {"'": "quote", "`": "quasiquote", ",": "unquote"}


class Incomplete(Exception):
    """The text ends inside an expression; a reader waits for the rest."""


class DecofError(Exception):
    """An error that the controller reports as one line."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"Error: {code} {text}")
        self.code = code
        self.text = text


class Symbol(str):
    """A name, as opposed to a string."""

    __slots__ = ()


@functools.lru_cache(maxsize=512)
def parse(text: str) -> tuple[Any, ...]:
    """Return all expressions in `text`; lists are tuples.

    Raises:
        Incomplete: an expression or a string is still open at the end.
        DecofError: the text can never become an expression.
    """
    done: list[Any] = []
    stack: list[tuple[str, list[Any]]] = []  # open lists, and quotes that wait for their operand
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:  # only an unterminated string does not match
            raise Incomplete
        token = match.group()
        position = match.end()
        if token.isspace():
            continue
        if token == "(":
            stack.append(("(", []))
        elif token in _QUOTES:
            stack.append((token, []))
        else:
            if token == ")":
                if not stack or stack[-1][0] != "(":
                    raise DecofError(SYNTAX, "unexpected ')'")
                node: Any = tuple(stack.pop()[1])
            else:
                node = _atom(token)
            while stack and stack[-1][0] in _QUOTES:
                node = (Symbol(_QUOTES[stack.pop()[0]]), node)
            (stack[-1][1] if stack else done).append(node)
        if len(stack) > DEEPEST:
            raise DecofError(SYNTAX, "expression too deep")
    if stack:
        raise Incomplete
    return tuple(done)


def _atom(token: str) -> Any:
    first = token[0]
    if first == '"':
        return re.sub(r"\\(.)", r"\1", token[1:-1], flags=re.DOTALL)
    if first == "#":
        if token in ("#t", "#T"):
            return True
        if token in ("#f", "#F"):
            return False
        raise DecofError(SYNTAX, f"unknown literal {token}")
    if first == "&":
        try:
            return b64decode(token[1:], validate=True)
        except (binascii.Error, ValueError):
            raise DecofError(SYNTAX, "malformed binary") from None
    if _INT.fullmatch(token):
        if len(token) > 20:  # beyond 64 bits
            raise DecofError(SYNTAX, "integer too long")
        return int(token)
    if _REAL.fullmatch(token):
        return float(token)
    return Symbol(token)


def encode(value: Any) -> str:
    """Write a value as the controller prints it; never contains a line end."""
    if isinstance(value, bool):
        return "#t" if value else "#f"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Symbol):
        return str(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, bytes):
        return "&" + b64encode(value).decode()
    if isinstance(value, tuple):
        return "(" + " ".join(encode(item) for item in value) + ")"
    return str(value)
