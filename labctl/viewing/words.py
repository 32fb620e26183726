"""Times, sizes and numbers as the window writes them."""

from __future__ import annotations

import math
import re
import time
from datetime import datetime
from typing import Any


def duration(seconds: float) -> str:
    """Seconds as "4.2 s", "17 s", "3:07 min", "2 h 05" or "3 d 4 h"; "?" if unknown."""
    if not math.isfinite(seconds):
        return "?"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d}"
    return f"{hours // 24} d {hours % 24} h"


def clock_time(moment: float, now: float | None = None) -> str:
    """Unix time as "22:31", with the day if it is not today."""
    when = datetime.fromtimestamp(moment)
    today = datetime.fromtimestamp(time.time() if now is None else now).date()
    return f"{when:%H:%M}" if when.date() == today else f"{when:%a %d %b %H:%M}"


def size(count: float) -> str:
    """Bytes with a prefix: "3.2 GB"."""
    for prefix in ("", "k", "M", "G", "T"):
        if abs(count) < 1000 or prefix == "T":
            return f"{count:.0f} B" if not prefix else f"{count:.3g} {prefix}B"
        count /= 1000
    return ""


def number(value: Any, digits: int = 6) -> str:
    """A value in few characters, or with 17 digits exactly."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.{digits}g}" if digits < 17 else repr(value)
    return str(value)


def breakable(text: str, longest: int = 30) -> str:
    """Text that fits any width: a line may break after so many letters without a space."""
    return re.sub(rf"\S{{{longest}}}(?=\S)", "\\g<0>\u200b", text)
