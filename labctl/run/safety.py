"""`safety.jsonl` in a run folder: what each instrument answered when somebody made the bench safe.

One JSON line per confirmation, `{"instrument", "state", "detail", "time"}`; of several lines for an
instrument the last counts. A line with "stop" begins a new account, one with "ended" closes it.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

FILE = "safety.jsonl"
SAFE, FAILED, UNREACHABLE = "safe", "failed", "unreachable"
#: What is said of instruments that exist only inside the run.
SIMULATED = "simulated: ended with the run"


def begin(folder: Path, reason: str, names: Iterable[str]) -> dict[str, Any]:
    """Open an account: why, and of which instruments a confirmation will come; the line."""
    return _append(folder, {"stop": reason, "expected": list(names)})


def confirm(folder: Path, instrument: str, state: str, detail: str) -> dict[str, Any]:
    """Write down what became of one instrument; the line."""
    detail = " ".join(detail.split())
    return _append(folder, {"instrument": instrument, "state": state, "detail": detail})


def end(folder: Path, text: str) -> dict[str, Any]:
    """Close the account: how the run ended; the line."""
    return _append(folder, {"ended": text})


def outdate(folder: Path) -> None:
    """Let earlier accounts no longer count: the run goes on, and changes its instruments again."""
    if (folder / FILE).exists():
        begin(folder, "", ())


def count(folder: Path) -> int:
    """How many accounts were opened so far."""
    return sum("stop" in entry for entry in _entries(folder))


def read(folder: Path, skip: int = 0) -> list[dict[str, Any]]:
    """All lines of the last account that still counts, if it is not among the first `skip`."""
    account: list[dict[str, Any]] = []
    for entry in _entries(folder):
        if "stop" in entry:
            account = [entry] if skip <= 0 and entry["stop"] else []
            skip -= 1
        elif account:
            account.append(entry)
    return account


def is_closed(account: Sequence[Mapping[str, Any]]) -> bool:
    """Whether an account that was read is complete."""
    return bool(account) and "ended" in account[-1]


def _entries(folder: Path) -> Iterator[dict[str, Any]]:
    try:
        lines = (folder / FILE).read_bytes().splitlines()
    except OSError:
        return
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # half a line of a process that was killed
        if isinstance(entry, dict):
            yield entry


def _append(folder: Path, entry: dict[str, Any]) -> dict[str, Any]:
    """Write a line; a disk that is full or gone must keep nobody from making a bench safe."""
    entry = entry | {"time": time.time()}
    with contextlib.suppress(OSError), (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps(entry)}\n")
    return entry
