"""What went wrong in a run: the instrument, the command, the answer, and what to do now."""

from __future__ import annotations

import math
import re
from base64 import b64decode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from labctl.jsonline import decode
from labctl.run import safety as accounts
from labctl.viewing.feed import Feed

#: Messages on the wire that a card shows.
MESSAGES = 20
#: Bytes at the end of a transcript that are looked at.
TAIL = 1 << 18
ARROWS = {">": "→", "<": "←", "timeout": "✕ no answer", "open": "opened", "close": "closed",
          "refused": "✕ refused", "lost": "✕ lost"}  # fmt: skip


@dataclass(frozen=True)
class Message:
    """One message on the wire."""

    t: float  # s of the bench's clock
    instrument: str
    direction: str
    text: str

    def __str__(self) -> str:
        return f"{self.t:10.3f} s  {self.instrument:<14} {self.direction} {self.text}".rstrip()


@dataclass(frozen=True)
class Failure:
    """All that a failure card shows."""

    run: Path
    status: str
    reason: str
    instrument: str = ""
    command: str = ""
    answer: str = ""
    messages: tuple[Message, ...] = ()
    safety: str = ""
    safe: bool = True
    can_resume: bool = True
    confirmations: tuple[dict[str, Any], ...] = field(default=())


def look(feed: Feed) -> Failure:
    """What is known of a run that did not finish."""
    messages = tail(feed.path)
    reason = feed.reason or ("its process died" if feed.status == "interrupted" else "")
    instrument = _culprit(reason, feed, messages)
    own = [message for message in messages if message.instrument == instrument]
    sent, answered = _exchange(own, reason, feed.row_time)
    answer = (answered.text or answered.direction) if answered is not None else ""
    safety, safe, confirmed = _safety(feed, reason)
    return Failure(
        feed.path, feed.status, reason, instrument, sent.text if sent else "", answer,
        tuple(_around(messages, sent)), safety, safe, bool(feed.points), tuple(confirmed),
    )  # fmt: skip


def tail(run: Path) -> list[Message]:
    """The last messages between the run and its instruments."""
    path = run / "wire.jsonl"
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - TAIL))
            lines = file.read().split(b"\n")
    except OSError:
        return []
    found = []
    for line in lines:
        entry = decode(line + b"\n") if line else None
        if entry is not None and entry.get("entry") == "wire":
            found.append(
                Message(float(entry["t"]), str(entry["i"]),
                        ARROWS.get(entry["d"], str(entry["d"])), _text(entry))
            )  # fmt: skip
    return found


def confirmations(run: Path) -> list[dict[str, Any]]:
    """What each instrument answered when it was last made safe, the last word of each."""
    said = [line for line in accounts.read(run) if "instrument" in line and "state" in line]
    return list({str(line["instrument"]): line for line in said}.values())


def _text(entry: dict[str, Any]) -> str:
    if "p" in entry:
        return "(a long message)"
    data: bytes = b64decode(entry["b"]) if "b" in entry else str(entry.get("s", "")).encode()
    text = str(data.decode("ascii", errors="backslashreplace")).strip()
    text = "".join(c if c.isprintable() else "·" for c in text)
    return text if len(text) <= 120 else f"{text[:117]}…"


def _culprit(reason: str, feed: Feed, messages: list[Message]) -> str:
    """The instrument that the reason names first; else the one that spoke last."""
    known = list((feed.opened.get("identities") or {}).keys())
    known += [name for name in dict.fromkeys(m.instrument for m in messages) if name not in known]
    places = {str(name): reason.find(name) for name in known if name in reason}
    if places:
        return min(places, key=lambda name: places[name])
    return ""


def _exchange(
    own: list[Message], reason: str, since: float
) -> tuple[Message | None, Message | None]:
    """The command that went wrong and what was answered, as far as the reason tells.

    What made the bench safe came later, and nothing was sent where a value was refused before.

    Args:
        own: messages of the instrument that the reason names.
        reason: why the run ended.
        since: a message that got lost before this time (s) was coped with.
    """
    at = -1
    for number, message in enumerate(own):
        if message.direction == "→" and len(message.text) > 2 and _quoted(message.text, reason):
            at = number
    if at < 0:
        for number, message in enumerate(own):
            if message.direction == "←" and _is_named(message.text, reason):
                at = _sent_before(own, number)
    if at < 0:
        lost = [n for n, m in enumerate(own) if m.direction.startswith("✕") and m.t >= since]
        at = _sent_before(own, lost[-1]) if lost else -1
    if at < 0:
        return None, None
    later = [message for message in own[at + 1 :] if message.direction != "→"]
    named = [m for m in later if m.text and _is_named(m.text, reason)]
    return own[at], next(iter([*named, *later]), None)


def _sent_before(own: list[Message], number: int) -> int:
    return max((n for n in range(number) if own[n].direction == "→"), default=-1)


def _quoted(text: str, reason: str) -> bool:
    return re.search(rf"(?<![\w.+-]){re.escape(text)}(?![\w.])", reason) is not None


def _is_named(answer: str, reason: str) -> bool:
    """Whether a reason is about this answer: it has its text, or the value an interlock read."""
    if read := re.match(r"interlock \S+: (\S+)", reason):
        try:
            return math.isclose(float(answer), float(read[1]), rel_tol=1e-5)
        except ValueError:
            return False
    return len(answer) > 2 and _quoted(answer, reason)


def _around(messages: list[Message], sent: Message | None) -> list[Message]:
    """The last messages up to shortly after the one that went wrong; making safe follows it."""
    if sent is None:
        return messages[-MESSAGES:]
    place = max(i for i, message in enumerate(messages) if message is sent)
    end = min(len(messages), place + 6)
    return messages[max(0, end - MESSAGES) : end]


def _safety(feed: Feed, reason: str) -> tuple[str, bool, list[dict[str, Any]]]:
    confirmed = confirmations(feed.path)
    bad = [one for one in confirmed if one["state"] != "safe"]
    if bad or "NOT SAFE" in reason:
        names = ", ".join(str(one["instrument"]) for one in bad)
        return f"NOT SAFE, check by hand{': ' + names if names else ''}", False, confirmed
    if confirmed:
        return f"safe: {', '.join(str(one['instrument']) for one in confirmed)}", True, confirmed
    if feed.status == "interrupted":
        how = f"labctl stop {feed.number} makes it safe"
        return f"UNKNOWN: its process died; {how}", False, confirmed
    return "made safe at the end of the run", True, confirmed
