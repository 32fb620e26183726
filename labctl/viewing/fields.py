"""One field of the parameter form: what it takes, its limits in words, and the value of a text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from labctl.units import unit_text
from labctl.viewing.quantity import evaluate

#: What counts as yes and no, as in `labctl.parameters`, which is slow to import.
YES, NO = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


@dataclass(frozen=True)
class Field:
    """A parameter as `labctl.procedure.parameter_table` describes it."""

    name: str
    label: str
    kind: str  # number, integer, boolean, choice, numbers, text
    unit: str
    default: Any
    meaning: str
    minimum: float = -math.inf
    maximum: float = math.inf
    choices: tuple[Any, ...] = ()
    group: str = ""

    @classmethod
    def from_table(cls, name: str, entry: Mapping[str, Any]) -> Field:
        low, high = entry.get("minimum"), entry.get("maximum")
        return cls(
            name, str(entry["label"]), str(entry["type"]), str(entry["unit"]), entry["default"],
            str(entry["meaning"]), -math.inf if low is None else float(low),
            math.inf if high is None else float(high), tuple(entry.get("choices") or ()),
            str(entry.get("group", "")),
        )  # fmt: skip

    @property
    def limits(self) -> str:
        """What is allowed, in words: "5 to 35", "at least 0 V"; "" if anything is."""
        low, high = math.isfinite(self.minimum), math.isfinite(self.maximum)
        if self.kind == "choice" or not (low or high):
            return ""
        if low and high:
            text = f"{self.minimum:.6g} to {self.maximum:.6g}"
        else:
            text = f"at least {self.minimum:.6g}" if low else f"at most {self.maximum:.6g}"
        return f"{text} {unit_text(self.unit)}".strip()

    def text(self, value: Any) -> str:
        """A value as the field shows it, with all its digits."""
        if value is None:
            return ""
        if isinstance(value, float):
            return repr(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
        if isinstance(value, list | tuple):
            return ", ".join(self.text(one) for one in value)
        return str(value)

    def evaluate(self, text: str) -> float:
        return evaluate(text, self.unit or None)

    def read(self, text: str) -> Any:
        """The value that a text means.

        Raises:
            ValueError: one line that says why it is none, with the limits.
        """
        if self.kind == "text":
            return text
        if not text.strip():
            raise ValueError("a value is needed" + (f", {self.limits}" if self.limits else ""))
        if self.kind == "boolean":
            if text.strip().lower() not in YES + NO:
                raise ValueError(f"{text!r} is neither true nor false")
            return text.strip().lower() in YES
        if self.kind == "choice":
            for choice in self.choices:
                if str(choice) == text.strip():
                    return choice
            raise ValueError(f"{text!r} is none of {', '.join(map(str, self.choices))}")
        if self.kind == "numbers":
            inner = text.strip().removeprefix("[").removesuffix("]")
            return [self._checked(self.evaluate(p)) for p in inner.split(",") if p.strip()]
        if self.kind == "integer":
            try:
                whole: float = int(text)  # all digits, also beyond those of a float
            except ValueError:
                whole = self.evaluate(text)
                if not float(whole).is_integer():
                    raise ValueError(f"{whole:g} is not an integer") from None
            return int(self._checked(whole))
        if self.kind == "number":
            return float(self._checked(self.evaluate(text)))
        return text  # a type of somebody's own: its procedure knows

    def _checked(self, value: float) -> float:
        unit = f" {unit_text(self.unit)}" if self.unit else ""
        if not math.isfinite(value):
            raise ValueError(f"{value!r} is not a finite number")
        if value < self.minimum:
            raise ValueError(f"{value!r}{unit} is below the minimum {self.minimum:g}{unit}")
        if value > self.maximum:
            raise ValueError(f"{value!r}{unit} is above the maximum {self.maximum:g}{unit}")
        return value
