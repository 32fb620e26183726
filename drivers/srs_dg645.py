"""Stanford Research Systems DG645 digital delay generator, over its raw TCP port 5025 or serially.

Times are in s, voltages in V. Delays are named A to H; the outputs T0, AB, CD, EF and GH.
"""

from __future__ import annotations

import math
from typing import Any

from pymeasure.instruments import Instrument

from drivers._properties import within
from labctl.adapter import Framing
from labctl.errors import RequestError
from labctl.instrument import LabInstrument

CHANNELS = {"T0": 0, "T1": 1, **{name: 2 + n for n, name in enumerate("ABCDEFGH")}}
OUTPUTS = {"T0": 0, "AB": 1, "CD": 2, "EF": 3, "GH": 4}
TRIGGERS = {
    "internal": 0,
    "rising": 1,
    "falling": 2,
    "single rising": 3,
    "single falling": 4,
    "single": 5,
    "line": 6,
}
RATE_TOO_HIGH = 2  # bit of INSR
LONGEST = 2000.0  # s
RECOVERY = 100e-9  # s that it needs after the last delay
MOST_ERRORS = 30

ERRORS = {
    10: "illegal value",
    11: "illegal mode",
    12: "illegal delay",
    13: "illegal link",
    110: "illegal command",
    111: "undefined command",
    112: "illegal query",
    113: "illegal set",
    114: "null parameter",
    115: "extra parameters",
    116: "missing parameters",
    120: "invalid integer",
    126: "syntax error",
}


class Dg645(LabInstrument):
    """The generator."""

    FRAMING = Framing(write=b"\n", read=b"\r\n", timeout=3.0)
    IDENTITY = r"^Stanford Research Systems,DG645,"
    SETTINGS = ("trigger", "rate", "delays", "amplitudes")

    rate = Instrument.control(
        "TRAT?",
        "TRAT %.6f",
        """Control the rate of the internal trigger in Hz (float from 1e-4 to 1e7).""",
        validator=lambda value, limits: within(value, limits, "trigger rate in Hz"),
        values=(1e-4, 1e7),
        check_set_errors=True,
    )
    trigger_level = Instrument.control(
        "TLVL?",
        "TLVL %.2f",
        """Control the threshold of the trigger input in V (float from -3.5 to 3.5).""",
        validator=lambda value, limits: within(value, limits, "trigger level in V"),
        values=(-3.5, 3.5),
        check_set_errors=True,
    )
    trigger = Instrument.control(
        "TSRC?",
        "TSRC %d",
        """Control what triggers: "internal", "rising", "falling" (external), "single rising",
        "single falling", "single" (by `fire`), "line" (str).""",
        validator=lambda value, words: _word(value, words, "trigger"),
        values=TRIGGERS,
        map_values=True,
        check_set_errors=True,
    )

    def delay(self, channel: str) -> tuple[str, float]:
        """What a delay counts from, and how long it is in s."""
        query = f"DLAY? {self._channel(channel)}"
        reply = self.ask(query)
        reference, _, seconds = reply.partition(",")
        names = list(CHANNELS)
        try:
            return names[int(reference)], float(seconds)
        except (ValueError, IndexError):
            raise self._nonsense(query, reply, "a channel and a time") from None

    def set_delay(self, channel: str, seconds: float, after: str = "T0") -> None:
        """Let a delay (A to H) end `seconds` after T0 or another one."""
        number, reference = self._channel(channel), self._channel(after)
        if number < CHANNELS["A"] or channel == after:
            raise RequestError(
                f"{self.name}: delay {channel!r} cannot be set after {after!r}; set A to H after "
                "T0 or another of them"
            )
        wanted = within(seconds, (-LONGEST, LONGEST), f"delay in s of {self.name}")
        self.write(f"DLAY {number},{reference},{wanted:.12f}")
        self.check_set_errors()

    @property
    def delays(self) -> dict[str, tuple[str, float]]:
        """Get all delays: what they count from, and how long they are in s (dict)."""
        return {name: self.delay(name) for name in "ABCDEFGH"}

    def pulse(self, output: str, start: float, width: float) -> None:
        """Let an output (AB, CD, EF, GH) be high for `width` s from `start` s after T0 on.

        Raises:
            RequestError: it would not be over before the next internal trigger.
        """
        if output not in OUTPUTS or output == "T0":
            raise RequestError(f"{self.name}: pulses are on AB, CD, EF or GH, got {output!r}")
        begin = within(start, (0.0, LONGEST), f"start in s of a pulse of {self.name}")
        wide = within(width, (0.0, LONGEST), f"width in s of a pulse of {self.name}")
        if not wide > 0.0:
            raise RequestError(f"{self.name}: the width of a pulse must be positive, got {width!r}")
        period = 1.0 / self.rate if self.trigger == "internal" else math.inf
        if begin + wide + RECOVERY > period:
            raise RequestError(
                f"{self.name}: a pulse from {begin:g} to {begin + wide:g} s is not over before the "
                f"next trigger after {period:g} s; lower the rate first"
            )
        first, second = output
        self.set_delay(first, begin)
        self.set_delay(second, wide, after=first)

    def amplitude(self, output: str) -> float:
        """Height of the pulses of an output in V, into 50 ohm."""
        return float(self.values(f"LAMP? {self._output(output)}")[0])

    def set_amplitude(self, output: str, volts: float) -> None:
        """Set the height of the pulses of an output in V (0.5 to 5), into 50 ohm."""
        wanted = within(volts, (0.5, 5.0), f"amplitude in V of {self.name}")
        self.write(f"LAMP {self._output(output)},{wanted:.2f}")
        self.check_set_errors()

    @property
    def amplitudes(self) -> dict[str, float]:
        """Get the height of the pulses of all outputs in V (dict)."""
        return {name: self.amplitude(name) for name in OUTPUTS}

    def set_positive(self, output: str, positive: bool) -> None:
        """Let an output go up (or down) during its pulse."""
        self.write(f"LPOL {self._output(output)},{int(bool(positive))}")
        self.check_set_errors()

    @property
    def overrun(self) -> bool:
        """Get whether triggers came while delays were running, since the last look (bool)."""
        return bool(int(self.values("INSR?", cast=int)[0]) & RATE_TOO_HIGH)

    def fire(self) -> None:
        """Trigger once, with trigger "single"."""
        self.write("*TRG")
        self.check_set_errors()

    def check_errors(self) -> list[str]:
        """Read the error queue until it is empty; returns its entries, oldest first."""
        errors: list[str] = []
        with self.transaction():
            while len(errors) < MOST_ERRORS:
                code = int(self.values("LERR?", cast=int)[0])
                if code == 0:
                    break
                meaning = ERRORS.get(code, "an error that its manual explains")
                errors.append(f"error {code}, {meaning}")
        return errors

    def make_safe(self) -> None:
        """Trigger no more by itself: all outputs stay low."""
        self.trigger = "single"

    def _channel(self, name: str) -> int:
        if name not in CHANNELS:
            raise RequestError(f"{self.name}: delays are T0, A to H, got {name!r}")
        return CHANNELS[name]

    def _output(self, name: str) -> int:
        if name not in OUTPUTS:
            raise RequestError(f"{self.name}: outputs are {', '.join(OUTPUTS)}, got {name!r}")
        return OUTPUTS[name]


def _word(value: Any, words: dict[str, int], what: str) -> Any:
    if value not in words:
        raise RequestError(f"the {what} must be one of {', '.join(words)}, got {value!r}")
    return value
