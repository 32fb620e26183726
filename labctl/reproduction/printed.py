"""Numbers as a publication prints them: "3.08 ± 0.07", "~15", "< 1", "4.7 to 5.2", "yes"."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from labctl.errors import RequestError

_NUMBER = r"[-+−]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?"
_FORMS = {
    "value": re.compile(rf"(?P<about>~)?\s*(?P<value>{_NUMBER})(?:\s*±\s*(?P<error>{_NUMBER}))?"),
    "below": re.compile(rf"<\s*(?P<value>{_NUMBER})"),
    "above": re.compile(rf">\s*(?P<value>{_NUMBER})"),
    "range": re.compile(rf"(?P<value>{_NUMBER})\s+to\s+(?P<high>{_NUMBER})"),
}
_WORDS = {"yes": 1.0, "no": 0.0}


@dataclass(frozen=True)
class Printed:
    """One printed statement about a quantity."""

    text: str  #: as it is printed
    kind: str  #: value, below, above, range or word
    value: float  #: of a range the lower end, of a word 1 for yes and 0 for no
    high: float  #: the upper end of a range, else the value
    error: float | None  #: the printed standard error
    step: float  #: one unit of the last digit that means something

    @property
    def sigma(self) -> float:
        """The printed error; without one a number is known to its last digit, evenly spread."""
        if self.kind in ("below", "above", "word"):
            return 0.0
        return self.step / math.sqrt(12.0) if self.error is None else self.error


def parse(text: str) -> Printed:
    """Read what a publication prints; "~" says that trailing zeros mean nothing.

    Raises:
        RequestError: it is none of the known forms.
    """
    plain = text.strip()
    if plain in _WORDS:
        return Printed(text, "word", _WORDS[plain], _WORDS[plain], None, 0.0)
    for kind, form in _FORMS.items():
        match = form.fullmatch(plain)
        if match is None:
            continue
        found = match.groupdict()
        value = _number(found["value"])
        error = _number(found["error"]) if found.get("error") else None
        if error is not None and error <= 0:
            raise RequestError(f"{text!r}: the error must be above zero")
        high = _number(found["high"]) if kind == "range" else value
        if high < value:
            raise RequestError(f"{text!r}: the range ends below its begin")
        step = _step(found["value"], bool(found.get("about")))
        return Printed(text, kind, value, high, error, step)
    raise RequestError(
        f"{text!r} is not written like one of 3.08 ± 0.07, 15, ~140, < 1, > 200, 4.7 to 5.2, yes"
    )


def _number(text: str) -> float:
    return float(text.replace("−", "-"))


def _step(text: str, about: bool) -> float:
    """One unit of the last digit of "12.50", of "~140" that of its last digit but zeros."""
    mantissa, _, power = text.lower().partition("e")
    whole, _, decimals = mantissa.partition(".")
    exponent = int(power or 0) - len(decimals)
    digits = (whole + decimals).lstrip("+-−")
    if about and digits.strip("0"):
        exponent += len(digits) - len(digits.rstrip("0"))
    return float(10.0**exponent)
