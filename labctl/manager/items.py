"""Items of the queue, and how its journal is read as a list of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from labctl.errors import LabError, RequestError

#: What the queue does after an item failed: go on, stop, or try it again.
ON_FAILURE = ("skip", "stop", "retry")


@dataclass(frozen=True)
class Policy:
    """When an item runs, and what follows if it fails."""

    not_before: float = 0.0  # Unix time in s; 0: at once
    on_failure: str = "skip"  # one of ON_FAILURE; an abort by hand or interlock is no failure
    retries: int = 1  # how many times more, with on_failure = "retry"

    def __post_init__(self) -> None:
        if self.on_failure not in ON_FAILURE:
            known = ", ".join(ON_FAILURE)
            raise RequestError(f"on failure {self.on_failure!r} is none of {known}")
        if not 0 <= self.retries <= 100:
            raise RequestError(f"{self.retries} retries are outside 0 to 100")


@dataclass(frozen=True)
class Planned:
    """What an item will do, as its procedure said when it was queued; tells how long it takes."""

    procedure: str = ""  # as runs of it are called
    mode: str = ""  # real or sim
    # Those that the request leaves as usual, or writes otherwise ("500 mV"):
    parameters: dict[str, Any] = field(default_factory=dict)
    points: int | None = None  # of the whole run; None if nobody knows


@dataclass(frozen=True)
class Item:
    """One queued request and what became of it."""

    number: int
    request: dict[str, Any]
    status: str = "waiting"  # waiting, running, finished, failed, aborted, interrupted
    run: str = ""  # run folder, once there is one; that of a waiting item is resumed
    reason: str = ""
    policy: Policy = Policy()
    failures: int = 0  # how many times it failed so far
    planned: Planned | None = None  # None: queued by a version that did not ask

    @property
    def parameters(self) -> dict[str, Any]:
        """All parameters of the run, as far as they are known before it."""
        more = self.planned.parameters if self.planned else {}
        return {**self.request["parameters"], **more}

    @property
    def waits(self) -> bool:
        return self.status == "waiting"


def read(entries: Iterable[Mapping[str, Any]]) -> list[Item]:
    """The items as the journal has them: those that ran, then those that wait, in order."""
    items: dict[int, Item] = {}
    order: list[int] = []
    for entry in entries:
        kind, number = entry["entry"], int(entry["item"])
        if kind == "add":
            items[number] = Item(
                number, dict(entry["request"]), run=entry.get("run", ""), policy=_policy(entry),
                planned=_planned(entry),
            )  # fmt: skip
            order.append(number)
        elif number not in items:
            continue
        elif kind == "remove":
            del items[number]
            order.remove(number)
        elif kind == "move":
            order = _moved(order, items, number, entry["place"])
        elif kind == "edit":
            items[number] = replace(
                items[number], request=dict(entry["request"]), policy=_policy(entry),
                planned=_planned(entry),
            )  # fmt: skip
        elif kind == "status":
            items[number] = replace(
                items[number], status=entry["status"], run=entry.get("run", ""),
                reason=entry.get("reason", ""), failures=entry.get("failures", 0),
            )  # fmt: skip
    ran = [items[n] for n in order if not items[n].waits]
    return ran + [items[n] for n in order if items[n].waits]


def policy_members(policy: Policy) -> dict[str, Any]:
    """What of a policy goes into the journal: only what is not as usual."""
    usual = asdict(Policy())
    return {name: value for name, value in asdict(policy).items() if value != usual[name]}


def _policy(entry: Mapping[str, Any]) -> Policy:
    return Policy(**{n: entry[n] for n in ("not_before", "on_failure", "retries") if n in entry})


def _planned(entry: Mapping[str, Any]) -> Planned | None:
    said = entry.get("planned")
    known = [f.name for f in fields(Planned)]
    return Planned(**{name: said[name] for name in known if name in said}) if said else None


def left_behind(item: Item) -> Item:
    """What became of an item whose process died: its run says it, or it can be resumed.

    Before there was a run no instrument was touched: then it waits again, unless it failed before,
    since one that ends the process each time would keep the others from running.
    """
    if item.status != "running":
        return item
    if not item.run and not item.failures:
        return replace(item, status="waiting", failures=1)
    from labctl.run.folder import RunFolder

    status, reason = "interrupted", "its process died"
    if item.run:
        with suppress(LabError, OSError):
            run = RunFolder.open(item.run)
            if stop := run.stop_entry:
                status, reason = run.status, str(stop.get("reason", ""))
    return ended(item, status, item.run, reason)


def ended(item: Item, status: str, run: str, reason: str) -> Item:
    """The item after its run ended so; one that may be tried again waits again, at its place."""
    failed, policy = status == "failed", item.policy
    failures = item.failures + failed
    again = failed and policy.on_failure == "retry" and failures <= policy.retries
    if again and not _can_resume(run):
        run = ""
    status = "waiting" if again else status
    return replace(item, status=status, run=run, reason=reason, failures=failures)


def _can_resume(run: str) -> bool:
    """Whether a failed run can be continued at the points it lacks."""
    from labctl.run.folder import RunFolder

    try:
        return RunFolder.open(run).start.get("points") is not None
    except (LabError, OSError):
        return False


def _moved(order: list[int], items: dict[int, Item], number: int, place: int) -> list[int]:
    """`order` with `number` at the given place among those that wait."""
    rest = [n for n in order if n != number]
    waiting = [n for n in rest if items[n].waits]
    if place > len(waiting):
        return [*rest, number]
    at = rest.index(waiting[place - 1])
    return [*rest[:at], number, *rest[at:]]
