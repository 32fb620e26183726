"""Numbers as people write them: "500 mV", "1.2 GHz", "2*pi*3", "(1550 + 0.5) nm"; no `eval`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from labctl.units import to_unit

#: Longest text and deepest nesting that are read.
LONGEST, DEEPEST = 200, 30

CONSTANTS = {"pi": math.pi, "π": math.pi, "e": math.e, "c": 299_792_458.0}
FUNCTIONS: dict[str, Callable[[float], float]] = {
    "sqrt": math.sqrt, "exp": math.exp, "log": math.log, "log10": math.log10, "log2": math.log2,
    "sin": math.sin, "cos": math.cos, "tan": math.tan, "abs": abs,
}  # fmt: skip

_SIGNS = str.maketrans({"−": "-", "×": "*", "·": "*", "⋅": "*"})
_PLAIN = re.compile(
    r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\s*(?:[^\W\d_%°]\w*|[%°]\w*)?(?:/[^\W\d_]\w*)*"
)
_TOKEN = re.compile(
    r"\s*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<word>[^\W\d_]\w*|[%°]\w*)|(?P<sign>\*\*|[-+*/^()]))"
)


@dataclass(frozen=True)
class _Value:
    number: float
    united: bool = False  # already in the unit that is wanted


def evaluate(text: str, unit: str | None = None) -> float:
    """The value of `text` in `unit`; a number without a unit is in it already.

    Raises:
        ValueError: one line that says what cannot be read, converted or calculated.
    """
    text = text.strip().translate(_SIGNS)
    if text.startswith("–"):  # a dash; between two numbers it may mean a range, and is refused
        text = "-" + text[1:]
    if len(text) > LONGEST:
        raise ValueError(f"longer than {LONGEST} characters")
    if unit and unit[0].isdigit() and re.search(rf"\s{re.escape(unit)}$", text):
        text = text[: -len(unit)]  # 100 1/s
    if re.search(r"\d,\d", text):
        raise ValueError(f"{text!r} has a comma between digits; write 1.5, and 1500")
    try:
        # The former keeps all digits, and knows units like "nm/s".
        plain = _PLAIN.fullmatch(text) and not text.endswith(("pi", "π"))
        value = to_unit(text, unit) if plain else _Parser(text, unit or "").whole()
    except ZeroDivisionError:
        raise ValueError(f"{text!r} divides by zero") from None
    except (OverflowError, RecursionError):
        raise ValueError(f"{text!r} is too large") from None
    if isinstance(value, complex) or not math.isfinite(value):
        raise ValueError(f"{text!r} has no finite value")
    return value


class _Parser:
    """Recursive descent over sums, products, powers and brackets."""

    def __init__(self, text: str, unit: str) -> None:
        self.text, self.unit = text, unit
        self.tokens: list[tuple[str, str]] = []
        self.depth = 0
        place = 0
        while place < len(text.rstrip()):
            match = _TOKEN.match(text, place)
            if match is None:
                raise ValueError(f"{text!r} cannot be read at {text[place:].strip()[:10]!r}")
            self.tokens.append((str(match.lastgroup), match[str(match.lastgroup)]))
            place = match.end()
        self.place = 0

    def whole(self) -> float:
        value = self.sum()
        if self.place < len(self.tokens):
            raise ValueError(f"{self.text!r} cannot be read at {self.tokens[self.place][1]!r}")
        return value.number

    def peek(self) -> str:
        return self.tokens[self.place][1] if self.place < len(self.tokens) else ""

    def take(self, *signs: str) -> str:
        if self.peek() in signs:
            self.place += 1
            return self.tokens[self.place - 1][1]
        return ""

    def sum(self) -> _Value:
        value = self.product()
        while sign := self.take("+", "-"):
            other = self.product()
            if value.united != other.united and self.unit:
                raise ValueError(f"{self.text!r}: say the unit of both sides of {sign!r}")
            number = value.number + other.number if sign == "+" else value.number - other.number
            value = _Value(number, value.united)
        return value

    def product(self) -> _Value:
        value = self.power()
        while sign := self.take("*", "/"):
            other = self.power()
            if sign == "*":
                if value.united and other.united:
                    raise ValueError(f"{self.text!r} multiplies two units")
                value = _Value(value.number * other.number, value.united or other.united)
            else:
                if other.united and not value.united:
                    raise ValueError(f"{self.text!r} divides by a unit")
                value = _Value(value.number / other.number, value.united and not other.united)
        return value

    def power(self) -> _Value:
        if sign := self.take("-", "+"):
            value = self.power()
            return _Value(-value.number if sign == "-" else value.number, value.united)
        value = self.atom()
        if self.take("**", "^"):
            exponent = self.power()
            if value.united or exponent.united:
                raise ValueError(f"{self.text!r}: powers are for plain numbers")
            number = value.number**exponent.number
            if isinstance(number, complex):
                raise ValueError(f"{self.text!r} has no real value")
            value = _Value(number)
        return value

    def atom(self) -> _Value:
        if self.place >= len(self.tokens):
            raise ValueError(f"{self.text!r} ends too early")
        kind, token = self.tokens[self.place]
        self.place += 1
        if kind == "number":
            return self.with_unit(_Value(float(token)))
        if token == "(":
            return self.with_unit(self.bracket())
        if kind == "word" and token in FUNCTIONS and self.take("("):
            argument = self.bracket()
            if argument.united and token != "abs":
                raise ValueError(f"{self.text!r}: {token} takes a plain number")
            try:
                return _Value(FUNCTIONS[token](argument.number), argument.united)
            except ValueError:
                raise ValueError(f"{token}({argument.number:g}) has no value") from None
        if kind == "word" and token in CONSTANTS:
            return self.with_unit(_Value(CONSTANTS[token]))
        raise ValueError(f"{self.text!r} cannot be read at {token!r}")

    def bracket(self) -> _Value:
        self.depth += 1
        if self.depth > DEEPEST:
            raise ValueError("too many brackets")
        value = self.sum()
        self.depth -= 1
        if not self.take(")"):
            raise ValueError(f"{self.text!r} lacks a closing bracket")
        return value

    def with_unit(self, value: _Value) -> _Value:
        """`value`, converted if a unit stands behind it; 2 pi is a product."""
        if self.take("pi", "π"):
            value = _Value(value.number * math.pi, value.united)
        if self.place >= len(self.tokens) or self.tokens[self.place][0] != "word":
            return value
        word = self.tokens[self.place][1]
        self.place += 1
        if value.united:
            raise ValueError(f"{self.text!r} has two units in a row")
        return _Value(to_unit(f"{value.number!r} {word}", self.unit), united=True)
