"""Times of day and delays, as people write and read them."""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta

from labctl.errors import RequestError
from labctl.manager.items import Item
from labctl.units import to_unit

#: Nobody waits longer; a typing error would.
LONGEST_DELAY = 366 * 86400.0


def moment(text: str, now: float | None = None) -> float:
    """Unix time of "22:30" (the next one), "2026-11-21 08:00" or "90 min" (from now); "" is 0.

    Raises:
        RequestError: it is none of these, or lies in the past or further away than a year.
    """
    text = text.strip()
    if not text:
        return 0.0
    now = time.time() if now is None else now
    if re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", text):
        when = _next_time_of_day(text, now)
    else:
        when = _date_or_delay(text, now)
    if not now - 60.0 <= when <= now + LONGEST_DELAY:
        raise RequestError(f"{text!r} is not within a year from now")
    return when


def _next_time_of_day(text: str, now: float) -> float:
    today = datetime.fromtimestamp(now)
    try:
        hour, minute, second = (int(part) for part in (text + ":0").split(":")[:3])
        when = today.replace(hour=hour, minute=minute, second=second, microsecond=0)
    except ValueError:
        raise RequestError(f"{text!r} is no time of day; write 22:30") from None
    return (when if when >= today else when + timedelta(days=1)).timestamp()


def _date_or_delay(text: str, now: float) -> float:
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        pass
    try:
        if re.fullmatch(r"\s*\+?[\d.]+\s*", text):  # 22.30 is a time of day for many
            raise ValueError
        return now + to_unit(text.removeprefix("+"), "s")
    except ValueError:
        raise RequestError(
            f"{text!r} is no time; write 22:30, 2026-11-21 08:00, or a delay such as 90 min"
        ) from None


def describe(item: Item) -> str:
    """What is unusual about when and how an item runs, in a few words."""
    words = []
    if item.waits and item.policy.not_before:
        when = datetime.fromtimestamp(item.policy.not_before)
        today = when.date() == datetime.now().date()
        words.append(f"not before {when:%H:%M}" if today else f"not before {when:%Y-%m-%d %H:%M}")
    if item.waits and item.run:
        words.append("resumes its run")
    if item.policy.on_failure == "retry":
        words.append(f"{item.policy.retries} retries")
    elif item.policy.on_failure == "stop":
        words.append("stops the queue if it fails")
    return ", ".join(words)
