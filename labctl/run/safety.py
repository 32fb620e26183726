"""`safety.jsonl` in a run folder: what each instrument answered when somebody made the bench safe.

One JSON line per confirmation, `{"instrument", "state", "detail", "time"}`; of several lines for an
instrument the last counts. A line with "stop" begins a new account, one with "ended" closes it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

FILE = "safety.jsonl"
SAFE, FAILED, UNREACHABLE = "safe", "failed", "unreachable"
#: What is said of instruments that exist only inside the run.
SIMULATED = "simulated: ended with the run"


def begin(folder: Path, reason: str, names: Iterable[str]) -> None:
    """Open an account: why, and of which instruments a confirmation will come."""
    _append(folder, {"stop": reason, "expected": list(names)})


def confirm(folder: Path, instrument: str, state: str, detail: str) -> None:
    """Write down what became of one instrument."""
    detail = " ".join(detail.split())
    _append(folder, {"instrument": instrument, "state": state, "detail": detail})


def end(folder: Path, text: str) -> None:
    """Close the account: how the run ended."""
    _append(folder, {"ended": text})


def outdate(folder: Path) -> None:
    """Let earlier accounts no longer count: the run goes on, and changes its instruments again."""
    if (folder / FILE).exists():
        begin(folder, "", ())


def read(folder: Path, since: float = 0.0) -> list[dict[str, Any]]:
    """All lines of the last account, if it was opened at `since` (Unix time) or later."""
    try:
        lines = (folder / FILE).read_bytes().splitlines()
    except OSError:
        return []
    account: list[dict[str, Any]] = []
    for line in lines:
        try:
            entry = json.loads(line)
            opened = isinstance(entry, dict) and "stop" in entry
            if opened and float(entry["time"]) < since:
                account = []
            elif opened:
                account = [entry]
            elif account and isinstance(entry, dict):
                account.append(entry)
        except (ValueError, KeyError, TypeError):
            continue  # half a line of a process that was killed
    return account


def _append(folder: Path, entry: dict[str, Any]) -> None:
    line = json.dumps(entry | {"time": time.time()})
    with (folder / FILE).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
